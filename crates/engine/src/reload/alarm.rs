//! Hears from the operating system that something in a folder has changed.

use std::collections::BTreeSet;
use std::path::PathBuf;

use notify::event::{CreateKind, ModifyKind};
use notify::{
    Error, ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    recommended_watcher,
};
use tokio::sync::mpsc;

use super::places::is_source;

/// A message of the operating system: a change, or an error after which there may be no more.
pub(super) type Wake = Result<(), String>;

/// The watches of folders.
#[derive(Debug)]
pub(super) struct Alarm(RecommendedWatcher);

impl Alarm {
    pub(super) fn new(wakes: mpsc::Sender<Wake>) -> Result<Self, String> {
        let react = move |event: notify::Result<Event>| {
            let wake = match event {
                Ok(event) if matters(&event) => Ok(()),
                Ok(_) => return,
                Err(error) => Err(in_words(&error)),
            };
            // Where others wait already, one more says nothing new.
            let _ = wakes.try_send(wake);
        };
        recommended_watcher(react).map(Alarm).map_err(|error| in_words(&error))
    }

    /// Watches these folders, also one that has taken the place of another.
    pub(super) fn cover(&mut self, folders: &BTreeSet<PathBuf>) -> Result<(), String> {
        let mut paths = self.0.paths_mut();
        for folder in folders {
            match paths.add(folder, RecursiveMode::NonRecursive) {
                Err(error) if !is_gone(&error) => return Err(in_words(&error)),
                _ => {}
            }
        }
        paths.commit().map_err(|error| in_words(&error))
    }
}

/// Tells whether an event may be about the program: most are about logs, or a file that is read.
fn matters(event: &Event) -> bool {
    let may_be_folder = match event.kind {
        EventKind::Access(_) => return false,
        EventKind::Create(CreateKind::Folder)
        | EventKind::Remove(_)
        | EventKind::Modify(ModifyKind::Name(_)) => true,
        _ => event.need_rescan(),
    };
    may_be_folder || event.paths.iter().any(|path| is_source(path) || path.extension().is_none())
}

fn is_gone(error: &Error) -> bool {
    match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(error) => error.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

/// The error with the limit that is behind it, as a rule.
fn in_words(error: &Error) -> String {
    match &error.kind {
        ErrorKind::MaxFilesWatch => {
            "no more folders can be watched (sysctl fs.inotify.max_user_watches)".to_owned()
        }
        ErrorKind::Io(error) if error.raw_os_error() == Some(nix::libc::EMFILE) => {
            format!("{error} (sysctl fs.inotify.max_user_instances, ulimit -n)")
        }
        _ => error.to_string(),
    }
}
