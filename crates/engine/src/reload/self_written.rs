//! Files that the program itself seems to write. Their changes must not reload the program
//! endlessly.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::file_watcher::Change;

/// The time after the start of the program in which a change is suspect: the program may have
/// written the file. A change that follows a suspect one within this time is suspect too.
const SOON: Duration = Duration::from_secs(2);
/// The number of suspect changes in a row that count at once.
const AT_ONCE: u32 = 5;
/// The longest time in seconds without another change, after which a further suspect change counts.
const LONGEST_PAUSE: u32 = 5;
/// The number of changes in a row during starts of the program after which the pauses are long, and
/// double each time. So the last save of a person still counts, and a program that writes at each
/// start is reloaded less and less often.
const TOO_MANY: u32 = 8;
/// The first of the long pauses.
const LONG_PAUSE: Duration = Duration::from_secs(15);
/// The maximum number of times that the long pause doubles.
const MOST_DOUBLINGS: u32 = 10;

/// The files that change while the program starts, or just after.
#[derive(Debug, Default)]
pub(super) struct SelfWritten(HashMap<PathBuf, Streak>);

/// The suspect changes of a file in a row.
#[derive(Debug)]
struct Streak {
    /// The number of changes while the program was being started.
    at_start: u32,
    /// The number of suspect changes: `at_start`, and those shortly after a start.
    suspect: u32,
    /// The time of the last change.
    last: Instant,
    /// The number of long pauses that are over.
    rests: u32,
    /// True if the last change counts only after a pause without another one.
    is_deferred: bool,
}

impl SelfWritten {
    /// Returns the files of a change that count now. `started` is the time of the last start of the
    /// program, or `None` while it is being started.
    pub(super) fn admit(&mut self, change: Change, started: Option<Instant>) -> Vec<PathBuf> {
        let Change { mut files, at } = change;
        files.retain(|file| self.counts(file, at, started));
        files
    }

    /// Returns the time at which the next deferred change counts.
    pub(super) fn due(&self) -> Option<Instant> {
        self.0.values().filter_map(Streak::due).min()
    }

    /// Takes the files whose deferred changes count at this time.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<PathBuf> {
        let due =
            self.0.iter_mut().filter(|(_, streak)| streak.due().is_some_and(|due| due <= now));
        due.map(|(file, streak)| {
            streak.is_deferred = false;
            streak.rests += u32::from(streak.at_start >= TOO_MANY);
            file.clone()
        })
        .collect()
    }

    /// Records the change of a file. Returns true if it counts at once.
    fn counts(&mut self, file: &Path, at: Instant, started: Option<Instant>) -> bool {
        let is_at_start = started.is_none_or(|started| at < started);
        let first = Streak { at_start: 0, suspect: 0, last: at, rests: 0, is_deferred: false };
        let streak = self.0.entry(file.to_owned()).or_insert(first);
        // A change that follows a suspect one is suspect too.
        let goes_on = streak.suspect > 0 && at < streak.last + SOON;
        let is_suspect = goes_on || started.is_none_or(|started| at < started + SOON);
        streak.at_start = if is_at_start { streak.at_start.saturating_add(1) } else { 0 };
        streak.suspect = if is_suspect { streak.suspect.saturating_add(1) } else { 0 };
        streak.rests = if is_at_start { streak.rests } else { 0 };
        streak.last = at;
        streak.is_deferred = streak.suspect > AT_ONCE;
        let reason = "the program itself seems to write it";
        let way_out = "let the program write elsewhere, or into a hidden folder";
        if streak.at_start == TOO_MANY {
            tracing::warn!(
                "{} changed {TOO_MANY} times in a row while the program was being started; {reason}. \
                 The next change counts after {} s without another one, and this time doubles after \
                 each reload; {way_out}",
                file.display(),
                LONG_PAUSE.as_secs()
            );
        } else if streak.suspect == AT_ONCE + 1 {
            tracing::warn!(
                "{} changes again and again while the program starts or just after; {reason}. \
                 A further change counts after 1 to {LONGEST_PAUSE} s without another one; {way_out}",
                file.display()
            );
        }
        streak.suspect <= AT_ONCE
    }
}

impl Streak {
    /// Returns the time at which the deferred change counts, if there is one.
    fn due(&self) -> Option<Instant> {
        let pause = if self.at_start < TOO_MANY {
            Duration::from_secs(self.suspect.saturating_sub(AT_ONCE).min(LONGEST_PAUSE).into())
        } else {
            LONG_PAUSE * (1 << self.rests.min(MOST_DOUBLINGS))
        };
        self.is_deferred.then(|| self.last + pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn change(at: Instant) -> Change {
        Change { files: vec!["made.py".into()], at }
    }

    #[test]
    fn a_file_that_the_program_writes_at_each_start_counts_less_and_less() {
        let mut self_written = SelfWritten::default();
        let mut now = Instant::now();
        let mut starts = 0;
        for _ in 0..100 {
            now += SECOND;
            starts += self_written.admit(change(now), None).len();
            now += 60 * SECOND;
            starts += self_written.take_due(now).len();
        }
        // The pauses of 15, 30 and 60 s were over.
        assert_eq!(starts, TOO_MANY as usize - 1 + 3);
        // A person saves it.
        assert_eq!(self_written.admit(change(now + 3 * SECOND), Some(now)).len(), 1);
    }

    #[test]
    fn the_last_save_of_a_person_counts_however_many_were_made_while_the_program_started() {
        let mut self_written = SelfWritten::default();
        let mut now = Instant::now();
        for _ in 0..100 {
            now += SECOND;
            self_written.admit(change(now), None);
        }
        assert!(self_written.take_due(now + LONG_PAUSE - SECOND).is_empty());
        assert_eq!(self_written.take_due(now + LONG_PAUSE), [PathBuf::from("made.py")]);
    }

    #[test]
    fn a_file_that_the_program_writes_while_it_serves_counts_after_a_pause() {
        let mut self_written = SelfWritten::default();
        let started = Instant::now();
        let mut now = started;
        for turn in 0..100 {
            let counted = self_written.admit(change(now), Some(started)).len();
            assert_eq!(counted, usize::from(turn < AT_ONCE), "{turn}");
            assert!(self_written.take_due(now).is_empty());
            now += SECOND / 2;
        }
        let last = now - SECOND / 2;
        assert_eq!(self_written.due(), Some(last + LONGEST_PAUSE * SECOND));
        assert_eq!(
            self_written.take_due(last + LONGEST_PAUSE * SECOND),
            [PathBuf::from("made.py")]
        );
        assert_eq!(self_written.due(), None);
    }

    #[test]
    fn a_person_may_save_as_often_as_they_like() {
        let mut self_written = SelfWritten::default();
        let mut now = Instant::now();
        for _ in 0..100 {
            let started = now;
            now += SOON;
            assert_eq!(self_written.admit(change(now), Some(started)).len(), 1);
        }
        let mut of_two = change(now);
        of_two.files.push("other.py".into());
        assert_eq!(self_written.admit(of_two, Some(now)).len(), 2);
    }
}
