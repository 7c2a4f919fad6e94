//! The constraints that a field of the schema puts on its values, beside their type.

use serde_json::Value as Json;

/// The bounds and choices that narrow the values of a type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Constraints {
    /// The only values allowed; any when empty.
    pub choices: Vec<Json>,
    /// The least number allowed.
    pub min: Option<f64>,
    /// The greatest number allowed.
    pub max: Option<f64>,
    /// The greatest length allowed, for text and files.
    pub max_bytes: Option<u64>,
}

impl Constraints {
    /// The choices as people write them: text without quotes, anything else as JSON.
    #[must_use]
    pub fn choice_labels(&self) -> Vec<String> {
        self.choices.iter().map(label).collect()
    }

    /// The choice that a text names, by its label or as another spelling of the same number.
    pub(crate) fn find_choice(&self, wanted: &str) -> Option<&Json> {
        self.choices.iter().find(|choice| {
            let label = label(choice);
            label == wanted || is_same_number(&label, wanted)
        })
    }

    /// Returns whether a number lies between `min` and `max`.
    pub(crate) fn has_in_range(&self, number: f64) -> bool {
        self.min.is_none_or(|min| number >= min) && self.max.is_none_or(|max| number <= max)
    }

    /// A number inside the range: its middle, or the bound that it has.
    pub(crate) fn sample_number(&self) -> f64 {
        match (self.min, self.max) {
            (Some(min), Some(max)) => f64::midpoint(min, max),
            (Some(bound), None) | (None, Some(bound)) => bound,
            (None, None) => 1.0,
        }
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
    match (one.parse::<f64>(), other.parse::<f64>()) {
        (Ok(one), Ok(other)) => one.total_cmp(&other).is_eq(),
        _ => false,
    }
}
