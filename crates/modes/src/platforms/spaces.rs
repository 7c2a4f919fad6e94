//! Spaces of Hugging Face with `sdk: docker`.

use crate::platform::{Profile, Sign, Source};

pub(super) const SPACES: Profile = Profile {
    name: "spaces",
    title: "Hugging Face Spaces",
    signs: &[&[Sign::Variable("SPACE_ID")]],
    port: Some(Source::Fixed("7860")),
    page: "huggingface.md",
    ..Profile::PLAIN
};
