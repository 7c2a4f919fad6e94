//! The constraints that a schema's field puts on its values, in addition to their type.

use serde_json::{Number, Value as Json};

use crate::formats::Formats;
use crate::number;

/// The bounds and choices that narrow the values of a type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Constraints {
    /// The allowed values; empty if all values are allowed.
    pub choices: Vec<Json>,
    /// The minimum number that is allowed.
    pub min: Option<Number>,
    /// The maximum number that is allowed.
    pub max: Option<Number>,
    /// The maximum length of text and files in bytes.
    pub max_bytes: Option<u64>,
    /// The formats that a file may have.
    pub formats: Formats,
}

impl Constraints {
    /// Returns the choices as people write them: text without quotes, anything else as JSON.
    #[must_use]
    pub fn choice_labels(&self) -> Vec<String> {
        self.choices.iter().map(label).collect()
    }

    /// Finds the choice that a text names: by its label, or by another notation of the same number.
    pub(crate) fn find_choice(&self, wanted: &str) -> Option<&Json> {
        let named = self.choices.iter().find(|choice| label(choice) == wanted);
        named.or_else(|| self.choices.iter().find(|choice| is_same_number(&label(choice), wanted)))
    }

    /// Returns true if a number is between `min` and `max`.
    pub(crate) fn has_in_range(&self, number: &Number) -> bool {
        self.min.as_ref().is_none_or(|min| number::compare(number, min).is_ge())
            && self.max.as_ref().is_none_or(|max| number::compare(number, max).is_le())
    }

    /// Returns a number inside the range: its middle, or its only bound.
    pub(crate) fn sample_number(&self, whole: bool) -> Number {
        let middle = match (&self.min, &self.max) {
            (Some(min), Some(max)) => {
                min.as_f64().zip(max.as_f64()).map(|(min, max)| f64::midpoint(min, max))
            }
            (Some(bound), None) | (None, Some(bound)) => bound.as_f64(),
            (None, None) => Some(1.0),
        };
        let sample = middle.and_then(|middle| {
            if whole {
                number::parse(&format!("{:.0}", middle.ceil())).ok()
            } else {
                Number::from_f64(middle)
            }
        });
        // The rounding of a float can move it beyond a large bound.
        let bounds = [&self.min, &self.max].into_iter().flatten();
        let within = sample.iter().chain(bounds).find(|number| self.has_in_range(number)).cloned();
        within.or(sample).unwrap_or_else(|| 1.into())
    }
}

fn label(choice: &Json) -> String {
    match choice {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Returns true if both are notations of one number, such as `2.5` and `2.50`.
fn is_same_number(one: &str, other: &str) -> bool {
    let read = |text| number::whole(text).or_else(|_| number::parse(text));
    match (read(one), read(other)) {
        (Ok(one), Ok(other)) => number::compare(&one, &other).is_eq(),
        _ => false,
    }
}
