//! Limits the rate of each client's requests.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use ai_integration_contract::setting::SettingType;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};

use crate::http::failure::{Failure, Refusal};

/// The rate limiter, by client address.
pub(crate) struct Rate(DefaultKeyedRateLimiter<IpAddr>);

impl SettingType for Rate {
    type Value = Self;
    const VALUE_NAME: &'static str = "N/s|N/min|N/h";

    fn read(text: &str) -> Result<Self, String> {
        let expected = || "a number per time, such as 10/s, 100/min or 1000/h".to_owned();
        quota(text).map(|quota| Rate(DefaultKeyedRateLimiter::keyed(quota))).ok_or_else(expected)
    }
}

impl Rate {
    /// Counts a request of the client at `address`, and rejects it if the client is over its limit.
    pub(crate) fn check(&self, address: IpAddr) -> Result<(), Failure> {
        self.0.check_key(&address).map_err(|early| {
            let wait = early.wait_time_from(DefaultClock::default().now());
            let message = "this client sends more requests than it may; try again later";
            Failure::refused(Refusal::RateLimited, message)
                .with_retry_after(wait.as_secs().saturating_add(1))
        })
    }

    /// Removes the state of clients that sent no request for a while.
    pub(crate) fn tidy(&self) {
        self.0.retain_recent();
        self.0.shrink_to_fit();
    }
}

fn quota(text: &str) -> Option<Quota> {
    let (number, unit) = text.split_once('/')?;
    let number: NonZeroU32 = number.trim().parse().ok()?;
    let unit = match unit.trim() {
        "s" => Duration::from_secs(1),
        "min" => Duration::from_mins(1),
        "h" => Duration::from_hours(1),
        _ => return None,
    };
    Some(Quota::with_period(unit / number.get())?.allow_burst(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        assert!(Rate::read("10/s").is_ok() && Rate::read("1 / min").is_ok());
        for nonsense in ["10", "0/s", "10/day", "x/s"] {
            assert!(Rate::read(nonsense).is_err(), "{nonsense}");
        }
        let limited = Rate::read("2/h").unwrap();
        let ask = || limited.check([127, 0, 0, 1].into()).map_err(|failure| failure.code());
        assert_eq!([ask(), ask(), ask()], [Ok(()), Ok(()), Err("rate_limited")]);
        limited.tidy();
        assert_eq!(ask(), Err("rate_limited"));
    }
}
