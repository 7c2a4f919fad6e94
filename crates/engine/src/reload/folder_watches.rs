//! Notifications of the operating system (inotify, FSEvents) that something in a folder has
//! changed.

use std::collections::BTreeSet;
use std::path::PathBuf;

use notify::event::{CreateKind, ModifyKind};
use notify::{
    Error, ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    recommended_watcher,
};
use tokio::sync::mpsc;

use super::places::is_source;

/// A notification of a change, or an error after which no more notifications may come.
pub(super) type Notification = Result<(), String>;

/// The folders for which the operating system sends notifications.
#[derive(Debug)]
pub(super) struct FolderWatches(RecommendedWatcher);

impl FolderWatches {
    pub(super) fn new(sender: mpsc::Sender<Notification>) -> Result<Self, String> {
        let notify = move |event: notify::Result<Event>| {
            let notification = match event {
                Ok(event) if may_concern_program(&event) => Ok(()),
                Ok(_) => return,
                Err(error) => Err(describe(&error)),
            };
            // If another notification waits already, this one adds nothing.
            let _ = sender.try_send(notification);
        };
        recommended_watcher(notify).map(FolderWatches).map_err(|error| describe(&error))
    }

    /// Adds watches of these folders. A folder that replaces one of the same path gets a new watch.
    pub(super) fn add(&mut self, folders: &BTreeSet<PathBuf>) -> Result<(), String> {
        let mut paths = self.0.paths_mut();
        for folder in folders {
            match paths.add(folder, RecursiveMode::NonRecursive) {
                Err(error) if !is_gone(&error) => return Err(describe(&error)),
                _ => {}
            }
        }
        paths.commit().map_err(|error| describe(&error))
    }
}

/// Returns true if an event may concern the program's files. Most events are about logs, or files
/// that are read.
fn may_concern_program(event: &Event) -> bool {
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

/// Describes an error, with the system limit that is its usual cause.
fn describe(error: &Error) -> String {
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
