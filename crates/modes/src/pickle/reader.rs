//! Reads the operands of a pickle's instructions.

use std::borrow::Cow;

use crate::pickle::value::{Limit, PickleError, Pickled};

/// A reader with a position in the bytes of a pickle. It copies nothing, and never reads past the
/// end.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes, offset: 0 }
    }

    /// Returns the number of bytes read so far.
    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    pub(super) fn malformed(&self, what: &'static str) -> PickleError {
        PickleError::Malformed { what, offset: self.offset }
    }

    fn rest(&self) -> &'a [u8] {
        &self.bytes[self.offset..]
    }

    fn truncated(&self) -> PickleError {
        PickleError::Truncated { offset: self.bytes.len() }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let array = *self.rest().first_chunk::<N>().ok_or_else(|| self.truncated())?;
        self.offset += N;
        Ok(array)
    }

    pub(super) fn byte(&mut self) -> Result<u8, PickleError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Reads an unsigned little-endian number of `N` bytes, at most eight.
    pub(super) fn unsigned<const N: usize>(&mut self) -> Result<u64, PickleError> {
        let array = self.array::<N>()?;
        Ok(array.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// Reads an unsigned length of `N` bytes, and then this number of bytes.
    pub(super) fn counted<const N: usize>(&mut self) -> Result<&'a [u8], PickleError> {
        let count = self.unsigned::<N>()?;
        self.available(count)?;
        let (counted, _) = self.rest().split_at(usize::try_from(count).unwrap_or(usize::MAX));
        self.offset += counted.len();
        Ok(counted)
    }

    /// Reads a signed length of four bytes, which must not be negative, and then this number of
    /// bytes.
    pub(super) fn counted_signed(&mut self) -> Result<&'a [u8], PickleError> {
        match self.rest().get(3) {
            Some(0x80..) => Err(self.malformed("a negative length")),
            _ => self.counted::<4>(),
        }
    }

    /// Checks that at least `count` bytes are left.
    pub(super) fn available(&self, count: u64) -> Result<(), PickleError> {
        if count > self.rest().len() as u64 { Err(self.truncated()) } else { Ok(()) }
    }

    /// Reads up to the next line feed, and returns the bytes before it.
    pub(super) fn line(&mut self) -> Result<&'a [u8], PickleError> {
        let end = self.rest().iter().position(|byte| *byte == b'\n');
        let line = &self.rest()[..end.ok_or_else(|| self.truncated())?];
        self.offset += line.len() + 1;
        Ok(line)
    }

    /// Reads a line as text.
    pub(super) fn text_line(&mut self) -> Result<&'a str, PickleError> {
        let line = self.line()?;
        self.utf8(line)
    }

    /// Reads a line with a number of any type that can be parsed from text.
    pub(super) fn number_line<T: std::str::FromStr>(&mut self) -> Result<T, PickleError> {
        self.text_line()?.trim().parse().map_err(|_| self.malformed("an invalid number"))
    }

    pub(super) fn utf8(&self, bytes: &'a [u8]) -> Result<&'a str, PickleError> {
        std::str::from_utf8(bytes).map_err(|_| self.malformed("text that is not UTF-8"))
    }

    /// Parses a line with a decimal integer, which may end with an `L`.
    pub(super) fn integer_in(&self, line: &str) -> Result<Pickled, PickleError> {
        let line = line.trim();
        let line = line.strip_suffix('L').unwrap_or(line);
        if let Ok(integer) = line.parse() {
            return Ok(Pickled::Integer(integer));
        }
        let (sign, digits) = line.strip_prefix('-').map_or(("", line), |digits| ("-", digits));
        let digits = digits.trim_start_matches('0');
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(self.malformed("an invalid integer"));
        }
        self.big_integer(sign, digits)
    }

    /// Converts a little-endian integer in two's complement.
    pub(super) fn integer(&self, bytes: &[u8]) -> Result<Pickled, PickleError> {
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        if bytes.len() <= 8 {
            let mut whole = [if negative { 0xff } else { 0 }; 8];
            whole[..bytes.len()].copy_from_slice(bytes);
            return Ok(Pickled::Integer(i64::from_le_bytes(whole)));
        }
        // A byte has at least 2.4 decimal digits, so a number that is too long is rejected before
        // the slow conversion.
        if bytes.len() * 12 / 5 > Limit::Digits.maximum() + 3 {
            return Err(self.too_many_digits());
        }
        let digits = decimal(magnitude(bytes, negative));
        match format!("{}{digits}", if negative { "-" } else { "" }).parse() {
            Ok(integer) => Ok(Pickled::Integer(integer)),
            Err(_) => self.big_integer(if negative { "-" } else { "" }, &digits),
        }
    }

    fn big_integer(&self, sign: &str, digits: &str) -> Result<Pickled, PickleError> {
        if digits.len() > Limit::Digits.maximum() {
            return Err(self.too_many_digits());
        }
        Ok(Pickled::BigInteger(format!("{sign}{digits}")))
    }

    fn too_many_digits(&self) -> PickleError {
        PickleError::TooLarge { limit: Limit::Digits, offset: self.offset }
    }

    /// Reads a line with the `repr` of a Python 2 `str`: in quotes, with backslash escapes.
    pub(super) fn quoted_line(&mut self) -> Result<Cow<'a, [u8]>, PickleError> {
        let line = self.line()?.trim_ascii();
        let ([b'\'', inner @ .., b'\''] | [b'"', inner @ .., b'"']) = line else {
            return Err(self.malformed("a string without its quotes"));
        };
        if !inner.contains(&b'\\') {
            return Ok(Cow::Borrowed(inner));
        }
        let mut plain = Vec::with_capacity(inner.len());
        let mut rest = inner;
        while let [first, tail @ ..] = rest {
            let (byte, tail) = match (first, tail) {
                (b'\\', [b'x', digits @ ..]) => self.hexadecimal::<2>(digits)?,
                (b'\\', [b'0'..=b'7', ..]) => octal(tail),
                (b'\\', [escaped, tail @ ..]) => match simple_escape(*escaped) {
                    Some(byte) => (u32::from(byte), tail),
                    None => (u32::from(b'\\'), &rest[1..]),
                },
                (byte, tail) => (u32::from(*byte), tail),
            };
            // An octal escape above 377 keeps only its low eight bits, as in Python.
            plain.push(byte.to_le_bytes()[0]);
            rest = tail;
        }
        Ok(Cow::Owned(plain))
    }

    /// Reads a line in Python's `raw-unicode-escape`: Latin-1, with `\u` and `\U` for all other
    /// characters.
    pub(super) fn escaped_line(&mut self) -> Result<Cow<'a, str>, PickleError> {
        let line = self.line()?;
        if line.is_ascii() && !line.contains(&b'\\') {
            return self.utf8(line).map(Cow::Borrowed);
        }
        let mut text = String::with_capacity(line.len());
        let mut rest = line;
        while let [first, tail @ ..] = rest {
            let (code, tail) = match (first, tail) {
                (b'\\', [b'u', digits @ ..]) => self.hexadecimal::<4>(digits)?,
                (b'\\', [b'U', digits @ ..]) => self.hexadecimal::<8>(digits)?,
                (b'\\', [b'\\', tail @ ..]) => {
                    // The second of two backslashes starts no escape.
                    text.push('\\');
                    (u32::from(b'\\'), tail)
                }
                (byte, tail) => (u32::from(*byte), tail),
            };
            let character = char::from_u32(code);
            text.push(character.ok_or_else(|| self.malformed("half of a surrogate pair"))?);
            rest = tail;
        }
        Ok(Cow::Owned(text))
    }

    /// Parses `N` hexadecimal digits. Returns the number, and the text after the digits.
    fn hexadecimal<'b, const N: usize>(
        &self,
        text: &'b [u8],
    ) -> Result<(u32, &'b [u8]), PickleError> {
        let number = text.first_chunk::<N>().and_then(|digits| {
            digits
                .iter()
                .try_fold(0, |number, digit| Some(number << 4 | char::from(*digit).to_digit(16)?))
        });
        Ok((number.ok_or_else(|| self.malformed("an incomplete escape"))?, &text[N..]))
    }
}

/// Parses one to three octal digits. Returns the number, and the text after the digits.
fn octal(text: &[u8]) -> (u32, &[u8]) {
    let is_octal = |byte: &&u8| matches!(byte, b'0'..=b'7');
    let count = text.iter().take(3).take_while(is_octal).count();
    let (digits, rest) = text.split_at(count);
    (digits.iter().fold(0, |number, digit| number << 3 | u32::from(digit - b'0')), rest)
}

fn simple_escape(escaped: u8) -> Option<u8> {
    Some(match escaped {
        b'\\' | b'\'' | b'"' => escaped,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'v' => 11,
        _ => return None,
    })
}

/// Returns the absolute value of an integer in two's complement, as little-endian words of 32 bits.
fn magnitude(bytes: &[u8], negative: bool) -> Vec<u32> {
    let fill = if negative { 0xff } else { 0 };
    let mut carry = negative;
    let words = bytes.chunks(4).map(|chunk| {
        let mut word = [fill; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        let word = u32::from_le_bytes(word);
        if !negative {
            return word;
        }
        let (word, overflow) = (!word).overflowing_add(u32::from(carry));
        carry = overflow;
        word
    });
    words.collect()
}

/// Returns the decimal digits of a number that is given as little-endian words of 32 bits.
fn decimal(mut words: Vec<u32>) -> String {
    const GROUP: u64 = 1_000_000_000;
    let mut groups = Vec::new();
    while !words.is_empty() {
        let mut remainder = 0;
        for word in words.iter_mut().rev() {
            let dividend = remainder << 32 | u64::from(*word);
            *word = u32::try_from(dividend / GROUP).unwrap_or(u32::MAX);
            remainder = dividend % GROUP;
        }
        while words.last() == Some(&0) {
            words.pop();
        }
        groups.push(remainder);
    }
    let padded: Vec<String> = groups.iter().rev().map(|group| format!("{group:09}")).collect();
    let digits = padded.concat();
    match digits.trim_start_matches('0') {
        "" => "0".to_owned(),
        digits => digits.to_owned(),
    }
}
