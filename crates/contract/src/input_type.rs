//! The trait of the types that an input can have. The types themselves are in `input_types`.

use crate::constraints::Constraints;
use crate::raw::RawValue;
use crate::shape::{Refusal, Shape};
use crate::value::Value;

/// A type of the inputs schema. It has a name, a shape and a sample. A type whose values are more
/// restricted than its shape overrides [`accept`](InputType::accept) and
/// [`expectation`](InputType::expectation).
///
/// ```
/// use ai_integration_contract::{Constraints, InputType, RawValue, Refusal, Shape, Value};
///
/// /// A colour such as `#ff8800`.
/// #[derive(Debug)]
/// struct Colour;
///
/// impl InputType for Colour {
///     fn name(&self) -> &'static str {
///         "colour"
///     }
///
///     fn shape(&self) -> Shape {
///         Shape::Text { format: Some("color") }
///     }
///
///     fn sample(&self, _constraints: &Constraints) -> Value {
///         Value::Text("#ff8800".to_owned())
///     }
///
///     fn accept(&self, raw: RawValue, constraints: &Constraints) -> Result<Value, Refusal> {
///         let value = self.shape().accept(raw, constraints)?;
///         let digits = value.as_text().and_then(|text| text.strip_prefix('#'));
///         match digits.map(|digits| (digits.len(), u32::from_str_radix(digits, 16))) {
///             Some((6, Ok(_))) => Ok(value),
///             _ => Err(Refusal::Unfit(value.into())),
///         }
///     }
///
///     fn expectation(&self, _constraints: &Constraints) -> String {
///         "a colour such as #ff8800".to_owned()
///     }
/// }
///
/// let none = Constraints::default();
/// assert!(Colour.accept(RawValue::Text("#102030".to_owned()), &none).is_ok());
/// assert!(Colour.accept(RawValue::Text("red".to_owned()), &none).is_err());
/// ```
pub trait InputType: Sync + std::fmt::Debug {
    /// Returns the type's name in the schema's `type`.
    fn name(&self) -> &'static str;

    /// Returns the shape for front ends.
    fn shape(&self) -> Shape;

    /// Returns a valid value, for the self-test of a field without an example, a default or
    /// choices.
    fn sample(&self, constraints: &Constraints) -> Value;

    /// Reads a value as this type. A value of another type is returned as [`Refusal::Unfit`], and
    /// the client gets the [`expectation`](InputType::expectation) in the error.
    fn accept(&self, raw: RawValue, constraints: &Constraints) -> Result<Value, Refusal> {
        self.shape().accept(raw, constraints)
    }

    /// Describes the expected value in words, without choices, such as "an integer from 1 to 50".
    fn expectation(&self, constraints: &Constraints) -> String {
        self.shape().expectation(constraints)
    }
}
