//! The environment of this process. Only this module reads or changes it.

use std::ffi::OsString;

use ai_integration_contract::Environment;

/// Reads the environment of this process. Variables whose names are not UTF-8 are left out. If a
/// value is not UTF-8, its wrong bytes are replaced: a setting with such a value is refused, and
/// not ignored.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
pub fn read() -> Environment {
    let utf8 = |(name, value): (OsString, OsString)| {
        Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
    };
    Environment::new(std::env::vars_os().filter_map(utf8))
}

/// Removes a variable from the environment, so that programs which the model starts do not inherit
/// it.
#[expect(unsafe_code, reason = "the environment is shared by all threads")]
#[expect(
    clippy::disallowed_methods,
    reason = "only variables that were set for this process may be removed"
)]
pub(crate) fn forget(variable: &str) {
    // SAFETY: the model calls this once, when it asks for its jobs and before it does its work. The
    // documentation asks programs not to read the environment on another thread at that moment.
    unsafe { std::env::remove_var(variable) };
}
