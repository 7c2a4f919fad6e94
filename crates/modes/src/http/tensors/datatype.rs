//! The datatypes of tensors, as the Open Inference Protocol names them. BF16 is an addition of
//! Triton.

use serde::{Serialize, Serializer};
use serde_json::{Number, Value as Json};

/// The type of every element of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Datatype {
    Bool,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Int8,
    Int16,
    Int32,
    Int64,
    Fp16,
    Fp32,
    Fp64,
    Bf16,
    /// Bytes of any length, such as a text in UTF-8 or a file.
    Bytes,
}

impl Datatype {
    pub(crate) const ALL: [Datatype; 14] = [
        Datatype::Bool,
        Datatype::Uint8,
        Datatype::Uint16,
        Datatype::Uint32,
        Datatype::Uint64,
        Datatype::Int8,
        Datatype::Int16,
        Datatype::Int32,
        Datatype::Int64,
        Datatype::Fp16,
        Datatype::Fp32,
        Datatype::Fp64,
        Datatype::Bf16,
        Datatype::Bytes,
    ];

    /// Finds a datatype by its name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Datatype::ALL.into_iter().find(|datatype| datatype.name() == name)
    }

    /// Returns the name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Datatype::Bool => "BOOL",
            Datatype::Uint8 => "UINT8",
            Datatype::Uint16 => "UINT16",
            Datatype::Uint32 => "UINT32",
            Datatype::Uint64 => "UINT64",
            Datatype::Int8 => "INT8",
            Datatype::Int16 => "INT16",
            Datatype::Int32 => "INT32",
            Datatype::Int64 => "INT64",
            Datatype::Fp16 => "FP16",
            Datatype::Fp32 => "FP32",
            Datatype::Fp64 => "FP64",
            Datatype::Bf16 => "BF16",
            Datatype::Bytes => "BYTES",
        }
    }

    /// Returns the size of an element in bytes; `None` for [`Datatype::Bytes`].
    pub(crate) const fn size(self) -> Option<usize> {
        match self {
            Datatype::Bool | Datatype::Uint8 | Datatype::Int8 => Some(1),
            Datatype::Uint16 | Datatype::Int16 | Datatype::Fp16 | Datatype::Bf16 => Some(2),
            Datatype::Uint32 | Datatype::Int32 | Datatype::Fp32 => Some(4),
            Datatype::Uint64 | Datatype::Int64 | Datatype::Fp64 => Some(8),
            Datatype::Bytes => None,
        }
    }

    /// Reads one little-endian element. Returns `None` for bytes of another length, for
    /// [`Datatype::Bytes`], and for numbers that JSON lacks: infinity and not-a-number.
    pub(crate) fn read(self, bytes: &[u8]) -> Option<Json> {
        macro_rules! number {
            ($kind:ty) => {
                <$kind>::from_le_bytes(bytes.try_into().ok()?)
            };
        }
        Some(match self {
            Datatype::Bool => (number!(u8) != 0).into(),
            Datatype::Uint8 => number!(u8).into(),
            Datatype::Uint16 => number!(u16).into(),
            Datatype::Uint32 => number!(u32).into(),
            Datatype::Uint64 => number!(u64).into(),
            Datatype::Int8 => number!(i8).into(),
            Datatype::Int16 => number!(i16).into(),
            Datatype::Int32 => number!(i32).into(),
            Datatype::Int64 => number!(i64).into(),
            Datatype::Fp16 => float(half(number!(u16)))?,
            Datatype::Fp32 => float(number!(f32).into())?,
            Datatype::Fp64 => float(number!(f64))?,
            Datatype::Bf16 => float(f32::from_bits(u32::from(number!(u16)) << 16).into())?,
            Datatype::Bytes => return None,
        })
    }

    /// Reads one element that is a number or a boolean in JSON. Returns `None` if it does not fit.
    /// FP16, BF16 and BYTES have no such form.
    pub(crate) fn accept(self, json: &Json) -> Option<Json> {
        let number = match (self, json) {
            (Datatype::Bool, Json::Bool(_)) => return Some(json.clone()),
            (_, Json::Number(number)) => number,
            _ => return None,
        };
        let is_in = |least: i128, greatest: i128| {
            let whole = number.as_str().parse::<i128>().ok()?;
            (least..=greatest).contains(&whole).then(|| json.clone())
        };
        match self {
            Datatype::Uint8 => is_in(0, u8::MAX.into()),
            Datatype::Uint16 => is_in(0, u16::MAX.into()),
            Datatype::Uint32 => is_in(0, u32::MAX.into()),
            Datatype::Uint64 => is_in(0, u64::MAX.into()),
            Datatype::Int8 => is_in(i8::MIN.into(), i8::MAX.into()),
            Datatype::Int16 => is_in(i16::MIN.into(), i16::MAX.into()),
            Datatype::Int32 => is_in(i32::MIN.into(), i32::MAX.into()),
            Datatype::Int64 => is_in(i64::MIN.into(), i64::MAX.into()),
            Datatype::Fp32 | Datatype::Fp64 => float(number.as_f64()?),
            Datatype::Bool | Datatype::Fp16 | Datatype::Bf16 | Datatype::Bytes => None,
        }
    }
}

impl Serialize for Datatype {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

fn float(value: f64) -> Option<Json> {
    Number::from_f64(value).map(Json::Number)
}

/// Returns the value of a number in 16 bits (IEEE 754, binary16).
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 0 { 1.0 } else { -1.0 };
    let fraction = f64::from(bits & 0x3ff);
    sign * match i32::from(bits >> 10 & 0x1f) {
        0 => fraction * 2_f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        exponent => (1024.0 + fraction) * 2_f64.powi(exponent - 25),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_datatype_has_a_name_and_reads_its_elements() {
        for (name, bytes, value) in [
            ("BOOL", &[2][..], json!(true)),
            ("UINT8", &[255], json!(255)),
            ("UINT16", &[1, 2], json!(513)),
            ("UINT32", &[0, 0, 0, 128], json!(2_147_483_648_u32)),
            ("UINT64", &[255; 8], json!(u64::MAX)),
            ("INT8", &[255], json!(-1)),
            ("INT16", &[0, 128], json!(-32768)),
            ("INT32", &[255; 4], json!(-1)),
            ("INT64", &[0, 0, 0, 0, 0, 0, 0, 128], json!(i64::MIN)),
            ("FP16", &[0, 0xc1], json!(-2.5)),
            ("FP16", &[1, 0], json!(5.960_464_477_539_063e-8)),
            ("FP32", &[0, 0, 0xc0, 0x3f], json!(1.5)),
            ("FP64", &[0, 0, 0, 0, 0, 0, 0xf8, 0x3f], json!(1.5)),
            ("BF16", &[0xc0, 0x3f], json!(1.5)),
        ] {
            let datatype = Datatype::named(name).unwrap();
            assert_eq!(datatype.name(), name);
            assert_eq!(datatype.size(), Some(bytes.len()));
            assert_eq!(datatype.read(bytes), Some(value), "{name}");
            assert_eq!(datatype.read(&[bytes, &[0]].concat()), None);
        }
        assert_eq!(Datatype::named("BYTES"), Some(Datatype::Bytes));
        assert_eq!((Datatype::Bytes.size(), Datatype::Bytes.read(b"a")), (None, None));
        assert_eq!((Datatype::named("bool"), Datatype::named("STRING")), (None, None));
    }

    #[test]
    fn numbers_that_json_lacks_are_refused() {
        for (datatype, bytes) in [
            (Datatype::Fp16, &[0, 0x7c][..]),
            (Datatype::Fp16, &[1, 0xfc]),
            (Datatype::Bf16, &[0x80, 0x7f]),
            (Datatype::Fp32, &[0, 0, 0x80, 0xff]),
            (Datatype::Fp64, &[0, 0, 0, 0, 0, 0, 0xf8, 0x7f]),
        ] {
            assert_eq!(datatype.read(bytes), None, "{datatype:?}");
        }
    }

    #[test]
    fn numbers_in_json_must_be_in_range() {
        for (name, fits, refused) in [
            ("BOOL", json!([true, false]), json!([1, "true", null])),
            ("UINT8", json!([0, 255]), json!([-1, 256, 1.5, true, "1"])),
            ("INT8", json!([-128, 127]), json!([-129, 128])),
            ("INT64", json!([i64::MIN, i64::MAX]), json!([u64::MAX, 1.0])),
            ("UINT64", json!([0, u64::MAX]), json!([-1])),
            ("FP64", json!([0.5, -1e300]), json!([true, "1.0", [1.0]])),
            ("FP16", json!([]), json!([1.0])),
            ("BF16", json!([]), json!([1.0])),
            ("BYTES", json!([]), json!(["text", 1])),
        ] {
            let datatype = Datatype::named(name).unwrap();
            for value in fits.as_array().unwrap() {
                assert_eq!(datatype.accept(value).as_ref(), Some(value), "{name} {value}");
            }
            for value in refused.as_array().unwrap() {
                assert_eq!(datatype.accept(value), None, "{name} {value}");
            }
        }
        assert_eq!(Datatype::Fp32.accept(&json!(2)), Some(json!(2.0)));
    }
}
