//! The errors of settings.

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// The value does not fit.
    #[error("{name}={value:?} does not fit: {reason}")]
    Invalid {
        /// The variable.
        name: &'static str,
        /// Its value; `***` for a secret.
        value: String,
        /// The reason: a valid value, or the fault of this value.
        reason: String,
    },
    /// There is no value, and no default.
    #[error("{name} is not set: {reason}")]
    Missing {
        /// The variable.
        name: &'static str,
        /// The reason why there must be a value.
        reason: &'static str,
    },
    /// The value is empty, which would leave the server open or without a limit.
    #[error("{name} is set, but empty; give it a value, or remove it")]
    Empty {
        /// The variable.
        name: &'static str,
    },
    /// There is no such setting.
    #[error("{name} is not a setting{}", suggestion.map(|near| format!("; did you mean {near}?")).unwrap_or_default())]
    Unknown {
        /// The variable.
        name: String,
        /// The setting with the most similar name.
        suggestion: Option<&'static str>,
    },
    /// A setting has different values under its current and a former name.
    #[error(
        "{former} is the old name of {name}, and the two have different values; remove {former}"
    )]
    Contradiction {
        /// The variable.
        name: &'static str,
        /// The former name.
        former: &'static str,
    },
}
