//! The modes of ai_integration: how a model is used from outside.
//!
//! One model can answer a command line, read its inputs from a pipe, test itself or serve HTTP. The
//! setting `MODE` chooses. Each way is a [`Mode`]: one file in this crate, and one line in the table
//! `modes!`. A mode reaches the model only through the [`Engine`](ai_integration_engine::Engine) in
//! its [`Context`], and does not know how a worker is run.
//!
//! # The parts, in reading order
//!
//! 1. `mode.rs` has the trait [`Mode`], with an example of a whole mode, and the [`Context`] that a
//!    mode works with. `exit.rs` has the [`ExitStatus`] with which it ends.
//! 2. `lib.rs` has the table of the modes, [`MODES`]. `listing.rs` writes the list that users see.
//! 3. `test_single_image.rs`, `test_inputs_dict_json.rs` and `test_inputs_pickled_dict.rs` are the
//!    pipe modes. `stdin.rs` has what they share, and `pickle.rs` reads pickles.
//! 4. `test_model_integration.rs` is the self-test. `inspection.rs` reports on a result.
//! 5. `command_line.rs` makes a flag of each input, and writes the result.
//! 6. `http.rs` is the server. It begins with a reading order of its own.
//! 7. `platform.rs` has the profile of a hosting platform, and `platforms.rs` the table of them. A
//!    profile chooses the mode and other settings.
//! 8. `mcp.rs` serves agents over standard input and output. It reads requests as `http` does.
//! 9. `lambda.rs` works on the events of AWS Lambda, and `runpod.rs` takes jobs from a queue of
//!    `RunPod`.
//!
//! # Features
//!
//! All of them are on by default. Each adds a mode or an ability that needs many dependencies.
//!
//! | feature | adds |
//! |---|---|
//! | `grpc` | the Open Inference Protocol over gRPC, in `http` |
//! | `http` | the mode `http`: the API and the web page; the mode `mcp` |
//! | `lambda` | the mode `lambda`: a function of AWS Lambda |
//! | `otel` | traces of `http` for an OpenTelemetry collector |
//! | `pickle` | the mode `test_inputs_pickled_dict` |
//! | `runpod` | the mode `runpod`, which takes jobs from a queue of `RunPod` |
//! | `terminal` | progress bars, and colours in the help |
//! | `tls` | a certificate for `http`, and HTTP/2 |
//! | `url-inputs` | inputs that `http` downloads from a URL |

pub mod console;
mod exit;
#[cfg(fuzzing)]
pub mod fuzzing;
mod inspection;
mod listing;
mod mode;
#[cfg(feature = "pickle")]
mod pickle;
pub mod platform;
pub mod platforms;
#[cfg(feature = "http")]
mod running;
mod stdin;

use ai_integration_contract::setting::SettingType;
use ai_integration_contract::settings;
use ai_integration_engine::CustomMode;

pub use exit::ExitStatus;
#[cfg(feature = "http")]
pub use http::healthcheck::{Question, healthcheck};
pub use mode::{Context, Mode, Running};

macro_rules! modes {
    ($($(#[cfg(feature = $feature:literal)])? $module:ident :: $name:ident),+ $(,)?) => {
        $($(#[cfg(feature = $feature)])? mod $module;)+
        /// Every mode of this build.
        pub const MODES: &[&dyn Mode] = &[$($(#[cfg(feature = $feature)])? &$module::$name),+];
        /// The modes that this build lacks, each with the feature that adds it.
        const LEFT_OUT: &[(&str, &str)] =
            &[$($(#[cfg(not(feature = $feature))] (stringify!($module), $feature),)?)+];
    };
}

modes! {
    command_line::CommandLine,
    #[cfg(feature = "http")] http::Http,
    #[cfg(feature = "lambda")] lambda::Lambda,
    #[cfg(feature = "http")] mcp::Mcp,
    #[cfg(feature = "runpod")] runpod::RunPod,
    test_inputs_dict_json::TestInputsDictJson,
    #[cfg(feature = "pickle")] test_inputs_pickled_dict::TestInputsPickledDict,
    test_model_integration::TestModelIntegration,
    test_single_image::TestSingleImage,
}

/// The mode that is used if none is chosen.
pub const DEFAULT_MODE: &dyn Mode = &command_line::CommandLine;

settings! {
    /// The choice of the mode.
    #[derive(Clone, Debug)]
    pub struct Usage under "Model" {
        /// Way in which the model is used. By default the modes are listed, and command_line is used.
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

/// Finds the built-in mode of this name.
///
/// ```
/// assert_eq!(ai_integration_modes::find("command_line").map(|mode| mode.is_serving()), Some(false));
/// assert!(ai_integration_modes::find("telepathy").is_none());
/// ```
#[must_use]
pub fn find(name: &str) -> Option<&'static dyn Mode> {
    MODES.iter().copied().find(|mode| mode.name() == name)
}

/// Returns the feature of the crate `ai-integration` that adds the mode of this name, if this build
/// was made without that feature.
#[must_use]
pub fn left_out(name: &str) -> Option<&'static str> {
    LEFT_OUT.iter().find(|(mode, _)| *mode == name).map(|(_, feature)| *feature)
}

/// Lists every mode with its hint, one line each, sorted by name. A custom mode that has the name of
/// a built-in one is left out.
#[must_use]
pub fn list(custom: &[CustomMode]) -> String {
    listing::list(MODES, custom)
}

/// Lists the modes like [`list`], with the example command of each mode that has one.
#[must_use]
pub fn list_with_examples(custom: &[CustomMode]) -> String {
    listing::list_with_examples(MODES, custom)
}

/// Returns the mode that a user probably meant by a name that no mode has.
#[must_use]
pub fn meant<'a>(name: &str, custom: &'a [CustomMode]) -> Option<&'a str> {
    listing::meant(name, MODES, custom)
}
