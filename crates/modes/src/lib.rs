//! The usage modes: how a model is used from outside. Each mode is a file here and a line in the
//! table below; all of them meet the model through the engine they are given, and know nothing else
//! of it.

pub mod console;
mod exit;
#[cfg(fuzzing)]
pub mod fuzzing;
mod inspection;
mod listing;
mod mode;
mod pickle;
mod stdin;

use ai_integration_contract::setting::SettingType;
use ai_integration_contract::settings;
use ai_integration_engine::CustomMode;

pub use exit::ExitStatus;
pub use http::HttpSettings;
pub use mode::{Context, Mode, Running};

macro_rules! modes {
    ($($module:ident :: $name:ident),+ $(,)?) => {
        $(mod $module;)+
        /// Every built-in mode.
        pub const MODES: &[&dyn Mode] = &[$(&$module::$name),+];
    };
}

modes! {
    command_line::CommandLine,
    http::Http,
    test_inputs_dict_json::TestInputsDictJson,
    test_inputs_pickled_dict::TestInputsPickledDict,
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

/// Every mode with its hint, a line each, in the order of their names. A custom mode never
/// replaces a built-in one.
#[must_use]
pub fn list(custom: &[CustomMode]) -> String {
    listing::list(MODES, custom)
}
