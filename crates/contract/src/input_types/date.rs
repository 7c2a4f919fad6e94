//! A calendar date: `2024-02-29` (ISO 8601, RFC 3339's `full-date`). The model gets the text
//! without surrounding spaces.

use crate::constraints::Constraints;
use crate::input_type::InputType;
use crate::raw::RawValue;
use crate::shape::{Refusal, Shape};
use crate::value::Value;

#[derive(Debug)]
pub(super) struct Date;

impl InputType for Date {
    fn name(&self) -> &'static str {
        "date"
    }

    fn shape(&self) -> Shape {
        Shape::Text { format: Some("date") }
    }

    fn sample(&self, _constraints: &Constraints) -> Value {
        Value::Text("2024-02-29".to_owned())
    }

    fn accept(&self, raw: RawValue, constraints: &Constraints) -> Result<Value, Refusal> {
        match self.shape().accept(raw, constraints)? {
            Value::Text(text) if is_date(text.trim()) => Ok(Value::Text(text.trim().to_owned())),
            other => Err(Refusal::Unfit(other.into())),
        }
    }

    fn expectation(&self, _constraints: &Constraints) -> String {
        "a date such as 2024-02-29".to_owned()
    }
}

/// Returns true if the text is `YYYY-MM-DD` and names a day of the Gregorian calendar.
///
/// This is own code because libraries for dates bring time zones or format languages, which every
/// Rust model would have to compile.
pub(super) fn is_date(text: &str) -> bool {
    let parts = text.splitn(3, '-').map(digits).collect::<Option<Vec<_>>>();
    let Some([(year, 4), (month, 2), (day, 2)]) = parts.as_deref() else { return false };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u32::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(day)
}

/// Reads a number that consists of digits only, and returns it with the count of its digits.
pub(super) fn digits(text: &str) -> Option<(u32, usize)> {
    let are_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| are_digits).map(|number| (number, text.len()))
}
