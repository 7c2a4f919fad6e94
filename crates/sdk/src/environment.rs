//! The environment of this process: the one place that touches it.

use std::ffi::OsString;

use ai_integration_contract::Environment;

/// Reads the environment of this process. A variable whose name is not UTF-8 is none of ours. In a
/// value what is not UTF-8 is replaced: the setting then does not fit, instead of being none.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
pub fn read() -> Environment {
    let utf8 = |(name, value): (OsString, OsString)| {
        Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
    };
    Environment::new(std::env::vars_os().filter_map(utf8))
}

/// Takes a variable out of the environment, so that programs that the model starts do not get it.
#[expect(unsafe_code, reason = "the environment is shared by all threads")]
#[expect(clippy::disallowed_methods, reason = "only what this process was told may be removed")]
pub(crate) fn forget(variable: &str) {
    // SAFETY: called from the model's first call, before it has begun to work; a program that
    // reads the environment on another thread at that moment is asked not to by the docs.
    unsafe { std::env::remove_var(variable) };
}
