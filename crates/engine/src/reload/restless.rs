//! Files that the program itself seems to write, which must not have it started anew without end.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::lookout::Change;

/// The time after the program was started in which a change may be its own doing; so may one that
/// follows such a change within that time.
const SOON: Duration = Duration::from_secs(2);
/// The changes in a row while the program started, or just after, that count at once.
const AT_ONCE: u32 = 5;
/// The longest time for which a file has to be left alone until a further one counts.
const LONGEST_PAUSE: u32 = 5;
/// The changes in a row while the program started, from which the pauses are long and double: a person
/// who saves on and on is waited for, and a program that writes at each start is left alone in the end.
const TOO_MANY: u32 = 8;
/// The first of the long pauses.
const LONG_PAUSE: Duration = Duration::from_secs(15);
/// The most times that it doubles.
const MOST_DOUBLINGS: u32 = 10;

/// The files that change while the program starts, or just after.
#[derive(Debug, Default)]
pub(super) struct Restless(HashMap<PathBuf, Streak>);

/// The changes in a row of a file that may be the program's own doing.
#[derive(Debug)]
struct Streak {
    /// Those that came while the program was being started.
    at_start: u32,
    /// These, and those that came just after.
    suspect: u32,
    last: Instant,
    /// The long pauses that are over.
    rests: u32,
    /// True for a change that counts once the file has been left alone.
    is_deferred: bool,
}

impl Restless {
    /// Lists the files of a change that count now. `started` is when the program was last started;
    /// `None` while it is being started.
    pub(super) fn admit(&mut self, change: Change, started: Option<Instant>) -> Vec<PathBuf> {
        let Change { mut files, at } = change;
        files.retain(|file| self.counts(file, at, started));
        files
    }

    /// Returns when the next deferred change counts.
    pub(super) fn due(&self) -> Option<Instant> {
        self.0.values().filter_map(Streak::due).min()
    }

    /// Takes the files whose deferred changes count by now.
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

    fn counts(&mut self, file: &Path, at: Instant, started: Option<Instant>) -> bool {
        let is_at_start = started.is_none_or(|started| at < started);
        let first = Streak { at_start: 0, suspect: 0, last: at, rests: 0, is_deferred: false };
        let streak = self.0.entry(file.to_owned()).or_insert(first);
        // What goes on is as suspect as it was.
        let goes_on = streak.suspect > 0 && at < streak.last + SOON;
        let is_suspect = goes_on || started.is_none_or(|started| at < started + SOON);
        streak.at_start = if is_at_start { streak.at_start.saturating_add(1) } else { 0 };
        streak.suspect = if is_suspect { streak.suspect.saturating_add(1) } else { 0 };
        streak.rests = if is_at_start { streak.rests } else { 0 };
        streak.last = at;
        streak.is_deferred = streak.suspect > AT_ONCE;
        let seems = "which seems to be the program's own doing";
        let way_out = "let the program write elsewhere, or into a hidden folder";
        if streak.at_start == TOO_MANY {
            tracing::warn!(
                "{} changed {TOO_MANY} times in a row while the program was being started, {seems}: \
                 further changes count when it has been left alone for {} s, then twice as long each \
                 time; {way_out}",
                file.display(),
                LONG_PAUSE.as_secs()
            );
        } else if streak.suspect == AT_ONCE + 1 {
            tracing::warn!(
                "{} changes again and again while the program starts or just after, {seems}: further \
                 changes count when it has been left alone for a while; {way_out}",
                file.display()
            );
        }
        streak.suspect <= AT_ONCE
    }
}

impl Streak {
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
    fn what_the_program_writes_at_its_start_is_left_alone_in_the_end() {
        let mut restless = Restless::default();
        let mut now = Instant::now();
        let mut starts = 0;
        for _ in 0..100 {
            now += SECOND;
            starts += restless.admit(change(now), None).len();
            now += 60 * SECOND;
            starts += restless.take_due(now).len();
        }
        // The pauses of 15, 30 and 60 s were over.
        assert_eq!(starts, TOO_MANY as usize - 1 + 3);
        // A person saves it.
        assert_eq!(restless.admit(change(now + 3 * SECOND), Some(now)).len(), 1);
    }

    #[test]
    fn the_last_save_of_a_person_counts_however_many_were_made_while_the_program_started() {
        let mut restless = Restless::default();
        let mut now = Instant::now();
        for _ in 0..100 {
            now += SECOND;
            restless.admit(change(now), None);
        }
        assert!(restless.take_due(now + LONG_PAUSE - SECOND).is_empty());
        assert_eq!(restless.take_due(now + LONG_PAUSE), [PathBuf::from("made.py")]);
    }

    #[test]
    fn what_the_program_writes_as_it_answers_waits_until_it_is_left_alone() {
        let mut restless = Restless::default();
        let started = Instant::now();
        let mut now = started;
        for turn in 0..100 {
            let counted = restless.admit(change(now), Some(started)).len();
            assert_eq!(counted, usize::from(turn < AT_ONCE), "{turn}");
            assert!(restless.take_due(now).is_empty());
            now += SECOND / 2;
        }
        let last = now - SECOND / 2;
        assert_eq!(restless.due(), Some(last + LONGEST_PAUSE * SECOND));
        assert_eq!(restless.take_due(last + LONGEST_PAUSE * SECOND), [PathBuf::from("made.py")]);
        assert_eq!(restless.due(), None);
    }

    #[test]
    fn a_person_may_save_as_often_as_they_like() {
        let mut restless = Restless::default();
        let mut now = Instant::now();
        for _ in 0..100 {
            let started = now;
            now += SOON;
            assert_eq!(restless.admit(change(now), Some(started)).len(), 1);
        }
        let mut of_two = change(now);
        of_two.files.push("other.py".into());
        assert_eq!(restless.admit(of_two, Some(now)).len(), 2);
    }
}
