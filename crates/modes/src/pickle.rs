//! Reads pickles that contain only plain data.
//!
//! A pickle is a program for a small stack machine. Python's own reader lets that program import
//! and call any function. This reader runs only the instructions that build plain data: numbers,
//! text, bytes, lists, tuples and dicts. It refuses all others, and names them in the error. It
//! reads the protocols 0 to 5 of Python 2 and 3; the standard library's `pickletools` describes the
//! instructions.
//!
//! In the protocols 0 to 2, Python 3 writes `bytes` as a call of `_codecs.encode`, and `bytearray`
//! as a call of its type. This reader computes these calls itself, and refuses all others.
//!
//! A pickle may use one value many times, so a short pickle can describe a huge tree. Therefore the
//! machine first collects the values in a flat list. The tree is built at the end, under
//! [limits](value::Limit).

mod machine;
mod opcode;
mod reader;
mod tree;
mod value;

pub(crate) use self::value::{PickleError, Pickled};

#[cfg(test)]
mod tests;

/// Reads the one pickle in `bytes`. White space after its end is ignored, because shells and
/// `print` add it.
pub(crate) fn decode(bytes: &[u8]) -> Result<Pickled, PickleError> {
    let (values, root, end) = machine::run(bytes)?;
    if !bytes[end..].trim_ascii().is_empty() {
        return Err(PickleError::Trailing { offset: end });
    }
    tree::build(&values, root)
}
