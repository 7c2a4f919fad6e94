//! The flat list of a pickle's values, and the tree that is built from it.

use std::borrow::Cow;

use crate::pickle::value::{Limit, PickleError, Pickled};

/// The index of a value in the list.
pub(super) type Id = usize;

/// A value that refers to its parts by index, so that a pickle can use a list before it fills the
/// list.
pub(super) enum Node<'a> {
    /// A value without parts that is neither text nor bytes.
    Scalar(Pickled),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    /// A dict: key, value, key, value and so on.
    Dict(Vec<Id>),
    /// One of the few functions that a pickle of plain data calls.
    Function(Function),
}

/// A value, and the offset of the instruction that made it.
pub(super) struct Made<'a> {
    pub(super) node: Node<'a>,
    pub(super) offset: usize,
}

/// The functions that Python's own pickles of plain data call.
#[derive(Clone, Copy)]
pub(super) enum Function {
    /// `_codecs.encode`, which makes bytes of text in Latin-1.
    Encode,
    /// The type `bytes`, called without arguments for empty bytes.
    Bytes,
    /// The type `bytearray`, called with bytes or text.
    Bytearray,
}

impl Function {
    pub(super) fn name(self) -> &'static str {
        match self {
            Function::Encode => "_codecs.encode",
            Function::Bytes => "bytes",
            Function::Bytearray => "bytearray",
        }
    }
}

/// Builds the tree below `root`. A value that is used several times is copied to each place.
pub(super) fn build(values: &[Made<'_>], root: Id) -> Result<Pickled, PickleError> {
    Builder { values, path: Vec::new(), values_used: 1, bytes_used: 0 }.build(root)
}

struct Builder<'v, 'a> {
    values: &'v [Made<'a>],
    /// The lists, tuples and dicts that contain the current value.
    path: Vec<Id>,
    values_used: usize,
    bytes_used: usize,
}

impl Builder<'_, '_> {
    fn build(&mut self, id: Id) -> Result<Pickled, PickleError> {
        let Made { node, offset } = &self.values[id];
        let offset = *offset;
        match node {
            Node::Scalar(scalar) => {
                let length =
                    if let Pickled::BigInteger(digits) = scalar { digits.len() } else { 0 };
                self.take_bytes(length, offset)?;
                Ok(scalar.clone())
            }
            Node::Text(text) => {
                self.take_bytes(text.len(), offset)?;
                Ok(Pickled::Text(text.clone().into_owned()))
            }
            Node::Bytes(bytes) => {
                self.take_bytes(bytes.len(), offset)?;
                Ok(Pickled::Bytes(bytes.clone().into_owned()))
            }
            Node::List(parts) => self.build_parts(id, offset, parts).map(Pickled::List),
            Node::Tuple(parts) => self.build_parts(id, offset, parts).map(Pickled::Tuple),
            Node::Dict(parts) => {
                let mut parts = self.build_parts(id, offset, parts)?.into_iter();
                let pairs = std::iter::from_fn(|| parts.next().zip(parts.next()));
                Ok(Pickled::Dict(pairs.collect()))
            }
            Node::Function(function) => {
                Err(PickleError::Refused { name: function.name().to_owned(), offset })
            }
        }
    }

    fn build_parts(
        &mut self,
        id: Id,
        offset: usize,
        parts: &[Id],
    ) -> Result<Vec<Pickled>, PickleError> {
        if self.path.contains(&id) {
            return Err(PickleError::Recursive { offset });
        }
        if self.path.len() == Limit::Depth.maximum() {
            return Err(PickleError::TooLarge { limit: Limit::Depth, offset });
        }
        // The parts are counted before memory is allocated for them.
        self.values_used = take(self.values_used, parts.len(), Limit::Values, offset)?;
        self.path.push(id);
        let parts = parts.iter().map(|part| self.build(*part)).collect();
        self.path.pop();
        parts
    }

    fn take_bytes(&mut self, length: usize, offset: usize) -> Result<(), PickleError> {
        self.bytes_used = take(self.bytes_used, length, Limit::Bytes, offset)?;
        Ok(())
    }
}

/// Adds `more` to the amount `used`, and fails if the sum is above the limit.
pub(super) fn take(
    used: usize,
    more: usize,
    limit: Limit,
    offset: usize,
) -> Result<usize, PickleError> {
    match used.checked_add(more) {
        Some(total) if total <= limit.maximum() => Ok(total),
        _ => Err(PickleError::TooLarge { limit, offset }),
    }
}
