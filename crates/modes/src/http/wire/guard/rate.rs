//! How often one client may ask.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use ai_integration_contract::{Environment, Error, Kind, Setting, SettingError};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};

/// How often one client may ask.
pub(crate) static RATE: Setting = Setting {
    name: "AI_INTEGRATION_RATE_LIMIT",
    flag: Some("rate-limit"),
    value_name: "N/s|N/min|N/h",
    default: "",
    help: "Requests of one client, by its address; more are answered with status 429. As many as \
           N may come at once. By default there is no limit.",
};

/// The requests of each client.
pub(crate) struct Rate(DefaultKeyedRateLimiter<IpAddr>);

impl Rate {
    /// Reads the setting; `None` without a limit.
    pub(crate) fn read(environment: &Environment) -> Result<Option<Self>, SettingError> {
        let quota = environment.get(&RATE).map(quota).transpose()?;
        Ok(quota.map(|quota| Rate(DefaultKeyedRateLimiter::keyed(quota))))
    }

    /// Counts a request of the client at `address`, which may be one too many.
    pub(crate) fn check(&self, address: IpAddr) -> Result<(), Error> {
        self.0.check_key(&grouped(address)).map_err(|early| {
            let wait = early.wait_time_from(DefaultClock::default().now());
            let message = "this client asks more often than it may; try again later";
            Error::new(Kind::RateLimited, message)
                .with_retry_after(wait.as_secs().saturating_add(1))
        })
    }

    /// Forgets clients that have not asked for a while.
    pub(crate) fn tidy(&self) {
        self.0.retain_recent();
        self.0.shrink_to_fit();
    }
}

/// Clients of IPv6 have a whole network each.
fn grouped(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(network.into())
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

fn quota(text: &str) -> Result<Quota, SettingError> {
    let invalid = || SettingError::Invalid {
        name: RATE.name,
        value: text.to_owned(),
        expected: "expected a number for a time, such as 10/s, 100/min or 1000/h".to_owned(),
    };
    let (number, unit) = text.split_once('/').ok_or_else(invalid)?;
    let number: NonZeroU32 = number.trim().parse().map_err(|_| invalid())?;
    let unit = match unit.trim() {
        "s" => Duration::from_secs(1),
        "min" => Duration::from_mins(1),
        "h" => Duration::from_hours(1),
        _ => return Err(invalid()),
    };
    let quota = Quota::with_period(unit / number.get()).ok_or_else(invalid)?;
    Ok(quota.allow_burst(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        assert!(quota("10/s").is_ok() && quota("1 / min").is_ok());
        for nonsense in ["10", "0/s", "10/day", "x/s"] {
            assert!(quota(nonsense).is_err(), "{nonsense}");
        }
        let mut environment = Environment::default();
        environment.set(&RATE, "2/h");
        let limited = Rate::read(&environment).unwrap().unwrap();
        let ask = || limited.check([127, 0, 0, 1].into()).map_err(|error| error.kind);
        assert_eq!([ask(), ask(), ask()], [Ok(()), Ok(()), Err(Kind::RateLimited)]);
        limited.tidy();
        assert_eq!(ask(), Err(Kind::RateLimited));
    }
}
