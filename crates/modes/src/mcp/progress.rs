//! Reports the progress of a call to its client, as often as the protocol and the client bear.

use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio::time::Instant;

use crate::mcp::message::notification;

/// The maximum number of reports in [`PERIOD`]. Further ones are left out.
const MAX_REPORTS: u32 = 20;
const PERIOD: Duration = Duration::from_secs(1);
/// The step between reports that say no higher share than before. The protocol wants each report to
/// be higher than the one before it.
const STEP: f64 = 1e-9;

/// The progress of a call.
#[derive(Debug)]
pub(crate) struct Progress {
    /// The client's name for the call, a text or an integer.
    token: Json,
    last: Option<f64>,
    period_began: Instant,
    reports: u32,
}

impl Progress {
    /// Returns the progress of a call whose client wants reports under this name; `None` if the name
    /// is not one.
    pub(crate) fn new(token: Option<&Json>) -> Option<Self> {
        let is_name = |token: &&Json| token.is_string() || token.is_i64() || token.is_u64();
        let token = token.filter(is_name)?.clone();
        Some(Progress { token, last: None, period_began: Instant::now(), reports: 0 })
    }

    /// Writes the notification of a report; `None` if the report says nothing new, or comes too soon
    /// after others.
    pub(crate) fn report(&mut self, share: Option<f64>, message: Option<&str>) -> Option<String> {
        let progress = match (share, self.last) {
            (Some(share), None) => share,
            (Some(share), Some(last)) if share > last => share,
            _ if message.is_none() || self.last >= Some(1.0) => return None,
            (_, last) => last.unwrap_or(0.0) + STEP,
        };
        if self.period_began.elapsed() >= PERIOD {
            (self.period_began, self.reports) = (Instant::now(), 0);
        }
        if self.reports == MAX_REPORTS {
            return None;
        }
        self.reports += 1;
        self.last = Some(progress);
        let mut params = json!({"progressToken": self.token, "progress": progress, "total": 1.0});
        if let Some(message) = message {
            params["message"] = message.into();
        }
        Some(notification("notifications/progress", &params))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress() -> Progress {
        Progress::new(Some(&json!("t"))).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn each_report_is_higher_than_the_one_before() {
        let mut progress = progress();
        let mut last = -1.0;
        for (share, message, is_sent) in [
            (Some(0.0), None, true),
            (None, Some("loading"), true),
            (Some(0.5), None, true),
            (Some(0.5), None, false),
            (Some(0.4), Some("again"), true),
            (None, None, false),
            (Some(1.0), Some("done"), true),
            (None, Some("still done"), false),
        ] {
            let sent = progress.report(share, message);
            assert_eq!(sent.is_some(), is_sent, "{share:?} {message:?}");
            let Some(sent) = sent else { continue };
            let params = serde_json::from_str::<Json>(&sent).unwrap()["params"].clone();
            assert_eq!(params["progressToken"], "t");
            assert_eq!(params.get("message").and_then(Json::as_str), message);
            let now = params["progress"].as_f64().unwrap();
            assert!(now > last && now <= 1.0, "{now} after {last}");
            last = now;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_reports_is_thinned_out() {
        let mut progress = progress();
        let mut sent = |count: u32| {
            (0..count).filter(|_| progress.report(None, Some("step")).is_some()).count()
        };
        assert_eq!(sent(100), 20);
        tokio::time::advance(PERIOD).await;
        assert_eq!(sent(5), 5);
    }

    #[test]
    fn only_texts_and_integers_name_a_call() {
        for token in [json!(null), json!([1]), json!({}), json!(true), json!(1.5)] {
            assert!(Progress::new(Some(&token)).is_none(), "{token}");
        }
        assert!(Progress::new(None).is_none());
        assert!(Progress::new(Some(&json!(0))).is_some());
    }
}
