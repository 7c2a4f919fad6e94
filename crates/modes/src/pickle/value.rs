//! The values that a pickle can contain, and the errors for a pickle that cannot be read.

use ai_integration_contract::number::MAX_DIGITS;

/// A value read from a pickle.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Pickled {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer that fits 64 bits.
    Integer(i64),
    /// A larger integer, in decimal.
    BigInteger(String),
    /// A floating point number.
    Float(f64),
    /// `str` of Python 3, `unicode` of Python 2.
    Text(String),
    /// `bytes`, `bytearray`, or `str` of Python 2. A `str` of Python 2 may be text or bytes; the
    /// caller must know which.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<Pickled>),
    /// A tuple.
    Tuple(Vec<Pickled>),
    /// A dict, in the order in which its entries were set. A key that was set twice occurs twice,
    /// and its last value counts.
    Dict(Vec<(Pickled, Pickled)>),
}

/// The reason why a pickle cannot be read, and its offset in the bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PickleError {
    /// The pickle contains an import, a call or a kind of object that is not plain data.
    #[error(
        "refused `{name}` at byte {offset}: only plain data is read from a pickle; \
         write the dict with plain bytes, str and numbers"
    )]
    Refused {
        /// The name of the import, call or instruction.
        name: String,
        /// The offset of the instruction.
        offset: usize,
    },
    /// The pickle ends without the instruction `STOP`.
    #[error("the pickle is cut off after byte {offset}; send all of it")]
    Truncated {
        /// The number of bytes.
        offset: usize,
    },
    /// The bytes are not a pickle, or the pickle is broken.
    #[error("not a valid pickle: {what} at byte {offset}")]
    Malformed {
        /// The mistake in words.
        what: &'static str,
        /// The offset of the mistake.
        offset: usize,
    },
    /// The pickle exceeds a limit.
    #[error("the pickle contains more than {limit}, at byte {offset}; send less at once")]
    TooLarge {
        /// The exceeded limit.
        limit: Limit,
        /// The offset at which the limit was exceeded.
        offset: usize,
    },
    /// A list or dict contains itself.
    #[error("the value made at byte {offset} contains itself; only plain data is read")]
    Recursive {
        /// The offset of the instruction that made the value.
        offset: usize,
    },
    /// More bytes follow after the end of the pickle.
    #[error("the pickle ends at byte {offset}, but more bytes follow; send only one pickle")]
    Trailing {
        /// The offset of the end of the pickle.
        offset: usize,
    },
}

/// A limit for one pickle. A value that is used several times counts each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// The nesting of lists, tuples and dicts.
    Depth,
    /// The number of values of any kind.
    Values,
    /// The number of bytes of all text, bytes and long integers together.
    Bytes,
    /// The number of decimal digits of one integer. Converting a longer one would be slow.
    Digits,
    /// The number of instructions.
    Instructions,
}

impl Limit {
    /// Returns the maximum number that is allowed.
    pub(crate) const fn maximum(self) -> usize {
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
        write!(formatter, "{} {what}", self.maximum())
    }
}
