//! The constraints that a field of the schema puts on its values, beside their type.

use serde_json::{Number, Value as Json};

use crate::formats::Formats;
use crate::number;

/// The bounds and choices that narrow the values of a type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Constraints {
    /// The only values allowed; any when empty.
    pub choices: Vec<Json>,
    /// The least number allowed.
    pub min: Option<Number>,
    /// The greatest number allowed.
    pub max: Option<Number>,
    /// The greatest length allowed, for text and files.
    pub max_bytes: Option<u64>,
    /// The formats in which a file may come.
    pub formats: Formats,
}

impl Constraints {
    /// The choices as people write them: text without quotes, anything else as JSON.
    #[must_use]
    pub fn choice_labels(&self) -> Vec<String> {
        self.choices.iter().map(label).collect()
    }

    /// The choice that a text names, by its label or as another spelling of the same number.
    pub(crate) fn find_choice(&self, wanted: &str) -> Option<&Json> {
        let named = self.choices.iter().find(|choice| label(choice) == wanted);
        named.or_else(|| self.choices.iter().find(|choice| is_same_number(&label(choice), wanted)))
    }

    /// Returns whether a number lies between `min` and `max`.
    pub(crate) fn has_in_range(&self, number: &Number) -> bool {
        self.min.as_ref().is_none_or(|min| number::compare(number, min).is_ge())
            && self.max.as_ref().is_none_or(|max| number::compare(number, max).is_le())
    }

    /// A number inside the range, whole or not: its middle, or the bound that it has.
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
        // A float next to large bounds may lie outside them.
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

/// Returns whether both are spellings of one number, such as `2.5` and `2.50`.
fn is_same_number(one: &str, other: &str) -> bool {
    let read = |text| number::whole(text).or_else(|_| number::parse(text));
    match (read(one), read(other)) {
        (Ok(one), Ok(other)) => number::compare(&one, &other).is_eq(),
        _ => false,
    }
}
