//! Finds changes of a program's files. It checks the files when the operating system reports a
//! change, and every few seconds in any case: network drives and folders of a container's host may
//! report none.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use super::folder_watches::{FolderWatches, Notification};
use super::places::Places;
use super::snapshot::Snapshot;

/// The time between two checks without a notification.
const INTERVAL: Duration = Duration::from_secs(3);
/// The time between two checks if the operating system reports no changes.
const INTERVAL_WITHOUT_WATCHES: Duration = Duration::from_secs(1);
/// The time without a change after which a change is complete, because editors save several files
/// together.
const QUIET: Duration = Duration::from_millis(200);
/// The maximum number of times in a row that the watcher waits for [`QUIET`].
const MAX_QUIET_WAITS: u32 = 25;
/// The pause between a notification and the check, which also serves further notifications.
const PAUSE: Duration = Duration::from_millis(20);

/// Files that have changed together, and the time.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) files: Vec<PathBuf>,
    pub(super) at: Instant,
}

/// The watcher of a program's files.
#[derive(Debug)]
pub(super) struct FileWatcher {
    places: Arc<Places>,
    /// The files as they were last seen.
    known: Arc<Snapshot>,
    /// `None` if the operating system does not report changes.
    watches: Option<FolderWatches>,
}

impl FileWatcher {
    pub(super) fn new(places: Places) -> Self {
        let known = Snapshot::take(&places, &Snapshot::default());
        FileWatcher { places: Arc::new(places), known: Arc::new(known), watches: None }
    }

    /// Sends changes until the receiver is dropped.
    pub(super) async fn report(mut self, changes: mpsc::Sender<Change>) {
        self.log_places();
        let (sender, mut notifications) = mpsc::channel(1);
        match FolderWatches::new(sender.clone()) {
            Ok(watches) => self.watches = Some(watches),
            Err(error) => warn_without_watches(&error),
        }
        let (mut is_notified, mut at) = (true, Instant::now());
        loop {
            let files = self.changed_files(is_notified).await;
            if !files.is_empty() && changes.send(Change { files, at }).await.is_err() {
                return;
            }
            let interval = if self.watches.is_some() { INTERVAL } else { INTERVAL_WITHOUT_WATCHES };
            is_notified = tokio::select! {
                Some(notification) = notifications.recv() => {
                    at = Instant::now();
                    self.check_watches(notification);
                    sleep(PAUSE).await;
                    while let Ok(notification) = notifications.try_recv() {
                        self.check_watches(notification);
                    }
                    true
                }
                () = sleep(interval) => {
                    at = Instant::now();
                    false
                }
                () = changes.closed() => return,
            };
        }
    }

    /// Logs the folder that is watched.
    fn log_places(&self) {
        let all = self.places.folders.iter().chain(&self.places.files);
        let Some(first) = all.map(|place| place.display()).next() else { return };
        match self.known.len() {
            0 => tracing::warn!(
                "there is no source file in {first}: the program is reloaded on SIGHUP only"
            ),
            files => tracing::info!("watching {first} for changes; source files: {files}"),
        }
        if self.known.is_cut {
            tracing::warn!(
                "{first} has more folders and files than are watched, so some changes may go \
                 unnoticed; a program in a folder of its own is watched as a whole"
            );
        }
    }

    /// Drops the watches if the notification is an error.
    fn check_watches(&mut self, notification: Notification) {
        if let Err(error) = notification {
            self.watches = None;
            warn_without_watches(&error);
        }
    }

    /// Returns the files that have changed, once they do not change any more.
    async fn changed_files(&mut self, is_notified: bool) -> Vec<PathBuf> {
        let before = self.known.clone();
        let mut latest = before.clone();
        for _ in 0..MAX_QUIET_WAITS {
            let next = self.snapshot(&latest, is_notified).await;
            let is_quiet = next.changed_since(&latest).is_empty();
            latest = next;
            if is_quiet {
                break;
            }
            sleep(QUIET).await;
        }
        let files = latest.changed_since(&before);
        self.known = latest;
        files
    }

    /// Reads the files, and adds watches of their folders.
    async fn snapshot(&mut self, before: &Arc<Snapshot>, is_notified: bool) -> Arc<Snapshot> {
        let (places, known) = (self.places.clone(), before.clone());
        let mut watches = self.watches.take();
        let taken = spawn_blocking(move || {
            let snapshot = Snapshot::take(&places, &known);
            let mut error = None;
            if is_notified || snapshot.folders != known.folders {
                let add = |watches: &mut FolderWatches| watches.add(&snapshot.folders).err();
                error = watches.as_mut().and_then(add);
            }
            (snapshot, watches, error)
        });
        let Ok((snapshot, watches, error)) = taken.await else { return before.clone() };
        self.watches = watches;
        if let Some(error) = error {
            self.check_watches(Err(error));
        }
        Arc::new(snapshot)
    }
}

fn warn_without_watches(error: &str) {
    tracing::warn!(
        "the system does not report file changes: {error}; checking the files every {} s instead",
        INTERVAL_WITHOUT_WATCHES.as_secs()
    );
}
