//! The mode that reads one picture from standard input, for models with a single image input.

use ai_integration_contract::{RawInputs, RawValue};
use ai_integration_engine::Model;

use crate::mode::{Context, Mode, Running};
use crate::stdin;

/// The conventional name of a single image input.
pub(crate) const CONVENTION: &str = "image";

pub(crate) struct TestSingleImage;

impl Mode for TestSingleImage {
    fn name(&self) -> &'static str {
        "test_single_image"
    }

    fn hint(&self) -> &'static str {
        "Pipe a single image in"
    }

    fn example(&self) -> Option<&'static str> {
        Some("docker run --rm -i -e MODE=test_single_image IMAGE < picture.jpeg")
    }

    fn run(&self, context: Context) -> Running {
        stdin::run_once(context, |bytes, model| {
            Ok(RawInputs::from_iter([(input_name(model), RawValue::Bytes(bytes.into()))]))
        })
    }
}

/// Returns the name of the model's only image input, or `image` if there is not exactly one.
fn input_name(model: &Model) -> String {
    let mut images = model.schema.fields().iter().filter(|(_, field)| field.shape().is_image());
    match (images.next(), images.next()) {
        (Some((name, _)), None) => name.clone(),
        _ => CONVENTION.to_owned(),
    }
}
