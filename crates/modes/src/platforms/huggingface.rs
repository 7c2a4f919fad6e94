//! Inference Endpoints of Hugging Face. The platform sets no variable that shows it, and the user
//! declares the port and the address of the health check.

use crate::platform::{Profile, Source};

pub(super) const HUGGINGFACE: Profile = Profile {
    name: "huggingface",
    title: "Hugging Face Inference Endpoints",
    port: Some(Source::Fixed("8080")),
    model_dirs: &[Source::Fixed("/repository")],
    predict: "POST /",
    page: "huggingface.md",
    ..Profile::PLAIN
};
