//! The last lines that a worker printed, which are part of the error when it ends.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::link::board::{Printed, Stream};

/// The number of lines that are kept.
const KEPT_LINES: usize = 20;
/// The length in characters to which a line is cut.
const KEPT_LENGTH: usize = 500;
/// The length in bytes to which a line is cut before it is decoded.
const KEPT_BYTES: usize = 4 * KEPT_LENGTH;

/// A line that a worker printed, or the first part of a long one.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    stream: Stream,
    /// The position of the first byte in the stream.
    start: u64,
    bytes: Vec<u8>,
}

impl Line {
    pub(super) fn new(stream: Stream, start: u64, bytes: &[u8]) -> Self {
        Line { stream, start, bytes: bytes[..bytes.len().min(KEPT_BYTES)].to_vec() }
    }

    /// Returns the part of the line that was printed after this moment; `None` if it has no text.
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
    /// Adds a line. If there are too many, the oldest line of the stream with more lines is
    /// dropped: many lines on one stream must not remove the last lines of the other.
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

    /// Returns the lines that were printed after this moment.
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
    fn many_lines_on_one_stream_do_not_remove_those_of_the_other() {
        let tail = Tail::default();
        push(&tail, Stream::Stderr, "the reason");
        (0..100).for_each(|number| push(&tail, Stream::Stdout, &number.to_string()));
        assert_eq!(lines(&tail).len(), KEPT_LINES);
        assert_eq!(lines(&tail).first().map(String::as_str), Some("the reason"));
        (0..100).for_each(|number| push(&tail, Stream::Stderr, &number.to_string()));
        assert_eq!(lines(&tail).iter().filter(|line| *line == "99").count(), 2);
    }

    #[test]
    fn a_line_that_was_begun_before_the_moment_is_cut() {
        let line = Line::new(Stream::Stderr, 10, "one, two\n".as_bytes());
        let since = |stderr| line.since(Printed::new(u64::MAX, stderr));
        for (moment, expected) in [(0, "one, two"), (10, "one, two"), (14, " two"), (15, "two")] {
            assert_eq!(since(moment).as_deref(), Some(expected));
        }
        assert!([18, 19, 1000, u64::MAX].map(since).iter().all(Option::is_none));
        let long = Line::new(Stream::Stdout, 0, "ä".repeat(5000).as_bytes());
        assert_eq!(long.since(Printed::default()), Some("ä".repeat(KEPT_LENGTH)));
        assert_eq!(long.since(Printed::new(9000, 0)), None);
    }
}
