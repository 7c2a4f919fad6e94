//! Lists in forms: a form has no lists, so its fields repeat a name, as browsers do, put brackets
//! behind it, as PHP and axios have it, or number it.

use indexmap::IndexMap;
use serde_json::Value as Json;

use crate::error::FieldError;
use crate::field::Field;
use crate::json;
use crate::raw::{RawInputs, RawValue};
use crate::shape::Shape;

/// The most digits of the number in `name[number]`.
const DIGITS: usize = 9;

/// The values that a form has for one list.
#[derive(Default)]
struct Gathered {
    /// Those under its name and under its name with empty brackets, as they came.
    in_order: Vec<RawValue>,
    /// Those that are numbered.
    numbered: Vec<(u32, RawValue)>,
}

/// Puts together what there is for each list, and says what cannot be.
pub(super) fn gather(fields: &IndexMap<String, Field>, raw: &mut RawInputs) -> Vec<FieldError> {
    if fields.values().all(|field| field.items.is_none()) {
        return Vec::new();
    }
    let mut lists = IndexMap::<String, Gathered>::new();
    let mut errors = Vec::new();
    for (key, value) in std::mem::take(raw) {
        let Some((list, number)) = list_of(fields, &key, &value) else {
            raw.insert(key, value);
            continue;
        };
        let gathered = lists.entry(list.to_owned()).or_default();
        match (number, value) {
            (None, RawValue::List(items)) => gathered.in_order.extend(items),
            (None, value) => gathered.in_order.push(value),
            (Some(_), RawValue::List(_)) => {
                let message = "given more than once".to_owned();
                errors.push(FieldError { name: key, message });
            }
            (Some(number), value) => gathered.numbered.push((number, value)),
        }
    }
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

/// Finds the list that a value of a form belongs to, and its number there.
fn list_of<'a>(
    fields: &IndexMap<String, Field>,
    key: &'a str,
    value: &RawValue,
) -> Option<(&'a str, Option<u32>)> {
    if matches!(value, RawValue::Json(_)) {
        return None;
    }
    let is_list = |name: &str| fields.get(name).is_some_and(|field| field.items.is_some());
    if fields.contains_key(key) {
        return is_list(key).then_some((key, None));
    }
    let (name, number) = key.strip_suffix(']')?.rsplit_once('[')?;
    let is_number = number.len() <= DIGITS && number.bytes().all(|byte| byte.is_ascii_digit());
    let is_known = is_list(name) && is_number;
    // Empty brackets have no number.
    is_known.then(|| (name, number.parse().ok()))
}

impl Gathered {
    fn join(mut self, name: &str, field: &Field) -> Result<RawValue, String> {
        if self.numbered.is_empty() {
            return Ok(spelt_out(&self.in_order, field).unwrap_or(RawValue::List(self.in_order)));
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

/// The list that a lone text is as JSON, where it is no item.
fn spelt_out(items: &[RawValue], field: &Field) -> Option<RawValue> {
    let [RawValue::Text(text)] = items else { return None };
    if !text.trim_start().starts_with('[') || field.read_item(items[0].clone()).is_ok() {
        return None;
    }
    json::parse(text.as_bytes()).ok().filter(Json::is_array).map(RawValue::Json)
}
