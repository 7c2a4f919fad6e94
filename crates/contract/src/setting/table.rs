//! The macro that declares settings.

/// Declares the settings of a part of the program, and the struct that holds their values.
///
/// Each setting is a doc comment and a line: the field, the [type](crate::setting::SettingType) of
/// its value, and a default. A field without a default must be an `Option` or a list.
///
/// ```
/// use ai_integration_contract::setting::{Count, Secret, Seconds, Text};
/// use ai_integration_contract::{Environment, settings};
///
/// settings! {
///     /// The settings of the queue.
///     #[derive(Debug)]
///     pub struct Config under "Workers" {
///         /// Requests that may wait for a worker; further ones are refused.
///         queue: Count<1, 1_000_000> = 1024,
///         /// Time that a model gets to finish a request after its timeout.
///         timeout_grace: Option<Seconds> { was: &["AI_INTEGRATION_GRACE"] },
///         /// A secret that every request must contain.
///         token: Option<Secret<Text>> { flag: None },
///     }
/// }
///
/// let config = Config::read(&Environment::default()).unwrap();
/// assert_eq!((config.queue, config.timeout_grace), (1024, None));
/// assert_eq!(Config::queue().name, "AI_INTEGRATION_QUEUE");
/// assert_eq!(Config::timeout_grace().flag, Some("timeout-grace"));
/// assert!(Config::token().is_secret);
/// ```
///
/// The macro makes
/// * the struct, whose fields have the values' types and the doc comments;
/// * `SETTINGS`, the list of the declared settings, and a function for each setting with the name of
///   its field. The variable is `AI_INTEGRATION_` and the field's name in capitals. The flag is the
///   field's name with dashes. The help is the doc comment. The heading is the text after `under`.
///   Braces after a declaration replace any field of its [`Setting`](crate::Setting);
/// * `read`, which reads all settings from an [`Environment`](crate::Environment), checks them, and
///   fills in the defaults.
#[macro_export]
macro_rules! settings {
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $table:ident under $heading:literal {
            $(
                $(#[doc = $help:literal])+
                $field:ident : $type:ty $(= $default:literal)? $({ $($key:ident : $value:expr),+ })?
            ),+ $(,)?
        }
    ) => {
        $(#[$attribute])*
        $visibility struct $table {
            $(
                $(#[doc = $help])+
                $visibility $field: <$type as $crate::setting::SettingType>::Value,
            )+
        }

        impl $table {
            /// Every setting of this declaration, in the order of the documentation.
            $visibility const SETTINGS: &'static [&'static $crate::Setting] =
                &[$(Self::$field()),+];

            /// Reads the settings.
            $visibility fn read(
                environment: &$crate::Environment,
            ) -> ::std::result::Result<Self, $crate::SettingError> {
                Ok($table {
                    $($field: $crate::settings!(
                        @read environment, Self::$field(), $type $(, $default)?
                    )?,)+
                })
            }

            $(
                #[doc = concat!("The setting that `", stringify!($field), "` is read from.")]
                #[must_use]
                $visibility const fn $field() -> &'static $crate::Setting {
                    const FIELD: &str = stringify!($field);
                    const PREFIXED: &str = concat!("AI_INTEGRATION_", stringify!($field));
                    const NAME: &[u8] =
                        &$crate::setting::spelling::upper_case::<{ PREFIXED.len() }>(PREFIXED);
                    const FLAG: &[u8] =
                        &$crate::setting::spelling::kebab_case::<{ FIELD.len() }>(FIELD);
                    const HELP: &str = concat!($($help),+).trim_ascii();
                    static SETTING: $crate::Setting = $crate::Setting {
                        $($($key: $value,)+)?
                        ..$crate::Setting::of::<$type>(
                            $crate::setting::spelling::text(NAME),
                            $crate::setting::spelling::text(FLAG),
                            concat!($($default)?),
                            HELP,
                            $heading,
                        )
                    };
                    &SETTING
                }
            )+
        }
    };
    (@read $environment:ident, $setting:expr, $type:ty) => {
        $environment.read_optional::<$type>($setting)
    };
    (@read $environment:ident, $setting:expr, $type:ty, $default:literal) => {
        $environment.read::<$type>($setting)
    };
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::setting::{Bytes, Count, List, Lowercase, Seconds, Secret, Text};
    use crate::{Environment, SettingError};

    settings! {
        /// Settings of every kind.
        #[derive(Debug)]
        pub(crate) struct Config under "Limits" {
            /// Greatest length of a body;
            /// larger ones are refused.
            max_body: Bytes<1, 1000> = "1kB",
            /// Requests that may wait.
            queue: Count<1, 10> = 4,
            /// Time to end.
            stop: Option<Seconds> { name: "STOP", flag: None, was: &["STOPPING"] },
            /// Names of this server.
            hosts: List<Lowercase>,
            /// The secret of requests.
            token: Option<Secret<Text>> { flag: None, heading: "Security" },
        }
    }

    fn read(variables: &[(&str, &str)]) -> Result<Config, SettingError> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Config::read(&Environment::new(variables.iter().map(owned)))
    }

    #[test]
    fn a_declaration_sets_every_part_of_a_setting() {
        let setting = Config::max_body();
        assert_eq!((setting.name, setting.flag), ("AI_INTEGRATION_MAX_BODY", Some("max-body")));
        assert_eq!((setting.default, setting.value_name), ("1kB", "BYTES"));
        assert_eq!(setting.help, "Greatest length of a body; larger ones are refused.");
        assert_eq!(setting.heading, "Limits");
        assert_eq!((Config::stop().name, Config::stop().flag), ("STOP", None));
        assert_eq!((Config::token().heading, Config::token().is_secret), ("Security", true));
        let names: Vec<_> = Config::SETTINGS.iter().map(|setting| setting.name).collect();
        assert_eq!(names[1..4], ["AI_INTEGRATION_QUEUE", "STOP", "AI_INTEGRATION_HOSTS"]);
    }

    #[test]
    fn values_are_read_with_their_defaults() {
        let config = read(&[]).unwrap();
        assert_eq!((config.max_body, config.queue, config.stop), (1000, 4, None));
        assert!(config.hosts.is_empty() && config.token.is_none());
        let config = read(&[
            ("AI_INTEGRATION_QUEUE", "10"),
            ("STOPPING", "1.5s"),
            ("AI_INTEGRATION_HOSTS", "A, b"),
            ("AI_INTEGRATION_TOKEN", "s3cret"),
        ])
        .unwrap();
        assert_eq!((config.queue, config.stop), (10, Some(Duration::from_millis(1500))));
        assert_eq!(config.hosts, ["a", "b"]);
        assert!(!format!("{config:?}").contains("s3cret"), "{config:?}");
        assert_eq!(config.token.map(Secret::expose).as_deref(), Some("s3cret"));
        assert!(read(&[("AI_INTEGRATION_MAX_BODY", "2kB")]).is_err());
    }
}
