//! The variables that settings are read from.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::declaration::{Absent, PREFIX, Setting, SettingType};
use super::error::SettingError;

/// The environment variables of this process, overridden by the flags.
#[derive(Clone, Default)]
pub struct Environment {
    values: BTreeMap<String, String>,
    /// The names of the variables that a flag has set.
    set: BTreeSet<String>,
}

impl Environment {
    /// Creates an environment of these variables.
    #[must_use]
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Environment { values: variables.into_iter().collect(), ..Self::default() }
    }

    /// Overrides the value of a setting, as a flag does.
    pub fn set(&mut self, setting: &Setting, value: impl Into<String>) {
        self.set_as(setting.name, setting, value);
    }

    /// Overrides a value under `name`, which can be a former name of the setting.
    pub fn set_as(&mut self, name: &str, setting: &Setting, value: impl Into<String>) {
        for other in setting.names() {
            self.values.remove(other);
        }
        self.values.insert(name.to_owned(), value.into());
        self.set.insert(name.to_owned());
    }

    /// Sets a variable, as if it had been in the environment of the process.
    pub fn set_variable(&mut self, name: &str, value: impl Into<String>) {
        self.values.insert(name.to_owned(), value.into());
    }

    /// Returns true if a flag has set the variable of this name.
    #[must_use]
    pub fn is_flag(&self, name: &str) -> bool {
        self.set.contains(name)
    }

    /// Returns true if the value comes from a flag, and not from a variable that may be meant for
    /// another program.
    #[must_use]
    pub fn is_set_by_flag(&self, setting: &Setting) -> bool {
        self.given(setting).is_some_and(|(name, _)| self.is_flag(name))
    }

    /// Returns any variable, whether it is a setting or not.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Reads a setting's value or default as its declared type.
    pub fn read<T: SettingType>(&self, setting: &Setting) -> Result<T::Value, SettingError> {
        self.check_empty(setting)?;
        let (name, text) = self.given(setting).unwrap_or((setting.name, setting.default));
        let unfit = |expected| setting.invalid_as(name, text, format!("expected {expected}"));
        T::read(text).map_err(unfit)
    }

    /// Reads a setting that has no default.
    pub fn read_optional<T: Absent>(&self, setting: &Setting) -> Result<T::Value, SettingError> {
        self.check_empty(setting)?;
        self.given(setting).map_or_else(|| Ok(T::absent()), |_| self.read::<T>(setting))
    }

    /// Returns true if the setting has a value.
    #[must_use]
    pub fn has(&self, setting: &Setting) -> bool {
        self.given(setting).is_some()
    }

    /// Refuses an unknown variable with our prefix, so that a misspelt setting is not silently
    /// ignored. Variables that Kubernetes sets for a Service of our name are allowed. Also refuses
    /// different values under the current and a former name of a setting.
    pub fn check(
        &self,
        settings: impl Iterator<Item = &'static Setting> + Clone,
    ) -> Result<(), SettingError> {
        let is_known = |name: &str| settings.clone().any(|known| known.names().any(|n| n == name));
        let unknown = self.values.iter().find(|(name, value)| {
            name.starts_with(PREFIX) && !is_known(name) && !is_service_link(name, value)
        });
        if let Some((name, _)) = unknown {
            let suggestion = nearest(name, settings);
            return Err(SettingError::Unknown { name: name.clone(), suggestion });
        }
        for setting in settings {
            let given = self.given(setting).map(|(_, value)| value);
            let differs = |former: &&&str| self.value(former).is_some_and(|v| Some(v) != given);
            if let Some(former) = setting.was.iter().find(differs) {
                return Err(SettingError::Contradiction { name: setting.name, former });
            }
        }
        Ok(())
    }

    /// Returns the settings whose value was given under a former name, each with that name.
    pub fn renamed(
        &self,
        settings: impl Iterator<Item = &'static Setting>,
    ) -> impl Iterator<Item = (&'static str, &'static Setting)> {
        settings.filter_map(|setting| {
            let (name, _) = self.given(setting)?;
            (name != setting.name).then_some((name, setting))
        })
    }

    /// Refuses an empty value if the setting does not allow it.
    fn check_empty(&self, setting: &Setting) -> Result<(), SettingError> {
        let present = setting.names().find(|name| self.variable(name).is_some());
        match present {
            Some(name) if setting.refuses_empty && self.given(setting).is_none() => {
                Err(SettingError::Empty { name })
            }
            _ => Ok(()),
        }
    }

    /// Returns the given value with the name that was used for it.
    fn given(&self, setting: &Setting) -> Option<(&'static str, &str)> {
        setting.names().find_map(|name| Some((name, self.value(name)?)))
    }

    /// Returns the value of a variable without surrounding spaces, or `None` if it is empty.
    fn value(&self, name: &str) -> Option<&str> {
        self.variable(name).map(str::trim).filter(|value| !value.is_empty())
    }
}

/// Writes the names only, because any value can be a secret.
impl fmt::Debug for Environment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_map().entries(self.values.keys().map(|name| (name, format_args!("***")))).finish()
    }
}

/// Returns the setting whose name is most like this name.
fn nearest(name: &str, settings: impl Iterator<Item = &'static Setting>) -> Option<&'static str> {
    settings
        .map(|known| {
            // A name that follows another convention, such as PORT, may be written with our prefix
            // by mistake.
            let is_same = name.strip_prefix(PREFIX) == Some(known.name);
            let likeness = if is_same { 1.0 } else { strsim::jaro_winkler(name, known.name) };
            (likeness, known.name)
        })
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// Returns true if Kubernetes sets such a variable for a Service in every pod, such as
/// `NAME_SERVICE_HOST=10.0.0.11`, `NAME_PORT=tcp://10.0.0.11:5000` or
/// `NAME_PORT_5000_TCP_PROTO=tcp`.
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
        default: "1",
        was: &["AI_INTEGRATION_PROCESSES"],
        ..Setting::of::<Workers>("AI_INTEGRATION_WORKERS", "workers", "", "", "")
    };

    static TOKEN: Setting = Setting {
        is_secret: true,
        ..Setting::of::<Workers>("AI_INTEGRATION_TOKEN", "token", "", "", "")
    };

    struct Workers;

    impl SettingType for Workers {
        type Value = u32;
        const VALUE_NAME: &'static str = "N";

        fn read(text: &str) -> Result<u32, String> {
            text.parse().ok().filter(|n| *n > 0).ok_or_else(|| "a number above 0".to_owned())
        }
    }

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Environment::new(variables.iter().map(owned))
    }

    fn check(variables: &[(&str, &str)]) -> Result<(), String> {
        let settings = [&WORKERS, &TOKEN].into_iter();
        environment(variables).check(settings).map_err(|error| error.to_string())
    }

    #[test]
    fn a_misspelt_setting_is_an_error_with_the_nearest_name() {
        assert_eq!(
            check(&[("AI_INTEGRATION_WORKER", "2")]).unwrap_err(),
            "AI_INTEGRATION_WORKER is not a setting; did you mean AI_INTEGRATION_WORKERS?"
        );
        assert_eq!(check(&[("OTHER", "2")]), Ok(()));
    }

    #[test]
    fn variables_of_a_service_are_not_misspelt_settings() {
        for (name, value) in [
            ("AI_INTEGRATION_SERVICE_HOST", "10.0.0.11"),
            ("AI_INTEGRATION_SERVICE_PORT", "5000"),
            ("AI_INTEGRATION_OCR_SERVICE_PORT_HTTP", "5000"),
            ("AI_INTEGRATION_PORT", "tcp://10.0.0.11:5000"),
            ("AI_INTEGRATION_PORT_5000_TCP", "tcp://10.0.0.11:5000"),
            ("AI_INTEGRATION_PORT_5000_TCP_ADDR", "10.0.0.11"),
        ] {
            assert_eq!(check(&[(name, value)]), Ok(()), "{name}");
        }
        for (name, value) in
            [("AI_INTEGRATION_PORT", "5000"), ("AI_INTEGRATION_PORT_NUMBER", "5000")]
        {
            assert!(check(&[(name, value)]).is_err(), "{name}");
        }
    }

    #[test]
    fn values_are_checked_and_have_defaults() {
        let default = Environment::default();
        assert_eq!(default.read::<Workers>(&WORKERS), Ok(1));
        assert_eq!(default.read_optional::<Option<Workers>>(&TOKEN), Ok(None));
        let given = environment(&[(WORKERS.name, " 3 "), (TOKEN.name, "4")]);
        assert_eq!(given.read::<Workers>(&WORKERS), Ok(3));
        assert_eq!(given.read_optional::<Option<Workers>>(&TOKEN), Ok(Some(4)));
        let wrong = environment(&[(WORKERS.name, "0")]);
        assert_eq!(
            wrong.read::<Workers>(&WORKERS).unwrap_err().to_string(),
            "AI_INTEGRATION_WORKERS=\"0\" does not fit: expected a number above 0"
        );
    }

    #[test]
    fn an_empty_value_counts_as_none_unless_the_setting_refuses_it() {
        let protective = Setting { refuses_empty: true, ..TOKEN };
        for blank in ["", " ", "\t\n", "\u{a0}"] {
            let given = environment(&[(WORKERS.name, blank), (TOKEN.name, blank)]);
            assert_eq!(given.read::<Workers>(&WORKERS), Ok(1));
            assert_eq!(given.read_optional::<Option<Workers>>(&TOKEN), Ok(None));
            let error = given.read_optional::<Option<Workers>>(&protective).unwrap_err();
            assert_eq!(
                error.to_string(),
                "AI_INTEGRATION_TOKEN is set, but empty; give it a value, or remove it"
            );
        }
        let unset = environment(&[]);
        assert_eq!(unset.read_optional::<Option<Workers>>(&protective), Ok(None));
    }

    #[test]
    fn a_former_name_still_works() {
        let old = ("AI_INTEGRATION_PROCESSES", "3");
        let renamed = environment(&[old]);
        assert_eq!(check(&[old]), Ok(()));
        assert_eq!(renamed.read::<Workers>(&WORKERS), Ok(3));
        let found: Vec<_> = renamed.renamed([&WORKERS, &TOKEN].into_iter()).collect();
        assert!(
            matches!(found[..], [("AI_INTEGRATION_PROCESSES", setting)] if setting.name == WORKERS.name)
        );
        let wrong = environment(&[(old.0, "x")]).read::<Workers>(&WORKERS).unwrap_err();
        assert!(wrong.to_string().starts_with("AI_INTEGRATION_PROCESSES=\"x\""), "{wrong}");
    }

    #[test]
    fn a_setting_under_both_names_has_one_value() {
        let old = ("AI_INTEGRATION_PROCESSES", "3");
        assert_eq!(check(&[old, (WORKERS.name, "3")]), Ok(()));
        let error = check(&[old, (WORKERS.name, "4")]).unwrap_err();
        assert!(error.contains(old.0) && error.contains(WORKERS.name), "{error}");
        // A flag overrides both.
        let mut environment = environment(&[old]);
        environment.set(&WORKERS, "4");
        assert!(environment.check([&WORKERS].into_iter()).is_ok());
        environment.set_as(old.0, &WORKERS, "5");
        assert_eq!(environment.read::<Workers>(&WORKERS), Ok(5));
    }

    #[test]
    fn a_secret_is_shown_nowhere() {
        let environment = environment(&[(TOKEN.name, "s3cret")]);
        let error = environment.read::<Workers>(&TOKEN).unwrap_err();
        assert_eq!(
            error.to_string(),
            "AI_INTEGRATION_TOKEN=\"***\" does not fit: expected a number above 0"
        );
        let shown = format!("{environment:?}{error:?}");
        assert!(shown.contains("AI_INTEGRATION_TOKEN") && !shown.contains("s3cret"), "{shown}");
    }
}
