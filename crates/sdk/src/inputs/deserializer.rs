//! Reads inputs by serde as a model's own types.

use ai_integration_contract::{Inputs, Value, number};
use bytes::Bytes;
use serde::de::value::{MapAccessDeserializer, MapDeserializer, SeqDeserializer, UnitDeserializer};
use serde::de::{Deserialize, Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Number, Value as Json};

use crate::files;
use crate::inputs::integers::integers;
use crate::inputs::name::Name;
use crate::invalid_input::InvalidInput;

/// The name in errors that concern no single input.
const ALL: &str = "inputs";

/// Reads all inputs as a struct, or as another type that serde reads from a map.
pub(super) fn read<'de, T: Deserialize<'de>>(inputs: &'de Inputs) -> Result<T, InvalidInput> {
    let all = MapDeserializer::new(members(inputs));
    serde_path_to_error::deserialize(all).map_err(|error| {
        let place = error.path().to_string();
        let place = if place == "." { ALL.to_owned() } else { place };
        InvalidInput::new(place, error.into_inner().to_string())
    })
}

/// Reads the input of this name, or reports that it is absent.
pub(super) fn read_one<'de, T: Deserialize<'de>>(
    name: &str,
    value: Option<&'de Value>,
) -> Result<T, InvalidInput> {
    let Some(value) = value else {
        let absent = T::deserialize(UnitDeserializer::<Error>::new());
        return absent.map_err(|_| InvalidInput::new(name, "missing"));
    };
    serde_path_to_error::deserialize(Input::from(value)).map_err(|error| {
        let place = match error.path().to_string() {
            whole if whole == "." => name.to_owned(),
            item if item.starts_with('[') => format!("{name}{item}"),
            member => format!("{name}.{member}"),
        };
        InvalidInput::new(place, error.into_inner().to_string())
    })
}

/// An input, or a part of one.
#[derive(Clone, Copy)]
enum Input<'de> {
    Text(&'de str),
    File(&'de Bytes),
    List(&'de [Value]),
    /// Any JSON value except text.
    Json(&'de Json),
}

impl<'de> From<&'de Value> for Input<'de> {
    fn from(value: &'de Value) -> Self {
        match value {
            Value::Text(text) => Input::Text(text),
            Value::Bytes(file) => Input::File(file),
            Value::List(items) => Input::List(items),
            Value::Json(json) => json.into(),
        }
    }
}

impl<'de> From<&'de Json> for Input<'de> {
    fn from(json: &'de Json) -> Self {
        json.as_str().map_or(Input::Json(json), Input::Text)
    }
}

impl<'de> IntoDeserializer<'de, Error> for Input<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Input<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Input::Text(text) => visitor.visit_borrowed_str(text),
            Input::File(file) => visitor.visit_borrowed_bytes(file),
            Input::List(items) => {
                SeqDeserializer::new(items.iter().map(Input::from)).deserialize_any(visitor)
            }
            Input::Json(Json::Array(items)) => {
                SeqDeserializer::new(items.iter().map(Input::from)).deserialize_any(visitor)
            }
            Input::Json(Json::Object(members)) => {
                MapDeserializer::new(self::members(members)).deserialize_any(visitor)
            }
            Input::Json(scalar) => scalar.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Input::Json(Json::Null) => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self {
            Input::File(file) if name == files::HANDLE => files::hand_over(file, visitor),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self {
            Input::Text(text) => text.into_deserializer().deserialize_enum(name, variants, visitor),
            Input::Json(Json::Object(members)) => {
                let members = MapDeserializer::new(self::members(members));
                MapAccessDeserializer::new(members).deserialize_enum(name, variants, visitor)
            }
            _ => self.deserialize_any(visitor),
        }
    }

    /// Reads a number as the nearest float, in any notation.
    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Input::Json(number @ Json::Number(_)) => number.deserialize_f64(visitor),
            _ => self.deserialize_any(visitor),
        }
    }

    /// Reads a number, and refuses one that would become infinite.
    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Input::Json(Json::Number(number)) if is_too_large(number) => {
                Err(Error::custom("the number is too large for a float of 32 bits"))
            }
            _ => self.deserialize_f64(visitor),
        }
    }

    integers!(integer);

    forward_to_deserialize_any! {
        bool char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}

/// Reads a number, and refuses an integer that no Rust type can hold.
fn integer<'de, V: Visitor<'de>>(input: Input<'de>, visitor: V) -> Result<V::Value, Error> {
    match input {
        Input::Json(Json::Number(number)) if is_too_wide(number) => {
            Err(Error::custom("the integer is too large"))
        }
        _ => input.deserialize_any(visitor),
    }
}

/// Pairs each name with the deserializer of its value.
fn members<'de, V: 'de>(
    values: impl IntoIterator<Item = (&'de String, &'de V)>,
) -> impl Iterator<Item = (Name<'de>, Input<'de>)>
where
    Input<'de>: From<&'de V>,
{
    values.into_iter().map(|(name, value)| (Name(name), value.into()))
}

/// Returns true if a number is an integer that no Rust type can hold.
fn is_too_wide(number: &Number) -> bool {
    number::is_integer(number) && number.as_i128().is_none() && number.as_u128().is_none()
}

/// Returns true if a number is finite as a float of 64 bits but infinite as one of 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "the result of the cast is tested")]
fn is_too_large(number: &Number) -> bool {
    number.as_f64().is_some_and(|number| number.is_finite() && (number as f32).is_infinite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{File, Image};
    use ai_integration_contract::json;
    use serde::Deserialize;
    use std::collections::HashMap;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Style {
        Plain,
        Verse,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Size {
        width: u8,
        exact: Option<f64>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Describe<'a> {
        image: Image,
        slice: &'a [u8],
        pages: Vec<File>,
        text: &'a str,
        words: u32,
        wide: i128,
        far: f32,
        style: Style,
        styles: Vec<Style>,
        maybe: Option<Style>,
        none: Option<Image>,
        #[serde(default)]
        flag: bool,
        sizes: Vec<Size>,
    }

    #[derive(Debug, Deserialize)]
    struct Flat {
        #[serde(flatten)]
        inner: Inner,
        #[serde(flatten)]
        rest: HashMap<String, u8>,
    }

    #[derive(Debug, Deserialize)]
    struct Inner {
        image: Image,
        far: f64,
    }

    fn json(text: &str) -> Value {
        Value::Json(json::parse(text.as_bytes()).unwrap())
    }

    fn inputs<const N: usize>(inputs: [(&str, Value); N]) -> Inputs {
        inputs.map(|(name, value)| (name.to_owned(), value)).into()
    }

    fn everything(picture: &Bytes) -> Inputs {
        inputs([
            ("image", Value::Bytes(picture.clone())),
            ("slice", Value::Bytes(picture.clone())),
            ("pages", Value::List(vec![Value::Bytes(picture.clone())])),
            ("text", Value::Text("a".to_owned())),
            ("words", json("20")),
            (
                "wide",
                Value::Json(
                    number::parse("-170141183460469231731687303715884105728").unwrap().into(),
                ),
            ),
            ("far", json("2")),
            ("style", Value::Text("verse".to_owned())),
            ("styles", json(r#"["plain", "verse"]"#)),
            ("maybe", json("null")),
            ("sizes", json(r#"[{"width": 3, "exact": 0.1}, {"width": 4}]"#)),
            ("unmentioned", json("[1]")),
        ])
    }

    #[test]
    fn a_struct_is_read_and_its_files_are_shared() {
        let picture = Bytes::from(b"\xff\xd8".to_vec());
        let given = everything(&picture);
        let read: Describe<'_> = read(&given).unwrap();
        assert_eq!((read.text, read.words, read.wide, read.far), ("a", 20, i128::MIN, 2.0));
        assert_eq!((read.style, read.styles), (Style::Verse, vec![Style::Plain, Style::Verse]));
        assert_eq!((read.maybe, read.none, read.flag), (None, None, false));
        let sizes = [(3, Some(0.1)), (4, None)].map(|(width, exact)| Size { width, exact });
        assert_eq!(read.sizes, sizes);
        let at = picture.as_ptr();
        assert_eq!([read.image.as_ptr(), read.slice.as_ptr(), read.pages[0].as_ptr()], [at; 3]);
        assert_eq!(Bytes::from(read.image), picture);
    }

    #[test]
    fn a_flattened_struct_is_read() {
        let given = inputs([
            ("image", Value::Bytes(Bytes::from_static(b"\xff"))),
            ("far", json("2.5")),
            ("more", json("3")),
        ]);
        let flat: Flat = read(&given).unwrap();
        assert_eq!((&*flat.inner.image, flat.inner.far), (&b"\xff"[..], 2.5));
        assert_eq!(flat.rest, HashMap::from([("more".to_owned(), 3)]));
    }

    #[test]
    fn the_error_names_the_place_of_a_value_that_does_not_fit() {
        let picture = Bytes::from_static(b"x");
        for (name, value, message) in [
            ("words", json("-1"), "words: invalid value: integer `-1`, expected u32"),
            (
                "words",
                json("5000000000"),
                "words: invalid value: integer `5000000000`, expected u32",
            ),
            ("text", json("5"), "text: invalid type: integer `5`, expected a borrowed string"),
            ("image", json("null"), "image: invalid type: null, expected a file"),
            (
                "image",
                Value::Text("a".to_owned()),
                "image: invalid type: string \"a\", expected a file",
            ),
            ("style", json("null"), "style: invalid type: null, expected enum Style"),
            (
                "style",
                Value::Text("loud".to_owned()),
                "style: unknown variant `loud`, expected `plain` or `verse`",
            ),
            (
                "sizes",
                json(r#"[{"width": 3}, {"width": 256}]"#),
                "sizes[1].width: invalid value: integer `256`, expected u8",
            ),
            ("sizes", json("[{}]"), "sizes[0]: missing field `width`"),
        ] {
            let mut given = everything(&picture);
            given.insert(name.to_owned(), value);
            let error = read::<Describe<'_>>(&given).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
        let wide = Value::Json(number::parse(&"9".repeat(400)).unwrap().into());
        let mut given = everything(&picture);
        given.insert("wide".to_owned(), wide);
        let error = read::<Describe<'_>>(&given).unwrap_err();
        assert_eq!(error.to_string(), "wide: the integer is too large");
        let mut given = everything(&picture);
        given.shift_remove("words");
        let error = read::<Describe<'_>>(&given).unwrap_err();
        assert_eq!(error.to_string(), "inputs: missing field `words`");
    }

    #[test]
    fn one_input_is_read_as_any_type() {
        fn error_text<'a, T: Deserialize<'a>>(name: &str, value: Option<&'a Value>) -> String {
            read_one::<T>(name, value).err().map_or_else(String::new, |error| error.to_string())
        }
        let (number, list) = (json("300"), json(r#"[{"width": 300, "exact": null}]"#));
        assert_eq!(read_one("n", Some(&number)), Ok(300_u16));
        assert_eq!(read_one("n", Some(&number)), Ok(Some(300_u64)));
        assert_eq!(read_one::<Option<u8>>("n", None), Ok(None));
        assert_eq!(read_one::<Option<&str>>("n", Some(&json("null"))), Ok(None));
        let beyond = "invalid value: integer `300`, expected u8";
        assert_eq!(error_text::<u8>("n", Some(&number)), format!("n: {beyond}"));
        assert_eq!(error_text::<Vec<Size>>("n", Some(&list)), format!("n[0].width: {beyond}"));
        assert_eq!(error_text::<u8>("n", None), "n: missing");
        let long = Value::Text("é".repeat(1_000_000));
        assert!(error_text::<u8>("n", Some(&long)).len() < 500);
    }
}
