//! Settings: declared beside the code that they steer, read through one [`Environment`].

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

/// What every setting of ours that is not a general convention is named like.
const PREFIX: &str = "AI_INTEGRATION_";

/// One setting: an environment variable which is also a flag of `ai-integration run`.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// The environment variable.
    pub name: &'static str,
    /// The flag without its dashes; none for what only makes sense as a variable.
    pub flag: Option<&'static str>,
    /// What stands for the value in help.
    pub value_name: &'static str,
    /// The value when nobody sets it, as it would be written; empty for none.
    pub default: &'static str,
    /// What it does, in a sentence or two.
    pub help: &'static str,
}

/// A setting that cannot be used as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// The value does not fit.
    #[error("{name}={value:?} does not fit: {expected}")]
    Invalid {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
        /// What would fit.
        expected: String,
    },
    /// There is no such setting.
    #[error("{name} is not a setting{}", suggestion.map(|near| format!("; did you mean {near}?")).unwrap_or_default())]
    Unknown {
        /// The variable.
        name: String,
        /// The setting with the most similar name.
        suggestion: Option<&'static str>,
    },
}

/// The values of the environment variables that concern us, with flags laid over them.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    values: BTreeMap<String, String>,
}

impl Environment {
    /// An environment of these variables.
    #[must_use]
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Environment { values: variables.into_iter().collect() }
    }

    /// Sets a value over what was there, as a flag does.
    pub fn set(&mut self, setting: &Setting, value: impl Into<String>) {
        self.values.insert(setting.name.to_owned(), value.into());
    }

    /// Any variable, set by us or not.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// The value, or the setting's default, or nothing when it has none.
    #[must_use]
    pub fn get(&self, setting: &Setting) -> Option<&str> {
        let given = self.variable(setting.name).map(str::trim).filter(|value| !value.is_empty());
        given.or(Some(setting.default).filter(|default| !default.is_empty()))
    }

    /// The value as a list: what stands between commas, in lower case.
    #[must_use]
    pub fn list(&self, setting: &Setting) -> Vec<String> {
        let items = self.get(setting).unwrap_or_default().split(',').map(str::trim);
        items.filter(|item| !item.is_empty()).map(str::to_ascii_lowercase).collect()
    }

    /// The value as a `T` that passes `check`; `expected` says what that is.
    pub fn parse<T: FromStr>(
        &self,
        setting: &'static Setting,
        expected: &str,
        check: impl Fn(&T) -> bool,
    ) -> Result<Option<T>, SettingError> {
        let Some(value) = self.get(setting) else { return Ok(None) };
        match value.parse::<T>() {
            Ok(parsed) if check(&parsed) => Ok(Some(parsed)),
            _ => Err(SettingError::Invalid {
                name: setting.name,
                value: value.to_owned(),
                expected: format!("expected {expected}"),
            }),
        }
    }

    /// The value as a time in seconds, above 0 and up to a day.
    pub fn seconds(&self, setting: &'static Setting) -> Result<Option<Duration>, SettingError> {
        let expected = "a number of seconds above 0, up to a day";
        let seconds = self.parse::<f64>(setting, expected, |s| *s > 0.0 && *s <= 86_400.0)?;
        Ok(seconds.map(Duration::from_secs_f64))
    }

    /// Refuses variables that look like settings of ours and are none, so that a misspelt one is
    /// not silently without effect. Those that Kubernetes sets for a Service of that name are let be.
    pub fn check_names(&self, settings: &[&'static Setting]) -> Result<(), SettingError> {
        let unknown = self.values.iter().find(|(name, value)| {
            name.starts_with(PREFIX)
                && !settings.iter().any(|known| known.name == name.as_str())
                && !is_service_link(name, value)
        });
        let Some((name, _)) = unknown else { return Ok(()) };
        let nearest = settings
            .iter()
            .map(|known| (strsim::jaro_winkler(name, known.name), known.name))
            .max_by(|a, b| a.0.total_cmp(&b.0));
        Err(SettingError::Unknown { name: name.clone(), suggestion: nearest.map(|(_, name)| name) })
    }
}

/// Whether Kubernetes sets such a variable in every pod beside a Service, as in
/// `NAME_SERVICE_HOST=10.0.0.11`, `NAME_PORT=tcp://10.0.0.11:5000` or `NAME_PORT_5000_TCP_PROTO=tcp`.
fn is_service_link(name: &str, value: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_of_port = |rest: &str| {
        let mut words = rest.split('_');
        words.next().is_some_and(is_number)
            && words.next().is_some_and(|word| ["TCP", "UDP", "SCTP"].contains(&word))
    };
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || (name.ends_with("_PORT") && value.contains("://"))
        || name.split_once("_PORT_").is_some_and(|(_, rest)| is_of_port(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    static WORKERS: Setting = Setting {
        name: "AI_INTEGRATION_WORKERS",
        flag: Some("workers"),
        value_name: "N",
        default: "1",
        help: "",
    };

    fn environment(name: &str, value: &str) -> Environment {
        Environment::new([(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn a_misspelt_setting_is_an_error_with_the_nearest_name() {
        let error = environment("AI_INTEGRATION_WORKER", "2").check_names(&[&WORKERS]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "AI_INTEGRATION_WORKER is not a setting; did you mean AI_INTEGRATION_WORKERS?"
        );
        assert_eq!(environment("OTHER", "2").check_names(&[&WORKERS]), Ok(()));
    }

    #[test]
    fn a_service_of_our_name_is_no_misspelt_setting() {
        let check = |name, value| environment(name, value).check_names(&[&WORKERS]);
        for (name, value) in [
            ("AI_INTEGRATION_SERVICE_HOST", "10.0.0.11"),
            ("AI_INTEGRATION_SERVICE_PORT", "5000"),
            ("AI_INTEGRATION_OCR_SERVICE_PORT_HTTP", "5000"),
            ("AI_INTEGRATION_PORT", "tcp://10.0.0.11:5000"),
            ("AI_INTEGRATION_PORT_5000_TCP", "tcp://10.0.0.11:5000"),
            ("AI_INTEGRATION_PORT_5000_TCP_ADDR", "10.0.0.11"),
        ] {
            assert_eq!(check(name, value), Ok(()), "{name}");
        }
        for (name, value) in
            [("AI_INTEGRATION_PORT", "5000"), ("AI_INTEGRATION_PORT_NUMBER", "5000")]
        {
            assert!(check(name, value).is_err(), "{name}");
        }
    }

    #[test]
    fn values_are_checked_and_have_defaults() {
        let read = |environment: &Environment| {
            environment.parse::<u32>(&WORKERS, "a number above 0", |n| *n > 0)
        };
        assert_eq!(read(&Environment::default()), Ok(Some(1)));
        assert_eq!(read(&environment(WORKERS.name, " 3 ")), Ok(Some(3)));
        assert_eq!(
            read(&environment(WORKERS.name, "0")).unwrap_err().to_string(),
            "AI_INTEGRATION_WORKERS=\"0\" does not fit: expected a number above 0"
        );
    }
}
