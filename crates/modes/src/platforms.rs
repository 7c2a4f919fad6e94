//! The hosting platforms: each has a profile in a file here, and a line in the table. This module finds
//! the platform on which the program runs, and applies its profile to the settings.

use std::fmt;
use std::path::Path;

use ai_integration_contract::setting::{FilePath, SettingType};
use ai_integration_contract::{Environment, nearest, settings};

use crate::platform::{Profile, Sign, Source, filled};

macro_rules! platforms {
    ($($module:ident :: $name:ident),+ $(,)?) => {
        $(mod $module;)+
        /// Every platform with a profile.
        pub const PLATFORMS: &[&Profile] = &[$(&$module::$name),+];
    };
}

platforms! {
    sagemaker::SAGEMAKER,
    vertex::VERTEX,
    azure_ml::AZURE_ML,
    huggingface::HUGGINGFACE,
    spaces::SPACES,
    kserve::KSERVE,
    knative::KNATIVE,
    lambda::LAMBDA,
    lambda_web_adapter::LAMBDA_WEB_ADAPTER,
    runpod::RUNPOD,
    runpod_load_balancer::RUNPOD_LOAD_BALANCER,
    baseten::BASETEN,
}

/// The value of the setting that switches the profiles off.
const NONE: &str = "none";
/// The variable that chooses the mode.
const MODE: &str = "MODE";
/// The variable of the server's port.
const PORT: &str = "PORT";
/// The variable of the further port for health checks.
const HEALTH_PORT: &str = "AI_INTEGRATION_HEALTH_PORT";
/// The mode and the port for the argument `serve`.
const SERVING: (&str, &str) = ("http", "8080");

settings! {
    /// The hosting platform, and what it hands to the program.
    pub struct Settings under "Model" {
        /// Hosting platform whose port, health checks, addresses and model folder are used; none
        /// for no platform. By default the platform is recognised by the variables that it sets.
        platform: Option<PlatformName>,
        /// Folder with the files of the model. The program finds the folder in this variable. By
        /// default the folder in which the hosting platform puts the model, if it does.
        model_dir: Option<FilePath> { value_name: "FOLDER" },
    }
}

/// The name of a platform, or `none`.
#[derive(Debug)]
pub struct PlatformName;

impl SettingType for PlatformName {
    type Value = Option<&'static Profile>;
    const VALUE_NAME: &'static str = "NAME";

    fn choices() -> Vec<&'static str> {
        PLATFORMS.iter().map(|profile| profile.name).chain([NONE]).collect()
    }

    fn read(text: &str) -> Result<Self::Value, String> {
        let text = text.to_ascii_lowercase();
        if text == NONE {
            return Ok(None);
        }
        named(&text).map(Some).ok_or_else(|| {
            let known = Self::choices();
            let hint = nearest(&text, known.iter().copied())
                .map(|meant| format!("; did you mean {meant}?"))
                .unwrap_or_default();
            format!("one of {}{hint}", known.join(", "))
        })
    }
}

/// The platform on which the program runs.
#[derive(Clone, Debug)]
pub struct Found {
    /// The data of the platform.
    pub profile: &'static Profile,
    /// The variables, or the argument, that show the platform.
    reason: String,
    /// True if the mode is the platform's. Otherwise only its model folder is used.
    is_used: bool,
    /// A difference from the profile, for the log.
    note: String,
}

/// Completes the sentence `platform: …` of the log.
impl fmt::Display for Found {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (title, name) = (self.profile.title, Settings::platform().name);
        write!(out, "{title}, because of {}{}", self.reason, self.note)?;
        if !self.is_used {
            let mode = self.profile.mode;
            write!(out, "; the mode is not {mode}, so only its model folder is used")?;
        }
        write!(out, "; {name}={NONE} switches this off")
    }
}

/// The things by which this process can recognize a platform.
struct Evidence<'a> {
    environment: &'a Environment,
    is_serve: bool,
    exists: &'a dyn Fn(&str) -> bool,
}

impl Evidence<'_> {
    fn has(&self, sign: Sign) -> bool {
        match sign {
            Sign::Serve => self.is_serve,
            Sign::Variable(name) => filled(self.environment, name).is_some(),
            Sign::Value(name, value) => {
                filled(self.environment, name).is_some_and(|set| set.eq_ignore_ascii_case(value))
            }
            Sign::Path(path) => (self.exists)(path),
        }
    }

    /// Returns the first sign of the profile that is there.
    fn recognise(&self, profile: &'static Profile) -> Option<Recognised> {
        let holds = |sign: &&&'static [Sign]| sign.iter().all(|part| self.has(*part));
        profile.signs.iter().find(holds).map(|sign| Recognised { profile, sign })
    }
}

/// A profile whose sign is there.
#[derive(Clone, Copy)]
struct Recognised {
    profile: &'static Profile,
    sign: &'static [Sign],
}

impl Recognised {
    fn reason(&self) -> String {
        self.sign.iter().map(Sign::to_string).collect::<Vec<_>>().join(" and ")
    }
}

/// Finds the platform that this process runs on, and applies its profile to the settings: sets the
/// mode, the port and other values where the user has set none, the name of the platform, and the
/// folder of the model. `is_serve` is true if the program has the argument `serve`.
///
/// # Errors
/// The variables of two platforms are set; something that the platform always sets is missing; a variable has
/// a wrong value; the folder of the model does not exist.
pub fn apply(environment: &mut Environment, is_serve: bool) -> Result<Option<Found>, String> {
    let exists = |path: &str| Path::new(path).exists();
    apply_with(environment, is_serve, &exists)
}

fn apply_with(
    environment: &mut Environment,
    is_serve: bool,
    exists: &dyn Fn(&str) -> bool,
) -> Result<Option<Found>, String> {
    let Settings { platform, model_dir } =
        Settings::read(environment).map_err(|error| error.to_string())?;
    let found = match platform {
        Some(None) => None,
        Some(Some(profile)) => {
            let reason = format!("{}={}", Settings::platform().name, profile.name);
            Some(found(profile, reason))
        }
        None => detect(&Evidence { environment, is_serve, exists })?,
    };
    let found = match found {
        None => None,
        Some(found) => Some(configure(environment, found)?),
    };
    if is_serve {
        set_if_absent(environment, MODE, SERVING.0);
        set_if_absent(environment, PORT, SERVING.1);
    }
    let profile = found.as_ref().map(|found| found.profile);
    let folder = match model_dir {
        Some(folder) => Some((folder.display().to_string(), Settings::model_dir().name)),
        None => profile.and_then(|profile| folder(environment, profile, exists)),
    };
    if let Some((folder, variable)) = folder {
        check_folder(&folder, variable)?;
        environment.set_variable(Settings::model_dir().name, folder);
    }
    Ok(found)
}

/// Returns the profile that [`apply`] has found, or that the user has chosen.
#[must_use]
pub fn chosen(environment: &Environment) -> Option<&'static Profile> {
    named(&filled(environment, Settings::platform().name)?.to_ascii_lowercase())
}

/// Returns the variables by which a program that is started without a mode recognizes that it may
/// run on a platform, each with the value that it must have if only one counts.
#[must_use]
pub fn variables() -> Vec<(&'static str, Option<&'static str>)> {
    let mut all = vec![(Settings::platform().name, None)];
    let signs = PLATFORMS.iter().flat_map(|profile| profile.signs);
    for sign in signs.filter_map(|sign| sign.first()) {
        let variable = match *sign {
            Sign::Variable(name) => (name, None),
            Sign::Value(name, value) => (name, Some(value)),
            Sign::Serve | Sign::Path(_) => continue,
        };
        if !all.contains(&variable) {
            all.push(variable);
        }
    }
    all
}

fn named(name: &str) -> Option<&'static Profile> {
    PLATFORMS.iter().copied().find(|profile| profile.name == name)
}

fn found(profile: &'static Profile, reason: String) -> Found {
    Found { profile, reason, is_used: true, note: String::new() }
}

fn detect(at: &Evidence<'_>) -> Result<Option<Found>, String> {
    let mut recognised: Vec<Recognised> =
        PLATFORMS.iter().filter_map(|one| at.recognise(one)).collect();
    if recognised.len() > 1 {
        // Users give the argument `serve` too, so it does not count beside a variable.
        recognised.retain(|one| one.sign != [Sign::Serve]);
    }
    let all = recognised.clone();
    let yields =
        |one: &Recognised| all.iter().any(|o| o.profile.beside.contains(&one.profile.name));
    recognised.retain(|one| !yields(one));
    match recognised[..] {
        [] => Ok(None),
        [one] => {
            check_needs(at.environment, one)?;
            Ok(Some(found(one.profile, one.reason())))
        }
        [one, other, ..] => {
            let setting = Settings::platform().name;
            let [one, other] =
                [one, other].map(|it| (it.profile.title, it.reason(), it.profile.name));
            Err(format!(
                "the variables of two hosting platforms are set: {} by {}, and {} by {}; choose with \
                 {setting}={}, {setting}={} or {setting}={NONE}",
                one.0, one.1, other.0, other.1, one.2, other.2
            ))
        }
    }
}

/// Refuses a platform without a variable that it always sets.
fn check_needs(environment: &Environment, recognised: Recognised) -> Result<(), String> {
    let missing = recognised.profile.needs.iter().find(|name| filled(environment, name).is_none());
    missing.map_or(Ok(()), |missing| {
        let (reason, title, setting) =
            (recognised.reason(), recognised.profile.title, Settings::platform().name);
        Err(format!(
            "{reason} shows {title}, which sets {missing} too, but this variable is not set; set \
             it, or set {setting}={NONE} if this is not {title}"
        ))
    })
}

/// Applies a profile to the settings.
fn configure(environment: &mut Environment, mut found: Found) -> Result<Found, String> {
    let profile = found.profile;
    environment.set_variable(Settings::platform().name, profile.name);
    set_if_absent(environment, MODE, profile.mode);
    found.is_used = environment.variable(MODE) == Some(profile.mode);
    if found.is_used {
        found.note = configure_port(environment, profile)?;
        if let Some((port, _)) = port(environment, profile.health_port)? {
            set_if_absent(environment, HEALTH_PORT, &port);
        }
        for (setting, source) in profile.defaults {
            if let Some((value, _)) = source.find(environment) {
                let value = value.to_owned();
                set_if_absent(environment, setting, &value);
            }
        }
    }
    Ok(found)
}

/// Sets the port that the platform asks. A port in a variable of the platform's own wins against
/// `PORT`, which may be meant for another platform, and so does the port of a platform whose `PORT` is
/// not for the program; a flag wins against all. Returns a note for the log if `PORT` says something
/// else.
fn configure_port(environment: &mut Environment, profile: &Profile) -> Result<String, String> {
    let Some((port, variable)) = port(environment, profile.port)? else {
        return Ok(String::new());
    };
    let Some(set) = filled(environment, PORT).map(str::to_owned) else {
        environment.set_variable(PORT, port);
        return Ok(String::new());
    };
    let is_stronger = profile.overrides_port || variable.is_some() || set.parse::<u16>().is_err();
    if environment.is_flag(PORT) || !is_stronger {
        let differs = set != port && !matches!(profile.port, Some(Source::VariableOr(..)));
        return Ok(if differs {
            format!(" ({PORT}={set} instead of {port})")
        } else {
            String::new()
        });
    }
    environment.set_variable(PORT, port.clone());
    let by = variable.map_or_else(|| profile.title.to_owned(), |name| format!("{name}={port}"));
    Ok(if set == port { String::new() } else { format!(" ({by} overrides {PORT}={set:?})") })
}

/// Returns a port that the platform has set, and the variable that it comes from.
fn port(
    environment: &Environment,
    source: Option<Source>,
) -> Result<Option<(String, Option<&'static str>)>, String> {
    let Some((port, variable)) = source.and_then(|source| source.find(environment)) else {
        return Ok(None);
    };
    if let Some(variable) = variable.filter(|_| port.parse::<u16>().is_err()) {
        return Err(format!("{variable}={port:?} does not fit: expected a port from 0 to 65535"));
    }
    Ok(Some((port.to_owned(), variable)))
}

/// Returns the folder in which the platform puts the model, and the variable that names it. A fixed
/// folder that does not exist is left out, since the platform creates it only for a model of its own.
fn folder(
    environment: &Environment,
    profile: &Profile,
    exists: &dyn Fn(&str) -> bool,
) -> Option<(String, &'static str)> {
    profile.model_dirs.iter().find_map(|source| {
        let (folder, variable) = source.find(environment)?;
        let is_there = variable.is_some() || exists(folder);
        is_there.then(|| (folder.to_owned(), variable.unwrap_or(Settings::model_dir().name)))
    })
}

fn check_folder(folder: &str, variable: &str) -> Result<(), String> {
    std::fs::read_dir(folder).map(drop).map_err(|error| {
        format!(
            "{variable}={folder:?} does not fit: the folder of the model cannot be read: {error}"
        )
    })
}

fn set_if_absent(environment: &mut Environment, name: &str, value: &str) {
    if filled(environment, name).is_none() {
        environment.set_variable(name, value);
    }
}

#[cfg(test)]
mod tests;
