//! What a worker prints: passed through line by line, with the last lines kept to explain its end.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::mpsc;

/// The last lines that are kept.
const KEPT_LINES: usize = 20;
/// The length to which a kept line is cut, in characters.
const KEPT_LENGTH: usize = 500;
/// The longest line that is held back until it is whole, in bytes.
const LONGEST_LINE: usize = 64 * 1024;

/// One of our own output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Output {
    fn write(self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Output::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(bytes)?;
                out.flush()
            }
            Output::Stderr => io::stderr().lock().write_all(bytes),
        }
    }
}

/// The last lines of a process's output, in the order in which they were read.
#[derive(Clone, Debug, Default)]
pub(super) struct Tail(Arc<Mutex<VecDeque<(Origin, String)>>>);

/// One of a worker's output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Stdout,
    Stderr,
}

impl Tail {
    /// Keeps a line instead of the oldest one of the stream that has more of them: a flood on one
    /// stream, read late, must not wash away what the other said last.
    fn push(&self, from: Origin, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push_back((from, line));
        if lines.len() > KEPT_LINES {
            let count = lines.iter().filter(|(origin, _)| *origin == from).count();
            let is_of_more = |origin| (origin == from) == (2 * count > lines.len());
            if let Some(oldest) = lines.iter().position(|(origin, _)| is_of_more(*origin)) {
                lines.remove(oldest);
            }
        }
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(|(_, line)| line.clone()).collect()
    }
}

/// Passes `from` on to `to` on a thread of its own, since both may block: a terminal that is not
/// read from, or a model that prints without end, must hold up nothing else.
pub(super) fn pass_through(
    mut from: impl Read + Send + 'static,
    origin: Origin,
    to: Output,
    prefix: Option<String>,
    tail: Tail,
    lines: mpsc::Sender<String>,
) -> io::Result<()> {
    let pump = move || {
        let mut splitter = Splitter { prefix: prefix.unwrap_or_default(), ..Splitter::default() };
        let mut buffer = vec![0; 16 * 1024];
        let mut out = Vec::new();
        let mut keep = |line: &[u8]| {
            let line: String = String::from_utf8_lossy(line).chars().take(KEPT_LENGTH).collect();
            let line = line.trim_end();
            if !line.is_empty() {
                tail.push(origin, line.to_owned());
                // Nobody who follows a job reads this fast: what does not fit is left out.
                let _ = lines.try_send(line.to_owned());
            }
        };
        loop {
            let read = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            splitter.feed(&buffer[..read], &mut out, &mut keep);
            // When nobody reads our output any more, the model still runs.
            let _ = to.write(&out);
            out.clear();
        }
        splitter.finish(&mut out, &mut keep);
        let _ = to.write(&out);
    };
    thread::Builder::new().name("output".to_owned()).stack_size(256 * 1024).spawn(pump).map(drop)
}

/// Cuts a byte stream after each newline or carriage return (progress bars use the latter).
#[derive(Default)]
struct Splitter {
    prefix: String,
    partial: Vec<u8>,
}

impl Splitter {
    /// Appends the whole lines to `out` and shows each to `keep`.
    fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>, keep: &mut impl FnMut(&[u8])) {
        for piece in bytes.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            self.partial.extend_from_slice(piece);
            let is_whole = matches!(piece.last(), Some(b'\n' | b'\r'));
            if is_whole || self.partial.len() >= LONGEST_LINE {
                out.extend_from_slice(self.prefix.as_bytes());
                out.extend_from_slice(&self.partial);
                keep(&self.partial);
                self.partial.clear();
            }
        }
    }

    /// Completes a last line without a newline.
    fn finish(&mut self, out: &mut Vec<u8>, keep: &mut impl FnMut(&[u8])) {
        if !self.partial.is_empty() {
            self.feed(b"\n", out, keep);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kept_whole_and_long_ones_are_cut() {
        let mut splitter = Splitter { prefix: "[1] ".to_owned(), ..Splitter::default() };
        let (mut out, mut kept) = (Vec::new(), Vec::new());
        for piece in ["one\ntw", "o\r", "thr", "ee"] {
            splitter.feed(piece.as_bytes(), &mut out, &mut |line| kept.push(line.to_vec()));
        }
        splitter.finish(&mut out, &mut |line| kept.push(line.to_vec()));
        assert_eq!(out, b"[1] one\n[1] two\r[1] three\n");
        assert_eq!(kept, [&b"one\n"[..], b"two\r", b"three\n"]);

        let mut splitter = Splitter::default();
        let mut longest = 0;
        for _ in 0..100 {
            splitter.feed(&[b'x'; 4096], &mut out, &mut |line| longest = longest.max(line.len()));
        }
        assert_eq!(longest, LONGEST_LINE);
    }

    #[test]
    fn the_tail_is_bounded() {
        let tail = Tail::default();
        (0..100).for_each(|number| tail.push(Origin::Stdout, number.to_string()));
        assert_eq!(tail.lines().len(), KEPT_LINES);
        assert_eq!(tail.lines().last().map(String::as_str), Some("99"));
    }

    #[test]
    fn a_flood_on_one_stream_leaves_the_other_its_last_lines() {
        let tail = Tail::default();
        tail.push(Origin::Stderr, "the reason".to_owned());
        (0..100).for_each(|number| tail.push(Origin::Stdout, number.to_string()));
        assert_eq!(tail.lines().len(), KEPT_LINES);
        assert_eq!(tail.lines().first().map(String::as_str), Some("the reason"));
        (0..100).for_each(|number| tail.push(Origin::Stderr, number.to_string()));
        assert_eq!(tail.lines().iter().filter(|line| *line == "99").count(), 2);
    }
}
