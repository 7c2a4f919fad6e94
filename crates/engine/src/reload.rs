//! Starts the program anew when one of its files changes, for people who work on it.

mod alarm;
mod bytecode;
mod lookout;
mod places;
mod restless;
mod snapshot;

use std::ffi::OsString;
use std::path::PathBuf;
use std::pin::pin;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use self::lookout::{Change, Lookout};
use self::places::Places;
use self::restless::Restless;
use crate::worker::supervisor::Supervisor;

/// Changes that may wait while the program is started anew.
const WAITING: usize = 16;

/// The files of a program.
#[derive(Debug)]
pub struct ProgramFiles(Lookout);

impl ProgramFiles {
    /// Finds the files that belong to the program of a command line, and remembers what they contain.
    /// `python_path` has the folders, separated by colons, in which Python looks for modules first.
    #[must_use]
    pub fn of(command: &[OsString], python_path: &str) -> Self {
        ProgramFiles(Lookout::new(Places::of(command, python_path)))
    }

    /// Watches the files until the engine ends, and has the program started anew when one changes.
    pub fn watch(self, supervisor: Supervisor) {
        let (sender, changes) = mpsc::channel(WAITING);
        tokio::spawn(self.0.report(sender));
        tokio::spawn(follow(supervisor, changes));
    }
}

/// Starts the program anew after each change that counts. One that comes while the program is being
/// started begins that again: what is being loaded is out of date.
async fn follow(supervisor: Supervisor, mut changes: mpsc::Receiver<Change>) {
    let mut restless = Restless::default();
    let mut started = Instant::now();
    let mut next = None;
    loop {
        let files = if let Some(files) = next.take() {
            files
        } else {
            tokio::select! {
                change = changes.recv() => match change {
                    Some(change) => restless.admit(change, Some(started)),
                    None => return,
                },
                () = until(restless.due()) => restless.take_due(Instant::now()),
            }
        };
        let Some(changed) = in_words(&files) else { continue };
        tracing::info!("{changed} changed");
        let begun = Instant::now();
        let mut reload = pin!(supervisor.reload(Some(changed.clone())));
        let renewed = loop {
            tokio::select! {
                renewed = &mut reload => break renewed,
                Some(change) = changes.recv() => {
                    let more = restless.admit(change, None);
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
            tracing::info!("{changed} changed: the program was started anew in {seconds:.1} s");
        }
    }
}

/// Waits until a moment; for ever where there is none.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Names the first of the files; `None` where there is none.
fn in_words(files: &[PathBuf]) -> Option<String> {
    let first = files.first()?;
    let here = std::env::current_dir().ok();
    let short = here.and_then(|here| first.strip_prefix(here).ok()).unwrap_or(first).display();
    Some(match files.len() - 1 {
        0 => short.to_string(),
        1 => format!("{short} and another file"),
        more => format!("{short} and {more} other files"),
    })
}
