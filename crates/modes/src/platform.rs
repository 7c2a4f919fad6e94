//! A profile of a hosting platform: what the platform sets, asks and mounts, as data.

use std::fmt;

use ai_integration_contract::Environment;

/// The data of a hosting platform: what it sets, asks and expects of a container.
///
/// A new platform is a constant of this type in a file of its own in `platforms`, and one line in the
/// table `platforms!` of `platforms.rs`. Fields that a platform does not need are those of
/// [`Profile::PLAIN`].
#[derive(Debug)]
pub struct Profile {
    /// The name, for the setting `AI_INTEGRATION_PLATFORM`.
    pub name: &'static str,
    /// The name for people.
    pub title: &'static str,
    /// The signs that show the platform. Each is enough by itself, and holds if all of its parts hold.
    pub signs: &'static [&'static [Sign]],
    /// Variables that the platform always sets together with a sign.
    pub needs: &'static [&'static str],
    /// Names of the profiles whose signs may be there too. They then do not count.
    pub beside: &'static [&'static str],
    /// The mode, unless `MODE` is set.
    pub mode: &'static str,
    /// The port that the platform asks.
    pub port: Option<Source>,
    /// True if the platform sets `PORT` to a port that is not for the program.
    pub overrides_port: bool,
    /// The further port at which the platform asks for the health.
    pub health_port: Option<Source>,
    /// The values of other settings, unless the user has set them.
    pub defaults: &'static [(&'static str, Source)],
    /// The statuses of `/ping`, `/health` and the addresses in `health`.
    pub statuses: Statuses,
    /// Further addresses at which the platform asks for the health of the model.
    pub health: &'static [Health],
    /// The folder in which the platform puts the model: the first that is there.
    pub model_dirs: &'static [Source],
    /// The addresses to which the platform sends requests to the model, for the list of platforms.
    pub predict: &'static str,
    /// The name of the page of the documentation, in `docs/platforms`.
    pub page: &'static str,
    /// True if the platform's contract is not documented by its vendor.
    pub is_experimental: bool,
}

impl Profile {
    /// A profile without a name, for the mode `http`. It changes nothing.
    pub const PLAIN: Profile = Profile {
        name: "",
        title: "",
        signs: &[],
        needs: &[],
        beside: &[],
        mode: "http",
        port: None,
        health_port: None,
        overrides_port: false,
        defaults: &[],
        statuses: Statuses::USUAL,
        health: &[],
        model_dirs: &[],
        predict: "any address",
        page: "",
        is_experimental: false,
    };
}

/// A part of what shows a platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The program has the argument `serve`. Another platform may be shown by variables, since users
    /// give this argument too. Then it does not count.
    Serve,
    /// This variable is set, and not empty.
    Variable(&'static str),
    /// This variable has this value, in upper or lower case.
    Value(&'static str, &'static str),
    /// This file or folder exists.
    Path(&'static str),
}

/// Writes the sign for people.
impl fmt::Display for Sign {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Sign::Serve => out.write_str("the argument serve"),
            Sign::Value(name, value) => write!(out, "{name}={value}"),
            Sign::Variable(text) | Sign::Path(text) => out.write_str(text),
        }
    }
}

/// The place that a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The value is always this one.
    Fixed(&'static str),
    /// The value of this variable; nothing if it is not set.
    Variable(&'static str),
    /// The value of this variable, or else this value.
    VariableOr(&'static str, &'static str),
}

impl Source {
    /// Returns the value, and the variable that it comes from.
    #[must_use]
    pub fn find<'a>(
        &self,
        environment: &'a Environment,
    ) -> Option<(&'a str, Option<&'static str>)> {
        let (variable, otherwise) = match *self {
            Source::Fixed(value) => (None, Some(value)),
            Source::Variable(name) => (Some(name), None),
            Source::VariableOr(name, value) => (Some(name), Some(value)),
        };
        let set = variable.and_then(|name| Some((filled(environment, name)?, Some(name))));
        set.or_else(|| Some((otherwise?, None)))
    }
}

/// An address at which a platform asks for the health of the model.
#[derive(Clone, Copy, Debug)]
pub struct Health {
    /// The address.
    pub address: Source,
    /// The body of the response while the model is ready. Otherwise the body is empty.
    pub body: &'static str,
}

/// The HTTP statuses that tell a platform the state of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statuses {
    /// The model is ready.
    pub ready: u16,
    /// The model is being loaded.
    pub loading: u16,
    /// The model cannot be started.
    pub failed: u16,
}

impl Statuses {
    /// The statuses that most platforms expect.
    pub const USUAL: Statuses = Statuses { ready: 200, loading: 503, failed: 503 };
}

/// Returns a variable's value without surrounding spaces, or `None` if it is empty or not set.
pub(crate) fn filled<'a>(environment: &'a Environment, name: &str) -> Option<&'a str> {
    environment.variable(name).map(str::trim).filter(|value| !value.is_empty())
}
