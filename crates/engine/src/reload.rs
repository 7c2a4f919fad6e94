//! Reloads the program when one of its files changes, for people who develop it.

mod bytecode;
mod file_watcher;
mod folder_watches;
mod places;
mod self_written;
mod snapshot;

use std::ffi::OsString;
use std::path::PathBuf;
use std::pin::pin;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use self::file_watcher::{Change, FileWatcher};
use self::places::Places;
use self::self_written::SelfWritten;
use crate::worker::supervisor::Supervisor;

/// The number of changes that may wait while the program is reloaded.
const WAITING: usize = 16;

/// The files of a program, which can be watched for changes.
#[derive(Debug)]
pub struct ProgramFiles(FileWatcher);

impl ProgramFiles {
    /// Finds the files that belong to the program of a command line, and reads their present
    /// contents. `python_path` is the value of `PYTHONPATH`: folders, separated by colons.
    #[must_use]
    pub fn of(command: &[OsString], python_path: &str) -> Self {
        ProgramFiles(FileWatcher::new(Places::of(command, python_path)))
    }

    /// Watches the files until the engine ends, and reloads the program when one changes.
    pub fn watch(self, supervisor: Supervisor) {
        let (sender, changes) = mpsc::channel(WAITING);
        tokio::spawn(self.0.report(sender));
        tokio::spawn(follow(supervisor, changes));
    }
}

/// Reloads the program after each change that counts. A change during a reload cancels it and
/// starts another one, because the program that is being loaded is out of date.
async fn follow(supervisor: Supervisor, mut changes: mpsc::Receiver<Change>) {
    let mut self_written = SelfWritten::default();
    let mut started = Instant::now();
    let mut next = None;
    loop {
        let files = if let Some(files) = next.take() {
            files
        } else {
            tokio::select! {
                change = changes.recv() => match change {
                    Some(change) => self_written.admit(change, Some(started)),
                    None => return,
                },
                () = until(self_written.due()) => self_written.take_due(Instant::now()),
            }
        };
        let Some(changed) = description(&files) else { continue };
        tracing::info!("{changed} changed");
        let begun = Instant::now();
        let mut reload = pin!(supervisor.reload(Some(changed.clone())));
        let renewed = loop {
            tokio::select! {
                renewed = &mut reload => break renewed,
                Some(change) = changes.recv() => {
                    let more = self_written.admit(change, None);
                    if !more.is_empty() {
                        next = Some(more);
                        break false;
                    }
                }
            }
        };
        started = Instant::now();
        if renewed {
            let seconds = begun.elapsed().as_secs_f64();
            tracing::info!("{changed} changed: the program was reloaded in {seconds:.1} s");
        }
    }
}

/// Waits until a moment; for ever if there is none.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Describes the files for the log: the name of the first one, and the number of others. `None` if
/// there are none.
fn description(files: &[PathBuf]) -> Option<String> {
    let first = files.first()?;
    let here = std::env::current_dir().ok();
    let short = here.and_then(|here| first.strip_prefix(here).ok()).unwrap_or(first).display();
    Some(match files.len() - 1 {
        0 => short.to_string(),
        1 => format!("{short} and another file"),
        more => format!("{short} and {more} other files"),
    })
}
