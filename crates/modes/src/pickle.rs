//! Reads pickles that hold plain data, and nothing else.
//!
//! A pickle is a program for a small stack machine, and Python's own reader lets that program
//! import and call whatever it names. This reader runs the part of the machine that builds plain
//! data (numbers, text, bytes, lists, tuples, dicts) and refuses the rest by name. Protocols 0 to
//! 5 are read, from Python 2 and 3; the instruction set is that of the standard library's
//! `pickletools`.
//!
//! Python 3 writes `bytes` under protocols 0 to 2 as a call of `_codecs.encode`, and `bytearray`
//! as a call of its type. These calls are recognised and computed here. No other is.
//!
//! A pickle may share one value many times, so a short one can stand for a huge tree. Values are
//! therefore collected side by side first, and the tree is built at the end under [limits](Limit).

mod machine;
mod reader;
mod tree;
mod value;

pub(crate) use self::value::{PickleError, Pickled};

#[cfg(test)]
mod tests;

/// Reads the one pickle that `bytes` holds. White space after its end is ignored, since shells and
/// `print` add some.
pub(crate) fn decode(bytes: &[u8]) -> Result<Pickled, PickleError> {
    let (values, root, end) = machine::run(bytes)?;
    if !bytes[end..].trim_ascii().is_empty() {
        return Err(PickleError::Trailing { offset: end });
    }
    tree::build(&values, root)
}
