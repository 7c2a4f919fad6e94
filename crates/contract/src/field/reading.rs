//! Reads a field of the schema from its properties, and reports faults.
//!
//! Old programs must run, so no schema is refused: a property that cannot be used is left out.

use serde_json::{Map, Number, Value as Json};

use crate::base64_text::decode_base64;
use crate::constraints::Constraints;
use crate::field::Field;
use crate::input_type::InputType;
use crate::input_types;
use crate::item_count::ItemCount;
use crate::likeness::nearest;
use crate::number;
use crate::raw::RawValue;
use crate::shape::Shape;

/// The properties that a field can have.
pub(crate) const PROPERTIES: [&str; 14] = [
    "type",
    "required",
    "default",
    "description",
    "choices",
    "min",
    "max",
    "max_bytes",
    "formats",
    "as",
    "list",
    "min_items",
    "max_items",
    "examples",
];
/// Names of properties in JSON Schema, and the names that this schema uses for them.
pub(crate) const PROPERTY_SYNONYMS: [(&str, &str); 6] = [
    ("enum", "choices"),
    ("maxItems", "max_items"),
    ("maximum", "max"),
    ("minItems", "min_items"),
    ("minimum", "min"),
    ("title", "description"),
];
/// Names of types in Python and in JSON Schema, and the names that this schema uses for them.
pub(crate) const TYPE_SYNONYMS: [(&str, &str); 10] = [
    ("array", "json"),
    ("bool", "boolean"),
    ("dict", "json"),
    ("double", "number"),
    ("float", "number"),
    ("int", "integer"),
    ("list", "json"),
    ("object", "json"),
    ("str", "text"),
    ("string", "text"),
];

/// Names of types that authors may use for a list.
const LISTS: [&str; 2] = ["array", "list"];

/// The remarks on a schema, for its author.
#[derive(Debug, Default)]
pub(crate) struct Remarks {
    /// All remarks, for the log.
    pub(crate) all: Vec<String>,
    /// The remarks on the author's mistakes. The other remarks may concern properties that another
    /// program uses.
    pub(crate) mistakes: Vec<String>,
}

impl Remarks {
    fn add(&mut self, name: &str, text: &str, is_mistake: bool) {
        let remark = format!("input {name:?}: {text}");
        if is_mistake {
            self.mistakes.push(remark.clone());
        }
        self.all.push(remark);
    }
}

/// Reads a field from its properties in the schema.
pub(crate) fn read(name: &str, properties: &Map<String, Json>, remarks: &mut Remarks) -> Field {
    let mut remark = |text: String, is_mistake| remarks.add(name, &text, is_mistake);
    let mut field = Field {
        input_type: read_type(properties.get("type"), &mut remark),
        required: true,
        items: None,
        default: None,
        description: None,
        recording: None,
        constraints: Constraints::default(),
        examples: Vec::new(),
    };
    let (mut default, mut formats, mut form) = (None, None, None);
    let mut list = ListProperties::default();
    for (property, value) in properties {
        let known = synonym(&PROPERTY_SYNONYMS, property).unwrap_or(property);
        if !PROPERTIES.contains(&known) {
            // `as` is similar to every word of two letters. So a word counts as a misspelling of
            // `as` only if it differs in case alone.
            let is_rated = |name: &&str| *name != "as" || known.eq_ignore_ascii_case(name);
            let meant = nearest(known, PROPERTIES.into_iter().filter(is_rated));
            let hint = meant.map_or(String::new(), |meant| format!(": did you mean {meant:?}?"));
            remark(
                format!("the property {property:?} is not known and is ignored{hint}"),
                meant.is_some(),
            );
        } else if known == "default" {
            default = Some(value.clone()).filter(|value| !value.is_null());
        } else if known == "formats" {
            formats = Some(value);
        } else if known == "as" {
            form = Some(value);
        } else if set(&mut field, &mut list, known, value, property != known).is_none() {
            let text = format!("the property {property} is ignored: {value} is not a valid value");
            remark(text, true);
        }
    }
    if let Some(value) = formats {
        super::formats::read(&mut field, value, &mut remark);
    }
    field.recording = form.and_then(|value| super::form::check(&field, value, &mut remark));
    field.items = list.read(&mut remark);
    check(&mut field, &mut remark);
    if let Some(default) = default {
        field.required = false;
        match field.accept(RawValue::Json(default.clone())) {
            Ok(_) => field.default = Some(default),
            Err(problem) => remark(format!("the default is ignored: {problem}"), true),
        }
    }
    field
}

fn read_type(
    declared: Option<&Json>,
    remark: &mut impl FnMut(String, bool),
) -> &'static dyn InputType {
    let name = declared.and_then(Json::as_str);
    if let Some(name) = name.filter(|name| LISTS.contains(name)) {
        let text = format!(
            "the type {name:?} is treated as \"json\"; for a list of values of one type, give that \
             type and \"list\": True"
        );
        remark(text, false);
    }
    let known =
        name.and_then(|name| input_types::find(synonym(&TYPE_SYNONYMS, name).unwrap_or(name)));
    known.unwrap_or_else(|| {
        let names = || input_types::INPUT_TYPES.iter().map(|known| known.name());
        let meant = name.and_then(|name| nearest(name, names()));
        let hint = match meant {
            Some(meant) => format!("did you mean {meant:?}?"),
            None => format!("known: {}", names().collect::<Vec<_>>().join(", ")),
        };
        let declared = declared.map_or("none".to_owned(), Json::to_string);
        let text = format!(
            "the type {declared} is not known and is treated as text, or as bytes if the client sends bytes; {hint}"
        );
        remark(text, meant.is_some());
        input_types::fallback()
    })
}

/// Sets a property. Returns `None` if the value does not fit the property. `is_synonym` is true if
/// the schema names the property by a synonym; a `title` does not replace a `description`.
fn set(
    field: &mut Field,
    list: &mut ListProperties,
    property: &str,
    value: &Json,
    is_synonym: bool,
) -> Option<()> {
    let constraints = &mut field.constraints;
    match property {
        "required" => field.required = value.as_bool()?,
        "description" => {
            let text = value.as_str()?.to_owned();
            if !is_synonym || field.description.is_none() {
                field.description = Some(text);
            }
        }
        "min" => constraints.min = Some(bound(value)?),
        "max" => constraints.max = Some(bound(value)?),
        "max_bytes" => constraints.max_bytes = Some(value.as_u64()?),
        "choices" => constraints.choices.clone_from(value.as_array()?),
        "list" => list.is_list = value.as_bool()?,
        "min_items" => list.min = Some(value.as_u64()?),
        "max_items" => list.max = Some(value.as_u64()?),
        "examples" => field.examples.clone_from(value.as_array()?),
        _ => {}
    }
    Some(())
}

/// The properties that make an input a list.
#[derive(Default)]
struct ListProperties {
    is_list: bool,
    min: Option<u64>,
    max: Option<u64>,
}

impl ListProperties {
    /// Returns the bounds on the number of items if the input is a list.
    fn read(self, remark: &mut impl FnMut(String, bool)) -> Option<ItemCount> {
        let ListProperties { is_list, min, max } = self;
        if !is_list {
            for (name, _) in [("min_items", min), ("max_items", max)]
                .into_iter()
                .filter(|(_, bound)| bound.is_some())
            {
                let text = format!(
                    "the property {name} is ignored: the input is not a list; add \"list\": True"
                );
                remark(text, true);
            }
            return None;
        }
        if let (Some(min), Some(max)) = (min, max)
            && min > max
        {
            let text = format!(
                "min_items is {min} and max_items is {max}, so no list fits; both are ignored"
            );
            remark(text, true);
            return Some(ItemCount::default());
        }
        Some(ItemCount { min: min.unwrap_or_default(), max })
    }
}

/// Finds properties that contradict each other, and leaves them out.
fn check(field: &mut Field, remark: &mut impl FnMut(String, bool)) {
    let constraints = &mut field.constraints;
    if let (Some(min), Some(max)) = (&constraints.min, &constraints.max)
        && number::compare(min, max).is_gt()
    {
        remark(format!("min is {min} and max is {max}, so no number fits; both are ignored"), true);
        (constraints.min, constraints.max) = (None, None);
    }
    let is_choice = field.input_type.shape() == Shape::Choice;
    if is_choice && constraints.choices.is_empty() {
        let text =
            "the type choice without choices accepts no value; list the values under \"choices\"";
        remark(text.to_owned(), true);
    }
    if !is_choice {
        let any = Constraints { choices: Vec::new(), ..constraints.clone() };
        for choice in &constraints.choices {
            let accepted = field.input_type.accept(RawValue::Json(choice.clone()), &any);
            if let Err(refusal) = accepted {
                let problem = refusal.message(|| field.input_type.expectation(&any));
                remark(format!("the choice {choice} does not fit: {problem}"), true);
            }
        }
    }
    for example in std::mem::take(&mut field.examples) {
        match check_example(field, &example) {
            Ok(()) => field.examples.push(example),
            Err(problem) => remark(format!("an example is left out: {problem}"), true),
        }
    }
}

/// Checks an example. A file can be given as a URL, which is read only when the model runs.
fn check_example(field: &Field, example: &Json) -> Result<(), String> {
    let raw = RawValue::Json(example.clone());
    if !matches!(field.input_type.shape(), Shape::Blob { .. }) {
        return field.accept(raw).map(drop);
    }
    let items = match &field.items {
        Some(count) => field.items_of(count, raw)?,
        None => vec![raw],
    };
    let is_here = |item: &RawValue| match item {
        RawValue::Json(Json::String(text)) => decode_base64(text).is_some(),
        _ => false,
    };
    items.into_iter().filter(is_here).try_for_each(|item| field.read_item(item).map(drop))
}

fn synonym<'a>(synonyms: &[(&str, &'a str)], name: &str) -> Option<&'a str> {
    synonyms.iter().find(|(other, _)| *other == name).map(|(_, name)| *name)
}

/// Reads `min` or `max`. A bound of 1.0 is kept as 1, because messages show it.
fn bound(value: &Json) -> Option<Number> {
    let bound = value.as_number()?;
    if number::is_integer(bound) {
        return Some(bound.clone());
    }
    number::parse(&bound.as_f64()?.to_string()).ok()
}
