//! Collects lists from forms. A form has no lists: its fields repeat the list's name (browsers),
//! add brackets (PHP, axios), or add numbers in brackets.

use indexmap::IndexMap;
use serde_json::Value as Json;

use crate::error::{FieldError, MAX_NAMED};
use crate::field::Field;
use crate::json;
use crate::raw::{RawInputs, RawValue};
use crate::shape::Shape;

/// The maximum number of digits in `name[number]`.
const DIGITS: usize = 9;

/// The values of one list in a form.
#[derive(Default)]
struct Gathered {
    /// The values under the list's name, or its name with empty brackets, in order of arrival.
    in_order: Vec<RawValue>,
    /// The values with a number.
    numbered: Vec<(u32, RawValue)>,
}

/// Collects the values of each list, and returns errors for the values that have no place.
pub(super) fn gather(fields: &IndexMap<String, Field>, raw: &mut RawInputs) -> Vec<FieldError> {
    let mut lists = IndexMap::<String, Gathered>::new();
    let mut errors = Vec::new();
    for (key, value) in std::mem::take(raw) {
        match list_of(fields, &key) {
            Some((list, place)) if !place.is_whole() || !matches!(value, RawValue::Json(_)) => {
                let gathered = lists.entry(list.to_owned()).or_default();
                if let Err(message) = gathered.add(list, place, value) {
                    errors.push(FieldError { name: key, message });
                }
            }
            _ => drop(raw.insert(key, value)),
        }
    }
    errors.truncate(MAX_NAMED);
    for (name, gathered) in lists {
        match gathered.join(&name, &fields[&name]) {
            Ok(items) => drop(raw.insert(name, items)),
            Err(message) => errors.push(FieldError { name, message }),
        }
    }
    for (name, field) in fields {
        let is_list_of_files =
            field.items.is_some() && matches!(field.input_type.shape(), Shape::Blob { .. });
        if is_list_of_files
            && let Some(value) = raw.get_mut(name)
            && let RawValue::Json(Json::Array(items)) = value
        {
            let items = std::mem::take(items).into_iter().map(RawValue::Json);
            *value = RawValue::List(items.collect());
        }
    }
    errors
}

/// The place of a value in a list, by the field's name.
enum Place {
    /// The name is that of the list.
    Whole,
    /// The name has empty brackets.
    Next,
    Number(u32),
    /// The brackets contain something else.
    Unknown,
}

impl Place {
    fn is_whole(&self) -> bool {
        matches!(self, Place::Whole)
    }
}

/// Finds the list that a name belongs to, and the value's place in it.
fn list_of<'a>(fields: &IndexMap<String, Field>, key: &'a str) -> Option<(&'a str, Place)> {
    let is_list = |name: &str| fields.get(name).is_some_and(|field| field.items.is_some());
    if fields.contains_key(key) {
        return is_list(key).then_some((key, Place::Whole));
    }
    let (name, number) = key.strip_suffix(']')?.rsplit_once('[')?;
    if !is_list(name) {
        let (name, _) = key.split_once('[')?;
        return is_list(name).then_some((name, Place::Unknown));
    }
    let is_number = number.len() <= DIGITS && number.bytes().all(|byte| byte.is_ascii_digit());
    let place = match number.parse() {
        _ if number.is_empty() => Place::Next,
        Ok(number) if is_number => Place::Number(number),
        _ => Place::Unknown,
    };
    Some((name, place))
}

impl Gathered {
    /// Puts a value into its place in the list. The error is the reason why the value has no place.
    fn add(&mut self, list: &str, place: Place, value: RawValue) -> Result<(), String> {
        match (place, value) {
            (_, RawValue::Json(_)) => {
                return Err(format!("in JSON, give the list {list} as an array under its name"));
            }
            (Place::Whole | Place::Next, RawValue::List(items)) => self.in_order.extend(items),
            (Place::Whole | Place::Next, value) => self.in_order.push(value),
            (Place::Number(_), RawValue::List(_)) => return Err("given more than once".to_owned()),
            (Place::Number(number), value) => self.numbered.push((number, value)),
            (Place::Unknown, _) => {
                let names = format!("{list}, {list}[] or {list}[0]");
                return Err(format!("items of the list {list} are given as {names}"));
            }
        }
        Ok(())
    }

    fn join(mut self, name: &str, field: &Field) -> Result<RawValue, String> {
        if self.numbered.is_empty() {
            return Ok(json_list(&self.in_order, field).unwrap_or(RawValue::List(self.in_order)));
        }
        if !self.in_order.is_empty() {
            return Err(format!("given both as {name} and as {name}[0]; number all items or none"));
        }
        self.numbered.sort_by_key(|(number, _)| *number);
        if let Some([(number, _), _]) =
            self.numbered.array_windows().find(|[one, next]| one.0 == next.0)
        {
            return Err(format!("{name}[{number}] is given more than once"));
        }
        Ok(RawValue::List(self.numbered.into_iter().map(|(_, value)| value).collect()))
    }
}

/// Reads the items from a JSON array if the form has one text, and that text is not a valid item.
fn json_list(items: &[RawValue], field: &Field) -> Option<RawValue> {
    let [RawValue::Text(text)] = items else { return None };
    if !text.trim_start().starts_with('[') || field.read_item(items[0].clone()).is_ok() {
        return None;
    }
    json::parse(text.as_bytes()).ok().filter(Json::is_array).map(RawValue::Json)
}
