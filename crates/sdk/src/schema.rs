//! The inputs schema of a model's own type, made from the type's `JsonSchema`.

use std::any::type_name;
use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use crate::files::{Audio, File, Image, Video};
use crate::inputs::Inputs;
use crate::model::Model;

/// The properties that an input of the type json can have.
const JSON_PROPERTIES: [&str; 4] = ["description", "title", "default", "examples"];
/// The keywords of JSON Schema that are left out, because they mean nothing to clients of a model.
const LEFT_OUT: [&str; 4] = ["deprecated", "readOnly", "uniqueItems", "writeOnly"];

impl Model {
    /// Creates a model whose inputs are the fields of a struct. Each job dereferences to that
    /// struct, and [`inputs_schema`] lists which field becomes which input. If the struct cannot be
    /// read from a request, the request is refused before it becomes a job.
    ///
    /// # Panics
    /// Panics if [`inputs_schema`] panics.
    #[track_caller]
    pub fn of<T: DeserializeOwned + JsonSchema>() -> Model<T> {
        Model::reading(inputs_schema::<T>(), |inputs: Inputs| inputs.deserialize())
    }
}

/// Makes the inputs schema of a struct that derives `serde::Deserialize` and
/// `schemars::JsonSchema`.
///
/// | in the struct | in the schema |
/// |---|---|
/// | [`Image`], [`Audio`], [`Video`], [`File`] | a file of that type |
/// | `String`, `&str`, `char` | text |
/// | an integer | an integer; a type of 8 or 16 bits sets its range, and an unsigned type the minimum 0 |
/// | `f32`, `f64`; `bool` | a number; a boolean |
/// | an enum without data | a choice of its names |
/// | `Option<T>` | the input of `T`, but not required |
/// | `Vec<T>`, an array or a set of `T` | a list of inputs of `T` |
/// | a date, or a date with its time, of `chrono` or `jiff` | a date or a datetime; needs a feature of `schemars` |
/// | anything else: a struct, a map, an enum with data | JSON |
/// | a comment `///` | the description |
/// | `#[serde(rename = "…")]`, `rename_all`, `skip`, `flatten` | as in the JSON of that type |
/// | `#[serde(default = "…")]` | not required; the schema has the default if the type of the field is `Serialize` |
/// | `#[schemars(range(min = 1, max = 50))]` | the minimum and the maximum |
/// | `#[schemars(length(min = 1, max = 8))]` on a list | the minimum and the maximum number of items |
/// | `#[schemars(example = …)]` | an example |
/// | `#[schemars(with = "Image")]` | the input of that type, such as `Image` for a field of the type `&[u8]` |
/// | `#[schemars(extend("formats" = ["png"]))]` | any other property of the schema |
///
/// ```
/// use ai_integration::{inputs_schema, json};
/// use schemars::JsonSchema;
/// use serde::Deserialize;
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Shout {
///     /// What to shout
///     text: String,
///     #[schemars(range(min = 1, max = 50))]
///     times: Option<u32>,
/// }
///
/// let schema = json!({
///     "text": {"type": "text", "description": "What to shout"},
///     "times": {"type": "integer", "minimum": 1, "maximum": 50, "required": false},
/// });
/// assert_eq!(inputs_schema::<Shout>(), schema);
/// ```
///
/// # Panics
/// Panics if the type is not a struct with named fields, if it flattens an enum, or if a field is a
/// `Vec<u8>`, which is a list of numbers and not a file.
#[must_use]
#[track_caller]
pub fn inputs_schema<T: JsonSchema>() -> Json {
    let settings = SchemaSettings::default().with(|settings| settings.inline_subschemas = true);
    let root = settings.into_generator().into_root_schema_for::<T>();
    let has_alternatives = root.get("oneOf").or_else(|| root.get("anyOf")).is_some();
    assert!(
        !has_alternatives || root.get("properties").is_none(),
        "{} flattens an enum, so some inputs would depend on others: remove #[serde(flatten)], and \
         the enum becomes one input of the type json",
        type_name::<T>()
    );
    let is_struct = root.get("type").is_some_and(|kind| kind == "object") && !has_alternatives;
    assert!(is_struct, "{} is not a struct with named fields, as inputs must be", type_name::<T>());
    let required = root.get("required").and_then(Json::as_array);
    let fields = root.get("properties").and_then(Json::as_object);
    let inputs = fields.into_iter().flatten().map(|(name, field)| {
        assert!(
            !is_bytes(field) && !field.get("items").is_some_and(is_bytes),
            "the field {name:?} of {} is a Vec<u8>, which is a list of numbers: for the bytes of a \
             file use ai_integration::File, Image, Audio or Video, for numbers Vec<u16>",
            type_name::<T>()
        );
        let mut properties = properties(field.as_object().cloned().unwrap_or_default());
        if !required.is_some_and(|required| required.iter().any(|other| other == name)) {
            properties.insert("required".to_owned(), false.into());
        }
        (name.clone(), properties.into())
    });
    Json::Object(inputs.collect())
}

/// Returns true if a schema is that of a `Vec<u8>`.
fn is_bytes(schema: &Json) -> bool {
    schema.pointer("/items/format").is_some_and(|format| format == "uint8")
        && schema.get("maxItems").is_none()
}

/// Turns a JSON Schema into the properties of an input. Keywords that have another name in an
/// inputs schema are kept, because the schema is read with both names.
fn properties(mut schema: Map<String, Json>) -> Map<String, Json> {
    strip_null(&mut schema);
    strip_length(&mut schema);
    gather_choices(&mut schema);
    schema.retain(|keyword, _| !LEFT_OUT.contains(&keyword.as_str()));
    if let Some(Json::String(description)) = schema.get_mut("description") {
        *description = unwrapped(description);
    }
    let format = schema.remove("format");
    schema.remove("contentEncoding");
    let media = schema.remove("contentMediaType");
    let word = |value: Option<Json>| value.and_then(|value| value.as_str().map(str::to_owned));
    let json_type = word(schema.remove("type"));
    if json_type.as_deref() == Some("array")
        && let Some(mut properties) = item(&mut schema)
    {
        properties.extend(schema);
        properties.insert("list".to_owned(), true.into());
        return properties;
    }
    let input_type = match json_type.as_deref() {
        _ if schema.contains_key("enum") => "choice",
        Some("string") => type_of_string(&word(format).unwrap_or_default(), word(media).as_deref()),
        Some(scalar @ ("integer" | "number" | "boolean")) => scalar,
        _ => {
            schema.retain(|word, _| JSON_PROPERTIES.contains(&word.as_str()));
            "json"
        }
    };
    schema.insert("type".to_owned(), input_type.into());
    schema
}

fn type_of_string(format: &str, media: Option<&str>) -> &'static str {
    match (format, media.map(|media| media.split('/').next())) {
        ("date", _) => "date",
        ("date-time", _) => "datetime",
        (_, None) => "text",
        (_, Some(Some("image"))) => "image",
        (_, Some(Some("audio"))) => "audio",
        (_, Some(Some("video"))) => "video",
        (_, Some(_)) => "file",
    }
}

/// Removes the items from an array's schema and returns the properties of an item. Returns `None`
/// if the items are lists or have different types.
fn item(array: &mut Map<String, Json>) -> Option<Map<String, Json>> {
    let properties = match array.remove("items")? {
        Json::Object(item) => properties(item),
        _ => properties(Map::new()),
    };
    let has_one_type = !array.contains_key("prefixItems") && !properties.contains_key("list");
    has_one_type.then_some(properties)
}

/// Removes the `null` that an `Option` allows.
fn strip_null(schema: &mut Map<String, Json>) {
    let of_two = |schema: &Map<String, Json>, word| match schema.get(word)?.as_array()?.as_slice() {
        [some, null] if null == "null" || null.get("type")? == "null" => Some(some.clone()),
        _ => None,
    };
    if let Some(known) = of_two(schema, "type") {
        schema.insert("type".to_owned(), known);
    }
    if let Some(Json::Object(some)) = of_two(schema, "anyOf") {
        schema.remove("anyOf");
        for (word, value) in some {
            schema.entry(word).or_insert(value);
        }
    }
    if let Some(Json::Array(choices)) = schema.get_mut("enum") {
        choices.retain(|choice| !choice.is_null());
    }
}

/// Removes the length of a `char`. Serde checks it when the value is read.
fn strip_length(schema: &mut Map<String, Json>) {
    const LENGTH: [&str; 2] = ["minLength", "maxLength"];
    if LENGTH.iter().all(|word| schema.get(*word).is_some_and(|length| length == 1)) {
        schema.retain(|word, _| !LENGTH.contains(&word.as_str()));
    }
}

/// Collects the choices of an enum. The schema lists them one by one, so that each can have a
/// description.
fn gather_choices(schema: &mut Map<String, Json>) {
    let choices = |alternative: &Json| match alternative.get("const") {
        Some(choice) => Some(vec![choice.clone()]),
        None => alternative.get("enum")?.as_array().cloned(),
    };
    let alternatives = schema.get("oneOf").and_then(Json::as_array);
    let gathered = alternatives.and_then(|all| all.iter().map(choices).collect::<Option<Vec<_>>>());
    if let Some(gathered) = gathered {
        schema.remove("oneOf");
        schema.insert("enum".to_owned(), gathered.concat().into());
    }
}

/// Joins the lines of each paragraph into one line.
fn unwrapped(text: &str) -> String {
    let paragraphs: Vec<_> = text.split("\n\n").map(|lines| lines.replace('\n', " ")).collect();
    paragraphs.join("\n\n")
}

macro_rules! files {
    ($($name:ident $media:literal),+ $(,)?) => {
        $(
            impl JsonSchema for $name {
                fn inline_schema() -> bool {
                    true
                }

                fn schema_name() -> Cow<'static, str> {
                    stringify!($name).into()
                }

                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    json_schema!({
                        "type": "string", "contentEncoding": "base64", "contentMediaType": $media,
                    })
                }
            }
        )+
    };
}

files! {
    Image "image/*",
    Audio "audio/*",
    Video "video/*",
    File "application/octet-stream",
}

#[cfg(test)]
mod tests;
