//! The output of a worker, which is passed on line by line, as it is or in the form of the log.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread;

use tokio::sync::mpsc;

use crate::link::board::Stream;
use crate::worker::pipe::Pipe;
use crate::worker::tail::{Line, Tail};

/// The length in bytes at which a line is passed on before it is complete.
const LONGEST_LINE: usize = 64 * 1024;

/// One of the engine's own output streams.
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

/// A line that a worker printed, or a part of a line that is longer than 64 KiB.
#[derive(Debug)]
pub struct PrintedLine<'a> {
    /// The worker's number, if there are several.
    pub worker: Option<usize>,
    /// The stream that it was printed on.
    pub stream: Stream,
    /// The text, without the line end. Bytes that are not valid UTF-8 are replaced.
    pub text: &'a str,
    /// True if the next part belongs to the same line.
    pub is_partial: bool,
}

/// A function that appends a line in another form, such as a JSON object, to the output.
pub type LineForm = fn(&PrintedLine<'_>, &mut Vec<u8>);

/// The form of a worker's printed lines, and the receivers of copies of them.
#[derive(Clone, Debug)]
pub(super) struct Passage {
    /// The worker's number, if there are several.
    pub(super) worker: Option<usize>,
    /// The form of the lines; `None` to pass them on as they are.
    pub(super) form: Option<LineForm>,
    pub(super) tail: Tail,
    pub(super) lines: mpsc::Sender<Line>,
}

impl Passage {
    /// Copies the output from a pipe to `to` on a thread of its own. Both may block, and a terminal
    /// that does not read or a model that prints without end must not block the engine.
    pub(super) fn start(self, pipe: Arc<Pipe>, to: Output) -> io::Result<()> {
        let pump = move || {
            let mut splitter = Splitter::default();
            let mut buffer = vec![0; 16 * 1024];
            let mut out = Vec::new();
            loop {
                let read = pipe.read(&mut buffer).unwrap_or(0);
                let mut each = |part: LinePart<'_>| self.take(pipe.stream(), &part, &mut out);
                if read == 0 {
                    splitter.finish(&mut each);
                } else {
                    splitter.feed(&buffer[..read], &mut each);
                }
                // If nobody reads the engine's output any more, the model goes on.
                let _ = to.write(&out);
                if read == 0 {
                    return;
                }
                out.clear();
            }
        };
        let thread = thread::Builder::new().name("output".to_owned()).stack_size(256 * 1024);
        thread.spawn(pump).map(drop)
    }

    /// Appends a part of a line to `out`, and keeps it for errors and followed jobs.
    fn take(&self, stream: Stream, part: &LinePart<'_>, out: &mut Vec<u8>) {
        match (self.form, self.worker) {
            (Some(form), worker) => {
                let text = String::from_utf8_lossy(part.bytes);
                let text = text.trim_end_matches(['\n', '\r']);
                if !text.is_empty() {
                    let is_partial = part.is_partial;
                    form(&PrintedLine { worker, stream, text, is_partial }, out);
                }
            }
            (None, worker) => {
                if let Some(worker) = worker {
                    out.extend_from_slice(format!("[worker {worker}] ").as_bytes());
                }
                out.extend_from_slice(part.bytes);
            }
        }
        if !part.bytes.trim_ascii().is_empty() {
            let line = Line::new(stream, part.start, part.bytes);
            self.tail.push(line.clone());
            // If the engine does not read fast enough, lines are dropped.
            let _ = self.lines.try_send(line);
        }
    }
}

/// A line with its end, or a part of a long one.
#[derive(Debug, PartialEq)]
struct LinePart<'a> {
    bytes: &'a [u8],
    /// The position of the first byte in the stream.
    start: u64,
    is_partial: bool,
}

/// Cuts a byte stream after each newline or carriage return (progress bars use the latter).
#[derive(Default)]
struct Splitter {
    partial: Vec<u8>,
    start: u64,
}

impl Splitter {
    /// Calls `each` with every complete line.
    fn feed(&mut self, bytes: &[u8], each: &mut impl FnMut(LinePart<'_>)) {
        for part in bytes.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            self.partial.extend_from_slice(part);
            let is_partial = !matches!(part.last(), Some(b'\n' | b'\r'));
            if is_partial && self.partial.len() < LONGEST_LINE {
                continue;
            }
            let length =
                if is_partial { whole_characters(&self.partial) } else { self.partial.len() };
            each(LinePart { bytes: &self.partial[..length], start: self.start, is_partial });
            self.partial.drain(..length);
            self.start += length as u64;
        }
    }

    /// Completes the last line if it has no newline.
    fn finish(&mut self, each: &mut impl FnMut(LinePart<'_>)) {
        if !self.partial.is_empty() {
            self.feed(b"\n", each);
        }
    }
}

/// Returns the length of text without an incomplete character at its end.
fn whole_characters(text: &[u8]) -> usize {
    let last = text.utf8_chunks().last();
    let cut = last.map_or(&[][..], |last| last.invalid());
    // Bytes that no further byte can complete are not valid UTF-8 anyway.
    let may_go_on = std::str::from_utf8(cut).is_err_and(|error| error.error_len().is_none());
    if may_go_on { text.len() - cut.len() } else { text.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kept_whole_and_long_ones_are_cut() {
        let mut splitter = Splitter::default();
        let mut kept = Vec::new();
        let mut keep = |part: LinePart<'_>| kept.push((part.bytes.to_vec(), part.start));
        for part in ["one\ntw", "o\r", "thr", "ee"] {
            splitter.feed(part.as_bytes(), &mut keep);
        }
        splitter.finish(&mut keep);
        let expected = [(&b"one\n"[..], 0), (b"two\r", 4), (b"three\n", 8)];
        assert_eq!(kept, expected.map(|(line, start)| (line.to_vec(), start)));

        let mut splitter = Splitter::default();
        let mut longest = 0;
        for _ in 0..100 {
            splitter.feed(&[b'x'; 4096], &mut |part| longest = longest.max(part.bytes.len()));
        }
        assert_eq!(longest, LONGEST_LINE);
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let mut splitter = Splitter::default();
        let mut parts = Vec::new();
        let mut keep = |part: LinePart<'_>| parts.push((part.bytes.to_vec(), part.is_partial));
        let text = format!("{}\n", "€".repeat(LONGEST_LINE));
        text.as_bytes().chunks(4096).for_each(|bytes| splitter.feed(bytes, &mut keep));
        assert!(parts.iter().all(|(bytes, _)| std::str::from_utf8(bytes).is_ok()));
        assert!(parts.iter().rev().skip(1).all(|(_, is_partial)| *is_partial));
        assert!(parts.last().is_some_and(|(_, is_partial)| !is_partial));
        let whole: Vec<u8> = parts.into_iter().flat_map(|(bytes, _)| bytes).collect();
        assert_eq!(whole, text.as_bytes());
        for (text, length) in [(&b"a\xc3"[..], 1), (b"a\xff", 2), (b"\xe2\x82", 0), (b"", 0)] {
            assert_eq!(whole_characters(text), length);
        }
    }
}
