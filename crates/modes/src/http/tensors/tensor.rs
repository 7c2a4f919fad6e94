//! A tensor of a request: its data in each form in which protocols send it.

use ai_integration_contract::{Error, FieldError, RawValue};
use bytes::Bytes;
use serde_json::Value as Json;

use crate::http::tensors::datatype::Datatype;

/// The maximum number of dimensions of a tensor.
const MAX_RANK: usize = 32;
/// The size in bytes of the length before each element of raw data of the datatype BYTES.
pub(crate) const LENGTH: usize = size_of::<u32>();

/// A tensor as it arrived. Nothing of it is checked yet.
#[derive(Debug)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) datatype: Datatype,
    pub(crate) shape: Vec<i64>,
    pub(crate) data: TensorData,
}

/// The elements of a tensor in row-major order.
#[derive(Debug)]
pub(crate) enum TensorData {
    /// Values in JSON, without the lists in which they may have been nested: texts for BYTES,
    /// otherwise numbers or booleans.
    Json(Vec<Json>),
    /// Little-endian elements without padding. An element of BYTES is its length in 32 bits and then
    /// its content.
    Raw(Bytes),
    /// Elements of BYTES.
    Bytes(Vec<Bytes>),
}

impl Tensor {
    /// Returns the error of this tensor with this message.
    pub(crate) fn error(&self, message: impl Into<String>) -> Error {
        let (name, message) = (self.name.clone(), message.into());
        Error::invalid_inputs(vec![FieldError { name, message }])
    }

    /// Returns the sizes of the dimensions.
    pub(crate) fn dimensions(&self) -> Result<Vec<usize>, Error> {
        if self.shape.len() > MAX_RANK {
            let rank = self.shape.len();
            return Err(self.error(format!("its shape has {rank} dimensions, over {MAX_RANK}")));
        }
        let size = |size: &i64| usize::try_from(*size).ok().filter(|size| *size > 0);
        self.shape.iter().map(size).collect::<Option<_>>().ok_or_else(|| {
            let shape = &self.shape;
            self.error(format!("its shape {shape:?} has a dimension that is not positive"))
        })
    }

    /// Returns the number of values that the tensor becomes as nested lists: its elements, and the
    /// lists. A shape that needs more elements than there can be in the data is refused.
    pub(crate) fn values(&self) -> Result<usize, Error> {
        let (mut count, mut lists) = (1_usize, 0_usize);
        for size in self.dimensions()? {
            lists = lists.saturating_add(count);
            count = count.saturating_mul(size);
        }
        self.fit(count)?;
        Ok(count.saturating_add(lists))
    }

    /// Returns the elements. Those of BYTES are bytes, or text if they arrived in JSON. Each of the
    /// others is a number or a boolean.
    pub(crate) fn into_elements(self) -> Result<Vec<RawValue>, Error> {
        let count = self.dimensions()?.into_iter().fold(1_usize, usize::saturating_mul);
        self.fit(count)?;
        match (&self.data, self.datatype.size()) {
            (TensorData::Raw(raw), None) => self.framed(raw, count),
            _ => self.unframed(),
        }
    }

    /// Refuses data that does not have `count` elements, as far as this can be seen without reading
    /// it.
    fn fit(&self, count: usize) -> Result<(), Error> {
        let (shape, kind) = (&self.shape, self.datatype.name());
        let (found, unit, needed) = match (&self.data, self.datatype.size()) {
            (TensorData::Bytes(_), Some(_)) => {
                return Err(self.error(format!("its data is not {kind}")));
            }
            (TensorData::Json(values), _) => (values.len(), "elements", count),
            (TensorData::Bytes(values), None) => (values.len(), "elements", count),
            (TensorData::Raw(raw), Some(size)) => (raw.len(), "bytes", count.saturating_mul(size)),
            // Each element has at least a length.
            (TensorData::Raw(raw), None) => ((raw.len() / LENGTH).min(count), "elements", count),
        };
        if found == needed {
            return Ok(());
        }
        let message = format!(
            "its data has {found} {unit}, but the shape {shape:?} of {kind} needs {needed}"
        );
        Err(self.error(message))
    }

    /// Reads the raw data of BYTES, whose elements have their length before them.
    fn framed(&self, raw: &Bytes, count: usize) -> Result<Vec<RawValue>, Error> {
        let shape = &self.shape;
        let mut elements = Vec::with_capacity(count);
        let mut rest = raw.clone();
        while !rest.is_empty() {
            if elements.len() == count {
                let more = rest.len();
                let message =
                    format!("its data has {more} bytes more than the shape {shape:?} needs");
                return Err(self.error(message));
            }
            let length = rest.first_chunk().map(|length| u32::from_le_bytes(*length) as usize);
            let end = length.and_then(|length| length.checked_add(LENGTH));
            let Some(end) = end.filter(|end| *end <= rest.len()) else {
                let number = elements.len();
                return Err(self.error(format!("element {number} goes beyond the end of its data")));
            };
            elements.push(RawValue::Bytes(rest.split_to(end).slice(LENGTH..)));
        }
        if elements.len() < count {
            let found = elements.len();
            let message = format!(
                "its data has {found} elements, but the shape {shape:?} of BYTES needs {count}"
            );
            return Err(self.error(message));
        }
        Ok(elements)
    }

    fn unframed(self) -> Result<Vec<RawValue>, Error> {
        let Tensor { name, datatype, data, .. } = self;
        let refuse = |message: String| {
            Error::invalid_inputs(vec![FieldError { name: name.clone(), message }])
        };
        let kind = datatype.name();
        match data {
            TensorData::Bytes(elements) => Ok(elements.into_iter().map(RawValue::Bytes).collect()),
            TensorData::Json(values) => {
                if matches!(datatype, Datatype::Fp16 | Datatype::Bf16) {
                    return Err(refuse(format!(
                        "{kind} has no form in JSON; send it as binary data"
                    )));
                }
                let element = |(index, value): (usize, Json)| match (datatype, value) {
                    (Datatype::Bytes, Json::String(text)) => Ok(RawValue::Text(text)),
                    (Datatype::Bytes, _) => {
                        Err(refuse(format!("element {index} is not a string, as {kind} needs")))
                    }
                    (_, value) => datatype
                        .accept(&value)
                        .map(RawValue::Json)
                        .ok_or_else(|| refuse(format!("element {index} is not {kind}"))),
                };
                values.into_iter().enumerate().map(element).collect()
            }
            TensorData::Raw(raw) => {
                let elements = raw.chunks_exact(datatype.size().unwrap_or(1)).enumerate();
                let element = |(index, bytes)| {
                    datatype.read(bytes).map(RawValue::Json).ok_or_else(|| {
                        refuse(format!("element {index} is infinite or not a number"))
                    })
                };
                elements.map(element).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tensor(datatype: &str, shape: &[i64], data: TensorData) -> Tensor {
        let datatype = Datatype::named(datatype).unwrap();
        Tensor { name: "x".to_owned(), datatype, shape: shape.to_vec(), data }
    }

    fn raw(data: &'static [u8]) -> TensorData {
        TensorData::Raw(Bytes::from_static(data))
    }

    fn values(json: Json) -> TensorData {
        TensorData::Json(serde_json::from_value(json).unwrap())
    }

    #[test]
    fn each_form_of_data_has_its_elements() {
        let number = |number: Json| RawValue::Json(number);
        let bytes = |content: &'static [u8]| RawValue::Bytes(content.into());
        for (tensor, elements) in [
            (tensor("INT16", &[2], raw(&[1, 0, 2, 0])), vec![number(json!(1)), number(json!(2))]),
            (tensor("UINT8", &[], raw(&[9])), vec![number(json!(9))]),
            (tensor("BYTES", &[2], raw(b"\x01\0\0\0a\0\0\0\0")), vec![bytes(b"a"), bytes(b"")]),
            (
                tensor("BYTES", &[1, 1], TensorData::Bytes(vec![Bytes::from_static(b"\xff")])),
                vec![bytes(b"\xff")],
            ),
            (tensor("BYTES", &[1], values(json!(["é"]))), vec![RawValue::Text("é".to_owned())]),
            (tensor("FP32", &[1], values(json!([2]))), vec![number(json!(2.0))]),
        ] {
            assert_eq!(tensor.into_elements().unwrap(), elements);
        }
    }

    #[test]
    fn data_that_does_not_fit_the_shape_exactly_is_refused() {
        for (tensor, words) in [
            (tensor("INT16", &[2], raw(&[1, 0, 2])), "3 bytes"),
            (tensor("INT64", &[i64::MAX, i64::MAX], raw(&[1])), "1 bytes"),
            (tensor("UINT8", &[0], raw(&[])), "not positive"),
            (tensor("UINT8", &[-1], raw(&[1])), "not positive"),
            (tensor("UINT8", &[1; 33], raw(&[1])), "33 dimensions"),
            (tensor("BYTES", &[1], raw(&[])), "0 elements"),
            (tensor("BYTES", &[1], raw(b"\x02\0\0\0a")), "beyond the end"),
            (tensor("BYTES", &[1], raw(b"\x02\0\0")), "0 elements"),
            (tensor("BYTES", &[1], raw(b"\xff\xff\xff\xffa")), "beyond the end"),
            (tensor("BYTES", &[1], raw(b"\x01\0\0\0ab")), "1 bytes more"),
            (tensor("BYTES", &[i64::MAX], raw(b"\x01\0\0\0a")), "1 elements"),
            (tensor("BYTES", &[2], values(json!(["a"]))), "1 elements"),
            (tensor("BYTES", &[1], values(json!([1]))), "not a string"),
            (tensor("INT8", &[2], values(json!([1, 300]))), "element 1 is not INT8"),
            (tensor("FP16", &[1], values(json!([1.0]))), "no form in JSON"),
            (tensor("FP32", &[1], raw(&[0, 0, 0x80, 0x7f])), "infinite"),
            (tensor("INT8", &[1], TensorData::Bytes(vec![Bytes::new()])), "not INT8"),
        ] {
            let error = tensor.into_elements().unwrap_err();
            assert!(error.message.starts_with("x: ") && error.message.contains(words), "{error}");
        }
    }

    #[test]
    fn lists_count_as_values() {
        for (shape, count) in [(&[6][..], 7), (&[2, 3], 9), (&[6, 1, 1], 19)] {
            let data = raw(&[1; 6]);
            assert_eq!(tensor("BOOL", shape, data).values().unwrap(), count, "{shape:?}");
        }
        assert_eq!(tensor("BOOL", &[], raw(&[1])).values().unwrap(), 1);
        for shape in [&[][..], &[5], &[7], &[2, 4], &[i64::MAX, i64::MAX], &[0], &[-1]] {
            assert!(tensor("BOOL", shape, raw(&[1; 6])).values().is_err(), "{shape:?}");
        }
    }
}
