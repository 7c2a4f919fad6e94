//! Looks out for changes of a program's files: when the operating system tells of one, and now and
//! then in any case, since not every file system does (of another machine, of a container's host).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use super::alarm::{Alarm, Wake};
use super::places::Places;
use super::snapshot::Snapshot;

/// The time between looks that nothing gave occasion to.
const ROUND: Duration = Duration::from_secs(3);
/// The same where the operating system does not tell of changes.
const ROUND_WITHOUT_ALARM: Duration = Duration::from_secs(1);
/// The time for which nothing may change until a change is complete: several files are saved together.
const QUIET: Duration = Duration::from_millis(200);
/// The most such times in a row.
const MOST_QUIET: u32 = 25;
/// The pause between an event and the look at what has changed, which further events share.
const PAUSE: Duration = Duration::from_millis(20);

/// Files that have changed together.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) files: Vec<PathBuf>,
    pub(super) at: Instant,
}

/// The files of a program as they were last seen.
#[derive(Debug)]
pub(super) struct Lookout {
    places: Arc<Places>,
    known: Arc<Snapshot>,
    /// Absent where the operating system does not tell of changes.
    alarm: Option<Alarm>,
}

impl Lookout {
    pub(super) fn new(places: Places) -> Self {
        let known = Snapshot::take(&places, &Snapshot::default());
        Lookout { places: Arc::new(places), known: Arc::new(known), alarm: None }
    }

    /// Reports changes until nobody listens any more.
    pub(super) async fn report(mut self, changes: mpsc::Sender<Change>) {
        self.announce();
        let (wakes, mut woken) = mpsc::channel(1);
        match Alarm::new(wakes.clone()) {
            Ok(alarm) => self.alarm = Some(alarm),
            Err(error) => go_round(&error),
        }
        let (mut is_woken, mut at) = (true, Instant::now());
        loop {
            let files = self.look(is_woken).await;
            if !files.is_empty() && changes.send(Change { files, at }).await.is_err() {
                return;
            }
            let round = if self.alarm.is_some() { ROUND } else { ROUND_WITHOUT_ALARM };
            is_woken = tokio::select! {
                Some(wake) = woken.recv() => {
                    at = Instant::now();
                    self.heed(wake);
                    sleep(PAUSE).await;
                    while let Ok(wake) = woken.try_recv() {
                        self.heed(wake);
                    }
                    true
                }
                () = sleep(round) => {
                    at = Instant::now();
                    false
                }
                () = changes.closed() => return,
            };
        }
    }

    /// Tells the log what is watched.
    fn announce(&self) {
        let all = self.places.folders.iter().chain(&self.places.files);
        let Some(first) = all.map(|place| place.display()).next() else { return };
        match self.known.len() {
            0 => tracing::warn!(
                "there is no source file in {first}: the program is started anew on SIGHUP only"
            ),
            files => tracing::info!("watching {first} for changes; source files: {files}"),
        }
        if self.known.is_cut {
            tracing::warn!(
                "{first} has more folders and files than are watched: changes below it may go \
                 unnoticed; a program in a folder of its own is watched as a whole"
            );
        }
    }

    /// Gives up on an operating system that cannot tell of changes.
    fn heed(&mut self, wake: Wake) {
        if let Err(error) = wake {
            self.alarm = None;
            go_round(&error);
        }
    }

    /// Lists the files that have changed, once they do not change any more.
    async fn look(&mut self, is_woken: bool) -> Vec<PathBuf> {
        let before = self.known.clone();
        let mut latest = before.clone();
        for _ in 0..MOST_QUIET {
            let next = self.snapshot(&latest, is_woken).await;
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

    /// Looks at the files, and has the folders watched in which they are.
    async fn snapshot(&mut self, before: &Arc<Snapshot>, is_woken: bool) -> Arc<Snapshot> {
        let (places, known) = (self.places.clone(), before.clone());
        let mut alarm = self.alarm.take();
        let taken = spawn_blocking(move || {
            let snapshot = Snapshot::take(&places, &known);
            let mut error = None;
            if is_woken || snapshot.folders != known.folders {
                error = alarm.as_mut().and_then(|alarm| alarm.cover(&snapshot.folders).err());
            }
            (snapshot, alarm, error)
        });
        let Ok((snapshot, alarm, error)) = taken.await else { return before.clone() };
        self.alarm = alarm;
        if let Some(error) = error {
            self.heed(Err(error));
        }
        Arc::new(snapshot)
    }
}

fn go_round(error: &str) {
    tracing::warn!(
        "the system does not tell of changes: {error}; the files are looked at every {} s instead",
        ROUND_WITHOUT_ALARM.as_secs()
    );
}
