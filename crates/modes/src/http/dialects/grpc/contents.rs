//! Reads the typed contents of a tensor. Numbers become raw data, as if the client had sent them so.

use ai_integration_contract::{Error, FieldError};
use bytes::{Bytes, BytesMut};

use super::protocol::InferTensorContents;
use crate::http::tensors::datatype::Datatype;
use crate::http::tensors::tensor::TensorData;

/// Returns the data of the tensor `name`.
pub(crate) fn tensor_data(
    name: &str,
    datatype: Datatype,
    contents: InferTensorContents,
) -> Result<TensorData, Error> {
    let total = contents.count();
    let InferTensorContents {
        bool_contents,
        int_contents,
        int64_contents,
        uint_contents,
        uint64_contents,
        fp32_contents,
        fp64_contents,
        bytes_contents,
    } = contents;
    let (field, count, raw) = match datatype {
        Datatype::Bytes => {
            check(name, "bytes_contents", bytes_contents.len(), total)?;
            return Ok(TensorData::Bytes(bytes_contents));
        }
        Datatype::Bool => raw("bool_contents", &bool_contents, |value| Some([u8::from(value)])),
        Datatype::Int8 => raw("int_contents", &int_contents, |value| {
            i8::try_from(value).ok().map(i8::to_le_bytes)
        }),
        Datatype::Int16 => raw("int_contents", &int_contents, |value| {
            i16::try_from(value).ok().map(i16::to_le_bytes)
        }),
        Datatype::Int32 => raw("int_contents", &int_contents, |value| Some(value.to_le_bytes())),
        Datatype::Int64 => {
            raw("int64_contents", &int64_contents, |value| Some(value.to_le_bytes()))
        }
        Datatype::Uint8 => raw("uint_contents", &uint_contents, |value| {
            u8::try_from(value).ok().map(u8::to_le_bytes)
        }),
        Datatype::Uint16 => raw("uint_contents", &uint_contents, |value| {
            u16::try_from(value).ok().map(u16::to_le_bytes)
        }),
        Datatype::Uint32 => raw("uint_contents", &uint_contents, |value| Some(value.to_le_bytes())),
        Datatype::Uint64 => {
            raw("uint64_contents", &uint64_contents, |value| Some(value.to_le_bytes()))
        }
        Datatype::Fp32 => raw("fp32_contents", &fp32_contents, |value| Some(value.to_le_bytes())),
        Datatype::Fp64 => raw("fp64_contents", &fp64_contents, |value| Some(value.to_le_bytes())),
        Datatype::Fp16 | Datatype::Bf16 => {
            let kind = datatype.name();
            let message = format!("{kind} has no typed contents; send it in raw_input_contents");
            return Err(invalid(name, message));
        }
    };
    check(name, field, count, total)?;
    raw.map(TensorData::Raw).ok_or_else(|| {
        invalid(name, format!("a number is outside the range of {}", datatype.name()))
    })
}

/// Makes the error of the input or output `name`.
pub(crate) fn invalid(name: &str, message: impl Into<String>) -> Error {
    Error::invalid_inputs(vec![FieldError { name: name.to_owned(), message: message.into() }])
}

impl InferTensorContents {
    /// Returns the number of elements in all fields.
    fn count(&self) -> usize {
        self.bool_contents.len()
            + self.int_contents.len()
            + self.int64_contents.len()
            + self.uint_contents.len()
            + self.uint64_contents.len()
            + self.fp32_contents.len()
            + self.fp64_contents.len()
            + self.bytes_contents.len()
    }
}

/// Refuses elements in another field than the one of the datatype.
fn check(name: &str, field: &str, count: usize, total: usize) -> Result<(), Error> {
    if count == total {
        return Ok(());
    }
    Err(invalid(name, format!("elements of its datatype belong in {field} only")))
}

/// Returns the name of a field, the number of its elements, and the elements in little-endian order;
/// `None` if one of them does not fit.
fn raw<T: Copy, const SIZE: usize>(
    field: &'static str,
    values: &[T],
    write: impl Fn(T) -> Option<[u8; SIZE]>,
) -> (&'static str, usize, Option<Bytes>) {
    let mut raw = BytesMut::with_capacity(values.len() * SIZE);
    let fit = values.iter().try_for_each(|value| {
        raw.extend_from_slice(&write(*value)?);
        Some(())
    });
    (field, values.len(), fit.map(|()| raw.freeze()))
}
