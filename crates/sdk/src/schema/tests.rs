use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use ai_integration_contract::InputsSchema;
use serde::Deserialize;
use serde_json::json;

use super::*;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Style {
    /// Few words
    Plain,
    Verse,
    #[serde(rename = "stream of consciousness")]
    Stream,
}

/// One of a kind
#[derive(Deserialize, JsonSchema)]
enum Only {
    One,
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "the test only makes its schema")]
enum Shape {
    Point,
    Circle { radius: f64 },
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "the test only makes its schema")]
struct Tree {
    value: u8,
    left: Option<Box<Tree>>,
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "the test only makes its schema")]
struct Page {
    number: usize,
}

fn twenty() -> u32 {
    20
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "the test only makes its schema")]
struct Everything<'a> {
    /// The picture
    /// to look at.
    ///
    /// Not a drawing.
    #[schemars(extend("formats" = ["png", "jpeg"], "max_bytes" = 1000))]
    image: Image,
    audio: Option<Audio>,
    #[schemars(length(min = 1, max = 8), extend("formats" = ["mp4"]))]
    videos: Vec<Video>,
    file: Option<Vec<File>>,
    #[schemars(with = "Image")]
    slice: &'a [u8],
    text: Cow<'a, str>,
    letter: Option<char>,
    #[serde(default = "twenty")]
    #[schemars(range(min = 1, max = 50), example = 7)]
    words: u32,
    tiny: i8,
    wide: Option<i64>,
    positive: std::num::NonZeroU64,
    #[serde(rename = "how far")]
    far: f32,
    #[serde(default)]
    flag: bool,
    style: Option<Style>,
    styles: Vec<Style>,
    only: Only,
    maybe_only: Option<Only>,
    #[schemars(extend("format" = "date"))]
    day: String,
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    moment: Option<String>,
    three: [f64; 3],
    set: BTreeSet<u16>,
    colour: [u8; 3],
    anything: Json,
    several: Vec<Json>,
    nested: Vec<Vec<u16>>,
    pair: (u8, String),
    map: HashMap<String, u8>,
    shape: Option<Shape>,
    tree: Tree,
    #[serde(flatten)]
    page: Page,
    #[serde(skip)]
    skipped: u8,
}

#[test]
fn each_field_is_an_input() {
    let schema = inputs_schema::<Everything<'_>>();
    let expected = json!({
        "image": {
            "type": "image", "description": "The picture to look at.\n\nNot a drawing.",
            "formats": ["png", "jpeg"], "max_bytes": 1000,
        },
        "audio": {"type": "audio", "required": false},
        "videos": {
            "type": "video", "list": true, "minItems": 1, "maxItems": 8, "formats": ["mp4"],
        },
        "file": {"type": "file", "list": true, "required": false},
        "slice": {"type": "image"},
        "text": {"type": "text"},
        "letter": {"type": "text", "required": false},
        "words": {
            "type": "integer", "minimum": 1, "maximum": 50, "default": 20, "examples": [7],
            "required": false,
        },
        "tiny": {"type": "integer", "minimum": -128, "maximum": 127},
        "wide": {"type": "integer", "required": false},
        "positive": {"type": "integer", "minimum": 1},
        "how far": {"type": "number"},
        "flag": {"type": "boolean", "default": false, "required": false},
        "style": {
            "type": "choice", "enum": ["verse", "stream of consciousness", "plain"],
            "required": false,
        },
        "styles": {
            "type": "choice", "enum": ["verse", "stream of consciousness", "plain"], "list": true,
        },
        "only": {"type": "choice", "enum": ["One"], "description": "One of a kind"},
        "maybe_only": {
            "type": "choice", "enum": ["One"], "description": "One of a kind", "required": false,
        },
        "day": {"type": "date"},
        "moment": {"type": "datetime", "required": false},
        "three": {"type": "number", "list": true, "minItems": 3, "maxItems": 3},
        "set": {"type": "integer", "minimum": 0, "maximum": 65535, "list": true},
        "colour": {
            "type": "integer", "minimum": 0, "maximum": 255, "list": true, "minItems": 3,
            "maxItems": 3,
        },
        "anything": {"type": "json"},
        "several": {"type": "json", "list": true},
        "nested": {"type": "json"},
        "pair": {"type": "json"},
        "map": {"type": "json"},
        "shape": {"type": "json", "required": false},
        "tree": {"type": "json"},
        "number": {"type": "integer", "minimum": 0},
    });
    let names = |schema: &Json| schema.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&schema), names(&expected));
    for (name, properties) in schema.as_object().unwrap() {
        assert_eq!(*properties, expected[name], "{name}");
    }
    let (_, remarks) = InputsSchema::parse(&schema);
    assert_eq!(remarks, [""; 0]);
}

#[test]
fn a_keyword_that_no_input_is_checked_against_is_reported() {
    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "the test only makes its schema")]
    struct Bounded {
        #[schemars(regex(pattern = "^a+$"))]
        text: String,
    }
    let (_, remarks) = InputsSchema::parse(&inputs_schema::<Bounded>());
    assert_eq!(remarks.len(), 1, "{remarks:?}");
    assert!(remarks[0].contains("\"pattern\" is not known and is ignored"), "{remarks:?}");
}

fn panic_message<T: JsonSchema>() -> String {
    let panic = std::panic::catch_unwind(inputs_schema::<T>).unwrap_err();
    panic.downcast_ref::<String>().unwrap().clone()
}

#[test]
fn the_error_for_a_type_that_cannot_be_inputs_says_what_to_do() {
    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "the test only makes its schema")]
    struct Bytes {
        data: Option<Vec<u8>>,
    }
    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "the test only makes its schema")]
    struct Files {
        files: Vec<Vec<u8>>,
    }
    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "the test only makes its schema")]
    struct Flat {
        text: String,
        #[serde(flatten)]
        shape: Option<Shape>,
    }
    for (message, field) in
        [(panic_message::<Bytes>(), "\"data\""), (panic_message::<Files>(), "\"files\"")]
    {
        assert!(message.contains(field) && message.contains("ai_integration::File"), "{message}");
    }
    assert!(panic_message::<Flat>().contains("flattens an enum"), "{}", panic_message::<Flat>());
    for message in
        [panic_message::<String>(), panic_message::<Shape>(), panic_message::<(u8, u8)>()]
    {
        assert!(message.contains("is not a struct with named fields"), "{message}");
    }
}
