//! What a pickle holds, or why it cannot be read.

use ai_integration_contract::number::MAX_DIGITS;

/// A value read from a pickle.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Pickled {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer of 64 bits.
    Integer(i64),
    /// A larger integer, in decimal.
    BigInteger(String),
    /// A floating point number.
    Float(f64),
    /// `str` of Python 3, `unicode` of Python 2.
    Text(String),
    /// `bytes`, `bytearray`, or `str` of Python 2, which may be text as well as bytes: whoever
    /// asked for the value knows.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<Pickled>),
    /// A tuple.
    Tuple(Vec<Pickled>),
    /// A dict, in the order in which its entries were set. A key that is set twice is here twice,
    /// and its last value is the one that counts.
    Dict(Vec<(Pickled, Pickled)>),
}

/// The reason why a pickle cannot be read, and the byte at which it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PickleError {
    /// It asks for an import, a call or a kind of object that is not plain data.
    #[error(
        "refused `{name}` at byte {offset}: only plain data is read from a pickle; \
         write the dict with plain bytes, str and numbers"
    )]
    Refused {
        /// The name of what it asks for.
        name: String,
        /// The place in the bytes.
        offset: usize,
    },
    /// It ends before its end is marked.
    #[error("the pickle is cut off after byte {offset}; send all of it")]
    Truncated {
        /// The place where the bytes end.
        offset: usize,
    },
    /// It is not a pickle, or a broken one.
    #[error("not a valid pickle: {what} at byte {offset}")]
    Malformed {
        /// The fault in words.
        what: &'static str,
        /// The place in the bytes.
        offset: usize,
    },
    /// It stands for more than is read.
    #[error("the pickle holds more than {limit}, seen at byte {offset}; send less at a time")]
    TooLarge {
        /// The limit that it is over.
        limit: Limit,
        /// The place in the bytes.
        offset: usize,
    },
    /// A list or dict contains itself.
    #[error("a value that contains itself is made at byte {offset}; only plain data is read")]
    Recursive {
        /// The place where it is made.
        offset: usize,
    },
    /// Something follows the end.
    #[error("the pickle ends at byte {offset}, but more bytes follow; send one pickle and no more")]
    Trailing {
        /// The place where the pickle ends.
        offset: usize,
    },
}

/// A limit on what a pickle may hold, with shared values counted wherever they appear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Lists, tuples and dicts inside one another.
    Depth,
    /// Values of any kind.
    Values,
    /// Bytes of all text, bytes and long integers together.
    Bytes,
    /// Decimal digits of one integer; more would make its conversion slow.
    Digits,
    /// Steps of the machine.
    Instructions,
}

impl Limit {
    /// The largest number that is still read.
    pub(crate) const fn most(self) -> usize {
        match self {
            Limit::Depth => 64,
            Limit::Values => 1_000_000,
            Limit::Bytes => 512 << 20,
            Limit::Digits => MAX_DIGITS,
            Limit::Instructions => 8_000_000,
        }
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match self {
            Limit::Depth => "levels of nesting",
            Limit::Values => "values",
            Limit::Bytes => "bytes of text and data",
            Limit::Digits => "digits in one integer",
            Limit::Instructions => "instructions",
        };
        write!(formatter, "{} {what}", self.most())
    }
}
