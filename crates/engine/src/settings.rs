//! The engine's settings.

use std::time::Duration;

use ai_integration_contract::{Environment, Setting, SettingError};

/// Number of worker processes.
pub static WORKERS: Setting = Setting {
    name: "AI_INTEGRATION_WORKERS",
    flag: Some("workers"),
    value_name: "N",
    default: "1",
    help: "Number of worker processes, each with its own copy of the model.",
};

/// Room in the queue.
pub static QUEUE: Setting = Setting {
    name: "AI_INTEGRATION_QUEUE",
    flag: Some("queue"),
    value_name: "N",
    default: "1024",
    help: "Requests that may wait for a worker; further ones are refused.",
};

/// Patience with a starting program.
pub static START_TIMEOUT: Setting = Setting {
    name: "AI_INTEGRATION_START_TIMEOUT",
    flag: Some("start-timeout"),
    value_name: "SECONDS",
    default: "600",
    help: "Time for the program to load its model and ask for its first input; then it is ended \
           and started again.",
};

/// Patience with a program that keeps dying.
pub static START_ATTEMPTS: Setting = Setting {
    name: "AI_INTEGRATION_START_ATTEMPTS",
    flag: Some("start-attempts"),
    value_name: "N",
    default: "6",
    help: "Starts in a row that may end before the program has served a request, with growing \
           pauses between them; then the server gives up and ends.",
};

/// Patience when stopping.
pub static STOP_TIMEOUT: Setting = Setting {
    name: "AI_INTEGRATION_STOP_TIMEOUT",
    flag: Some("stop-timeout"),
    value_name: "SECONDS",
    default: "30",
    help: "Time for accepted requests to end after SIGTERM or SIGINT; then they are answered with \
           an error.",
};

/// All of them.
pub const SETTINGS: &[&Setting] =
    &[&WORKERS, &QUEUE, &START_TIMEOUT, &START_ATTEMPTS, &STOP_TIMEOUT];

/// How workers are kept running.
#[derive(Clone, Debug)]
pub struct Config {
    /// Number of workers, at least one.
    pub workers: usize,
    /// Jobs that may wait.
    pub queue: usize,
    /// Time for a program to become ready.
    pub start_timeout: Duration,
    /// Starts in a row without a served request before giving up, at least one.
    pub start_attempts: u32,
    /// Time for jobs to end once stopping.
    pub stop_timeout: Duration,
}

impl Config {
    /// Reads the settings.
    pub fn read(environment: &Environment) -> Result<Self, SettingError> {
        let count = |setting, most: usize| {
            let expected = format!("a whole number from 1 to {most}");
            environment.parse::<usize>(setting, &expected, |n| (1..=most).contains(n))
        };
        let seconds = |setting| {
            let expected = "a number of seconds above 0, up to a day";
            let parsed =
                environment.parse::<f64>(setting, expected, |s| *s > 0.0 && *s <= 86_400.0)?;
            Ok(Duration::from_secs_f64(parsed.unwrap_or_default()))
        };
        Ok(Config {
            workers: count(&WORKERS, 256)?.unwrap_or(1),
            queue: count(&QUEUE, 1_000_000)?.unwrap_or(1),
            start_timeout: seconds(&START_TIMEOUT)?,
            start_attempts: count(&START_ATTEMPTS, 1000)?
                .and_then(|attempts| u32::try_from(attempts).ok())
                .unwrap_or(1),
            stop_timeout: seconds(&STOP_TIMEOUT)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_can_be_read_and_nonsense_is_refused() {
        let config = Config::read(&Environment::default()).unwrap();
        assert_eq!((config.workers, config.queue, config.start_attempts), (1, 1024, 6));
        for (setting, value) in [(&WORKERS, "0"), (&QUEUE, "many"), (&STOP_TIMEOUT, "NaN")] {
            let mut environment = Environment::default();
            environment.set(setting, value);
            assert!(Config::read(&environment).is_err(), "{}={value}", setting.name);
        }
    }
}
