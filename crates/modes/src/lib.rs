//! The usage modes: how a model is used from outside. Each mode is a file here and a line in the
//! table below; all of them meet the model through the engine they are given, and know nothing else
//! of it. A mode that needs much stands behind a feature, which its line names.

pub mod console;
mod exit;
#[cfg(fuzzing)]
pub mod fuzzing;
mod inspection;
mod listing;
mod mode;
#[cfg(feature = "pickle")]
mod pickle;
mod stdin;

use ai_integration_contract::setting::SettingType;
use ai_integration_contract::settings;
use ai_integration_engine::CustomMode;

pub use exit::ExitStatus;
pub use mode::{Context, Mode, Running};

macro_rules! modes {
    ($($(#[cfg(feature = $feature:literal)])? $module:ident :: $name:ident),+ $(,)?) => {
        $($(#[cfg(feature = $feature)])? mod $module;)+
        /// Every mode of this build.
        pub const MODES: &[&dyn Mode] = &[$($(#[cfg(feature = $feature)])? &$module::$name),+];
        /// The modes that this build leaves out, each with the feature that brings it.
        const LEFT_OUT: &[(&str, &str)] =
            &[$($(#[cfg(not(feature = $feature))] (stringify!($module), $feature),)?)+];
    };
}

modes! {
    command_line::CommandLine,
    #[cfg(feature = "http")] http::Http,
    test_inputs_dict_json::TestInputsDictJson,
    #[cfg(feature = "pickle")] test_inputs_pickled_dict::TestInputsPickledDict,
    test_model_integration::TestModelIntegration,
    test_single_image::TestSingleImage,
}

/// The mode that is used when none is chosen.
pub const DEFAULT_MODE: &dyn Mode = &command_line::CommandLine;

settings! {
    /// The choice of the mode.
    #[derive(Clone, Debug)]
    pub struct Usage under "Model" {
        /// The way in which the model is used; without it the modes are listed and command_line is
        /// used.
        mode: Option<ModeName> { name: "MODE" },
    }
}

/// The name of a mode: a built-in one, or one that the Python client adds.
#[derive(Debug)]
pub struct ModeName;

impl SettingType for ModeName {
    type Value = String;
    const VALUE_NAME: &'static str = "MODE";

    fn choices() -> Vec<&'static str> {
        MODES.iter().map(|mode| mode.name()).collect()
    }

    fn read(name: &str) -> Result<String, String> {
        Ok(name.to_owned())
    }
}

/// The built-in mode of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static dyn Mode> {
    MODES.iter().copied().find(|mode| mode.name() == name)
}

/// The feature of the crate `ai-integration` that brings the mode of that name, where this build was
/// made without it.
#[must_use]
pub fn left_out(name: &str) -> Option<&'static str> {
    LEFT_OUT.iter().find(|(mode, _)| *mode == name).map(|(_, feature)| *feature)
}

/// Every mode with its hint, a line each, in the order of their names. A custom mode never
/// replaces a built-in one.
#[must_use]
pub fn list(custom: &[CustomMode]) -> String {
    listing::list(MODES, custom)
}

/// The same list with a command for each mode that has one.
#[must_use]
pub fn list_with_examples(custom: &[CustomMode]) -> String {
    listing::list_with_examples(MODES, custom)
}

/// The mode that a name which no mode has seems to mean.
#[must_use]
pub fn meant<'a>(name: &str, custom: &'a [CustomMode]) -> Option<&'a str> {
    listing::meant(name, MODES, custom)
}
