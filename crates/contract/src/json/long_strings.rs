//! Takes long strings, such as files in base64, out of JSON text before it is parsed. That is
//! faster: the parser examines eight bytes at a time, and the functions that are used here at least
//! 16.

use memchr::{memchr, memchr2};

/// The minimum length in bytes of a string that is worth taking out.
pub(super) const LONG: usize = 4096;
/// Strings are taken out only if the rest of the text, which is copied, is at most the whole text
/// divided by this number.
const PARTS: usize = 4;
/// The number of bytes that are examined at once.
const BLOCK: usize = 1024;

/// JSON text without its long strings.
///
/// It is JSON if and only if the whole text is: the content of a string is taken out only if it is
/// valid, and all other text is unchanged.
pub(super) struct Shortened<'a> {
    /// The text, with one byte in the place of the content of each long string.
    text: Vec<u8>,
    /// The long strings in their order.
    strings: Vec<LongString<'a>>,
}

/// A string that was taken out.
struct LongString<'a> {
    /// The offset in the shortened text of the byte in the place of the content. While the strings
    /// are searched for, the offset of the content in the whole text.
    at: usize,
    content: &'a str,
}

impl<'a> Shortened<'a> {
    /// Takes the strings of at least `least` bytes out of a text. Returns `None` if they are not
    /// most of the text.
    pub(super) fn of(text: &'a [u8], least: usize) -> Option<Self> {
        if text.len() < least {
            return None;
        }
        let mut strings = find(text, least);
        let taken: usize = strings.iter().map(|string| string.content.len()).sum();
        let rest = text.len() - taken;
        if rest > text.len() / PARTS {
            return None;
        }
        let mut short = Vec::with_capacity(rest + strings.len());
        let mut end = 0;
        for string in &mut strings {
            short.extend_from_slice(&text[end..string.at]);
            end = string.at + string.content.len();
            string.at = short.len();
            short.push(b'_');
        }
        short.extend_from_slice(&text[end..]);
        Some(Shortened { text: short, strings })
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Returns the content that `string`, which is a slice of the shortened text, stands for.
    pub(super) fn content(&self, string: &str) -> Option<&'a str> {
        let at = string.as_ptr().addr().checked_sub(self.text.as_ptr().addr())?;
        let index = self.strings.binary_search_by_key(&at, |string| string.at).ok()?;
        Some(self.strings[index].content)
    }
}

/// Finds the strings of at least `least` bytes that are values and have no escapes. If the text is
/// not JSON, the strings found may be anything between two quotation marks.
fn find(text: &[u8], least: usize) -> Vec<LongString<'_>> {
    let mut strings = Vec::new();
    let mut at = 0;
    while let Some(quote) = memchr(b'"', &text[at..]) {
        at += quote + 1;
        let Some(plain) = memchr2(b'"', b'\\', &text[at..]) else { break };
        let end = at + plain;
        if text[end] == b'\\' {
            let Some(rest) = rest_of_escaped(&text[end..]) else { break };
            at = end + rest;
            continue;
        }
        if plain >= least
            && !is_key(&text[end + 1..])
            && let Some(content) = valid(&text[at..end])
        {
            strings.push(LongString { at, content });
        }
        at = end + 1;
    }
    strings
}

/// Returns the number of bytes from the first backslash of a string to the end of the string.
fn rest_of_escaped(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Returns true if the text after a string shows that the string is a key.
fn is_key(after: &[u8]) -> bool {
    after.trim_ascii_start().starts_with(b":")
}

/// Returns the content of a string without quotation marks and escapes, if it is valid: it has no
/// control characters and is UTF-8.
fn valid(content: &[u8]) -> Option<&str> {
    // The loop over a block does not stop early, so the compiler can use SIMD instructions.
    let has_control = |block: &[u8]| block.iter().copied().fold(u8::MAX, u8::min) < b' ';
    if content.chunks(BLOCK).any(has_control) {
        return None;
    }
    std::str::from_utf8(content).ok()
}
