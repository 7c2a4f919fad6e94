//! The trait of the types that an input may be declared as. The types are in `input_types`.

use crate::constraints::Constraints;
use crate::raw::RawValue;
use crate::shape::{Refusal, Shape};
use crate::value::Value;

/// A type of the inputs schema: its name there, its form, a sample of it, and its own check where
/// the form says less than the type asks for.
pub trait InputType: Sync + std::fmt::Debug {
    /// The name in the schema's `type`.
    fn name(&self) -> &'static str;

    /// The form which front ends know.
    fn shape(&self) -> Shape;

    /// A valid value for a self-test of a field that names no example, default or choice.
    fn sample(&self, constraints: &Constraints) -> Value;

    /// Reads a value as this type. One that does not fit comes back, and is answered with
    /// [`expectation`](InputType::expectation).
    fn accept(&self, raw: RawValue, constraints: &Constraints) -> Result<Value, Refusal> {
        self.shape().accept(raw, constraints)
    }

    /// Describes what fits in words, such as "an integer from 1 to 50", leaving choices aside.
    fn expectation(&self, constraints: &Constraints) -> String {
        self.shape().expectation(constraints)
    }
}
