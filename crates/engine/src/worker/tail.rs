//! The last lines that a worker printed, kept to explain its end.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::link::board::{Printed, Stream};

/// The last lines that are kept.
const KEPT_LINES: usize = 20;
/// The length to which a line is cut, in characters.
const KEPT_LENGTH: usize = 500;
/// The same in bytes, before they are read as characters.
const KEPT_BYTES: usize = 4 * KEPT_LENGTH;

/// A line that a worker printed, or the first part of a long one.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    stream: Stream,
    /// The place of its first byte in the stream.
    start: u64,
    bytes: Vec<u8>,
}

impl Line {
    pub(super) fn new(stream: Stream, start: u64, bytes: &[u8]) -> Self {
        Line { stream, start, bytes: bytes[..bytes.len().min(KEPT_BYTES)].to_vec() }
    }

    /// What of the line was printed after this moment; `None` where that is nothing to be read.
    pub(crate) fn since(&self, moment: Printed) -> Option<String> {
        let before = moment.on(self.stream).saturating_sub(self.start);
        let bytes = self.bytes.get(usize::try_from(before).ok()?..)?;
        let line: String = String::from_utf8_lossy(bytes).chars().take(KEPT_LENGTH).collect();
        let line = line.trim_end();
        (!line.is_empty()).then(|| line.to_owned())
    }
}

/// The last lines of a process's output, in the order in which they were read.
#[derive(Clone, Debug, Default)]
pub(super) struct Tail(Arc<Mutex<VecDeque<Line>>>);

impl Tail {
    /// Keeps a line instead of the oldest one of the stream that has more of them: a flood on one
    /// stream, read late, must not wash away what the other said last.
    pub(super) fn push(&self, line: Line) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let from = line.stream;
        lines.push_back(line);
        if lines.len() > KEPT_LINES {
            let count = lines.iter().filter(|line| line.stream == from).count();
            let is_of_more = |stream| (stream == from) == (2 * count > lines.len());
            if let Some(oldest) = lines.iter().position(|line| is_of_more(line.stream)) {
                lines.remove(oldest);
            }
        }
    }

    /// Those that were printed after this moment.
    pub(super) fn since(&self, moment: Printed) -> Vec<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().filter_map(|line| line.since(moment)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(tail: &Tail, stream: Stream, text: &str) {
        tail.push(Line::new(stream, 0, text.as_bytes()));
    }

    fn lines(tail: &Tail) -> Vec<String> {
        tail.since(Printed::default())
    }

    #[test]
    fn the_tail_is_bounded() {
        let tail = Tail::default();
        (0..100).for_each(|number| push(&tail, Stream::Stdout, &number.to_string()));
        assert_eq!(lines(&tail).len(), KEPT_LINES);
        assert_eq!(lines(&tail).last().map(String::as_str), Some("99"));
    }

    #[test]
    fn a_flood_on_one_stream_leaves_the_other_its_last_lines() {
        let tail = Tail::default();
        push(&tail, Stream::Stderr, "the reason");
        (0..100).for_each(|number| push(&tail, Stream::Stdout, &number.to_string()));
        assert_eq!(lines(&tail).len(), KEPT_LINES);
        assert_eq!(lines(&tail).first().map(String::as_str), Some("the reason"));
        (0..100).for_each(|number| push(&tail, Stream::Stderr, &number.to_string()));
        assert_eq!(lines(&tail).iter().filter(|line| *line == "99").count(), 2);
    }

    #[test]
    fn a_line_that_was_begun_before_is_cut() {
        let line = Line::new(Stream::Stderr, 10, "one, two\n".as_bytes());
        let since = |stderr| line.since(Printed::new(u64::MAX, stderr));
        for (moment, told) in [(0, "one, two"), (10, "one, two"), (14, " two"), (15, "two")] {
            assert_eq!(since(moment).as_deref(), Some(told));
        }
        assert!([18, 19, 1000, u64::MAX].map(since).iter().all(Option::is_none));
        let long = Line::new(Stream::Stdout, 0, "ä".repeat(5000).as_bytes());
        assert_eq!(long.since(Printed::default()), Some("ä".repeat(KEPT_LENGTH)));
        assert_eq!(long.since(Printed::new(9000, 0)), None);
    }
}
