//! What a worker prints: passed on line by line, as it is or in the form of the log.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread;

use tokio::sync::mpsc;

use crate::link::board::Stream;
use crate::worker::pipe::Pipe;
use crate::worker::tail::{Line, Tail};

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

/// A line that a worker printed, or a piece of one that is longer than 64 KiB.
#[derive(Debug)]
pub struct PrintedLine<'a> {
    /// The worker's number, where there are several.
    pub worker: Option<usize>,
    /// The stream that it was printed on.
    pub stream: Stream,
    /// The text, without the end of the line. Bytes that are no text are replaced.
    pub text: &'a str,
    /// Whether the next piece belongs to the same line.
    pub is_partial: bool,
}

/// Appends a line, in another form than the worker's, to what is written.
pub type LineForm = fn(&PrintedLine<'_>, &mut Vec<u8>);

/// What becomes of a worker's output.
#[derive(Clone, Debug)]
pub(super) struct Passage {
    /// The worker's number, where there are several.
    pub(super) worker: Option<usize>,
    /// The form of its lines, unless they stay as they are.
    pub(super) form: Option<LineForm>,
    pub(super) tail: Tail,
    pub(super) lines: mpsc::Sender<Line>,
}

impl Passage {
    /// Passes what comes through the pipe on to `to` on a thread of its own, since both may block: a
    /// terminal that is not read from, or a model that prints without end, must hold up nothing else.
    pub(super) fn start(self, pipe: Arc<Pipe>, to: Output) -> io::Result<()> {
        let pump = move || {
            let mut splitter = Splitter::default();
            let mut buffer = vec![0; 16 * 1024];
            let mut out = Vec::new();
            loop {
                let read = pipe.read(&mut buffer).unwrap_or(0);
                let mut each = |piece: Piece<'_>| self.take(pipe.stream(), &piece, &mut out);
                if read == 0 {
                    splitter.finish(&mut each);
                } else {
                    splitter.feed(&buffer[..read], &mut each);
                }
                // When nobody reads our output any more, the model still runs.
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

    /// Appends a piece to what is written, and keeps it.
    fn take(&self, stream: Stream, piece: &Piece<'_>, out: &mut Vec<u8>) {
        match (self.form, self.worker) {
            (Some(form), worker) => {
                let text = String::from_utf8_lossy(piece.bytes);
                let text = text.trim_end_matches(['\n', '\r']);
                if !text.is_empty() {
                    let is_partial = piece.is_partial;
                    form(&PrintedLine { worker, stream, text, is_partial }, out);
                }
            }
            (None, worker) => {
                if let Some(worker) = worker {
                    out.extend_from_slice(format!("[worker {worker}] ").as_bytes());
                }
                out.extend_from_slice(piece.bytes);
            }
        }
        if !piece.bytes.trim_ascii().is_empty() {
            let line = Line::new(stream, piece.start, piece.bytes);
            self.tail.push(line.clone());
            // Nobody who follows a job reads this fast: what does not fit is left out.
            let _ = self.lines.try_send(line);
        }
    }
}

/// A line with its end, or a part of a long one.
#[derive(Debug, PartialEq)]
struct Piece<'a> {
    bytes: &'a [u8],
    /// The place of the first byte in the stream.
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
    /// Shows each whole line to `each`.
    fn feed(&mut self, bytes: &[u8], each: &mut impl FnMut(Piece<'_>)) {
        for piece in bytes.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            self.partial.extend_from_slice(piece);
            let is_partial = !matches!(piece.last(), Some(b'\n' | b'\r'));
            if is_partial && self.partial.len() < LONGEST_LINE {
                continue;
            }
            let length =
                if is_partial { whole_characters(&self.partial) } else { self.partial.len() };
            each(Piece { bytes: &self.partial[..length], start: self.start, is_partial });
            self.partial.drain(..length);
            self.start += length as u64;
        }
    }

    /// Completes a last line without a newline.
    fn finish(&mut self, each: &mut impl FnMut(Piece<'_>)) {
        if !self.partial.is_empty() {
            self.feed(b"\n", each);
        }
    }
}

/// The length of text without the beginning of a character at its end.
fn whole_characters(text: &[u8]) -> usize {
    let last = text.utf8_chunks().last();
    let cut = last.map_or(&[][..], |last| last.invalid());
    // Longer ones, and those that no byte could complete, are no text anyway.
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
        let mut keep = |piece: Piece<'_>| kept.push((piece.bytes.to_vec(), piece.start));
        for piece in ["one\ntw", "o\r", "thr", "ee"] {
            splitter.feed(piece.as_bytes(), &mut keep);
        }
        splitter.finish(&mut keep);
        let expected = [(&b"one\n"[..], 0), (b"two\r", 4), (b"three\n", 8)];
        assert_eq!(kept, expected.map(|(line, start)| (line.to_vec(), start)));

        let mut splitter = Splitter::default();
        let mut longest = 0;
        for _ in 0..100 {
            splitter.feed(&[b'x'; 4096], &mut |piece| longest = longest.max(piece.bytes.len()));
        }
        assert_eq!(longest, LONGEST_LINE);
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let mut splitter = Splitter::default();
        let mut pieces = Vec::new();
        let mut keep = |piece: Piece<'_>| pieces.push((piece.bytes.to_vec(), piece.is_partial));
        let text = format!("{}\n", "€".repeat(LONGEST_LINE));
        text.as_bytes().chunks(4096).for_each(|bytes| splitter.feed(bytes, &mut keep));
        assert!(pieces.iter().all(|(bytes, _)| std::str::from_utf8(bytes).is_ok()));
        assert!(pieces.iter().rev().skip(1).all(|(_, is_partial)| *is_partial));
        assert!(pieces.last().is_some_and(|(_, is_partial)| !is_partial));
        let whole: Vec<u8> = pieces.into_iter().flat_map(|(bytes, _)| bytes).collect();
        assert_eq!(whole, text.as_bytes());
        for (text, length) in [(&b"a\xc3"[..], 1), (b"a\xff", 2), (b"\xe2\x82", 0), (b"", 0)] {
            assert_eq!(whole_characters(text), length);
        }
    }
}
