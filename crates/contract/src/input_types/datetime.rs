//! A date with a time of day: `2024-02-29T12:30:00Z` (ISO 8601, RFC 3339's `date-time`). The model
//! gets the text without surrounding spaces.
//!
//! A space can replace the `T`, and seconds and offset can be missing, because browsers and people
//! write it that way. A time without an offset is a local time in a zone that the model chooses.

use crate::constraints::Constraints;
use crate::input_type::InputType;
use crate::raw::RawValue;
use crate::shape::{Refusal, Shape};
use crate::value::Value;

use super::date::{digits, is_date};

#[derive(Debug)]
pub(super) struct DateTime;

impl InputType for DateTime {
    fn name(&self) -> &'static str {
        "datetime"
    }

    fn shape(&self) -> Shape {
        Shape::Text { format: Some("date-time") }
    }

    fn sample(&self, _constraints: &Constraints) -> Value {
        Value::Text("2024-02-29T12:30:00Z".to_owned())
    }

    fn accept(&self, raw: RawValue, constraints: &Constraints) -> Result<Value, Refusal> {
        match self.shape().accept(raw, constraints)? {
            Value::Text(text) if is_datetime(text.trim()) => {
                Ok(Value::Text(text.trim().to_owned()))
            }
            other => Err(Refusal::Unfit(other.into())),
        }
    }

    fn expectation(&self, _constraints: &Constraints) -> String {
        "a date and time such as 2024-02-29T12:30:00Z".to_owned()
    }
}

fn is_datetime(text: &str) -> bool {
    let Some((date, time)) = text.split_once(['T', ' ']) else { return false };
    let (time, offset) = match time.find(['Z', '+', '-']) {
        Some(at) => time.split_at(at),
        None => (time, "Z"),
    };
    let has_offset = match offset.strip_prefix(['+', '-']) {
        Some(offset) => is_clock(offset, 2..=2),
        None => offset == "Z",
    };
    let (time, fraction) = time.split_once('.').map_or((time, None), |(time, f)| (time, Some(f)));
    let has_time = match fraction {
        Some(fraction) => is_clock(time, 3..=3) && is_number(fraction),
        None => is_clock(time, 2..=3),
    };
    is_date(date) && has_time && has_offset
}

/// Returns true if the text is hours and minutes, and seconds if there is a third part. A leap
/// second is refused, because the time types of programs cannot hold it.
fn is_clock(text: &str, parts: std::ops::RangeInclusive<usize>) -> bool {
    let limits = [24, 60, 60];
    parts.contains(&text.split(':').count())
        && text.split(':').zip(limits).all(|(part, limit)| {
            digits(part).is_some_and(|(number, length)| number < limit && length == 2)
        })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
