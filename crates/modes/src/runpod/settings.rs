//! The variables that the platform sets.

use std::time::Duration;

use ai_integration_contract::setting::{Count, Secret, Text};
use ai_integration_contract::{Environment, Setting, SettingError, settings};
use reqwest::Url;
use reqwest::header::HeaderValue;

settings! {
    /// The addresses and the key of an endpoint.
    pub(crate) struct Settings under "RunPod" {
        /// Address from which MODE=runpod takes jobs. RunPod sets this and the next variables in the
        /// workers of an endpoint with a queue; $ID stands for the worker's id.
        get_job: Option<Secret<Text>> { name: "RUNPOD_WEBHOOK_GET_JOB", flag: None },
        /// Address for results. $RUNPOD_POD_ID stands for the worker's id, and $ID for the job's.
        post_output: Option<Secret<Text>> { name: "RUNPOD_WEBHOOK_POST_OUTPUT", flag: None },
        /// Address for the parts of streamed results, as for results. Without it nothing is streamed.
        post_stream: Option<Secret<Text>> { name: "RUNPOD_WEBHOOK_POST_STREAM", flag: None },
        /// Address for the regular message that the worker is alive.
        ping: Option<Secret<Text>> { name: "RUNPOD_WEBHOOK_PING", flag: None },
        /// Milliseconds between these messages.
        ping_interval: Count<1000, 3_600_000> = 10000 { name: "RUNPOD_PING_INTERVAL", flag: None },
        /// Key of the worker, for all these addresses.
        api_key: Option<Secret<Text>> { name: "RUNPOD_AI_API_KEY", flag: None },
        /// Id of the worker. By default a random one.
        pod_id: Option<Text> { name: "RUNPOD_POD_ID", flag: None },
    }
}

/// The part of an address that stands for a job's id, or for the worker's in the address for jobs.
const ID: &str = "$ID";
/// The part of an address that stands for the worker's id.
const POD_ID: &str = "$RUNPOD_POD_ID";

/// The addresses of an endpoint for one worker. They may contain secrets, so they are never logged.
pub(crate) struct Addresses {
    pub(crate) worker: String,
    /// The key as the value of the header `Authorization`; `None` if there is none.
    pub(crate) key: Option<HeaderValue>,
    pub(crate) take: Url,
    /// The address for several jobs at once. It is that for one job if the address has another form.
    pub(crate) take_batch: Option<Url>,
    /// The address at which the platform tells which jobs must end.
    pub(crate) stop: Option<Url>,
    pub(crate) output: Template,
    pub(crate) stream: Option<Template>,
    pub(crate) ping: Option<Url>,
    pub(crate) ping_interval: Duration,
}

/// An address with a place for a job's id.
#[derive(Clone)]
pub(crate) struct Template(String);

impl Template {
    /// Returns the address for a job with this id, which must be a plain word.
    pub(crate) fn of(&self, job: &str, is_stream: bool) -> Option<Url> {
        let mut url = Url::parse(&self.0.replace(ID, job)).ok()?;
        url.query_pairs_mut().append_pair("isStream", if is_stream { "true" } else { "false" });
        Some(url)
    }
}

impl Addresses {
    /// Reads the addresses. Refuses an environment that is not that of a worker.
    pub(crate) fn read(environment: &Environment) -> Result<Self, SettingError> {
        let settings = Settings::read(environment)?;
        let random = || uuid::Uuid::new_v4().to_string();
        let worker = settings.pod_id.clone().filter(|id| is_plain(id)).unwrap_or_else(random);
        let (get_job, output) = (Settings::get_job(), Settings::post_output());
        let take = required(settings.get_job, get_job)?.replace(ID, &worker);
        let template = |text: String, setting| {
            let text = text.replace(POD_ID, &worker);
            url(&text.replace(ID, "job"), setting).map(|_| Template(text))
        };
        let key = settings.api_key.map(Secret::expose).map(|key| {
            let mut key = HeaderValue::try_from(key).map_err(|_| {
                Settings::api_key().invalid("…", "expected a key of visible characters")
            })?;
            key.set_sensitive(true);
            Ok(key)
        });
        let ping = settings.ping.map(Secret::expose).filter(|_| settings.pod_id.is_some());
        let ping = ping.map(|text| url(&text.replace(POD_ID, &worker), Settings::ping()));
        let stream = settings.post_stream.map(Secret::expose);
        let other = |name: &str| {
            take.contains(TAKE).then(|| url(&take.replace(TAKE, name), get_job)).transpose()
        };
        Ok(Addresses {
            take: url(&take, get_job)?,
            take_batch: other("/job-take-batch/")?,
            stop: other("/job-stop/")?,
            output: template(required(settings.post_output, output)?, output)?,
            stream: stream.map(|text| template(text, Settings::post_stream())).transpose()?,
            ping: ping.transpose()?,
            ping_interval: Duration::from_millis(settings.ping_interval as u64),
            key: key.transpose()?,
            worker,
        })
    }
}

/// The part of the address for jobs that other addresses have instead.
const TAKE: &str = "/job-take/";

fn required(
    given: Option<Secret<String>>,
    setting: &'static Setting,
) -> Result<String, SettingError> {
    let missing = || {
        let reason = "RunPod sets it in the workers of an endpoint with a queue, and MODE=runpod \
                      needs it; for other servers choose MODE=http";
        SettingError::Missing { name: setting.name, reason }
    };
    given.map(Secret::expose).ok_or_else(missing)
}

/// Reads an address. The error leaves the address out, because it may contain a key.
fn url(text: &str, setting: &'static Setting) -> Result<Url, SettingError> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or_else(|| setting.invalid("…", "expected an http or https URL"))
}

/// Returns true if an id may be a part of an address and of a header as it is.
pub(crate) fn is_plain(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~:".contains(&byte);
    (1..=256).contains(&id.len()) && id.bytes().all(plain) && !id.bytes().all(|byte| byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "https://api.example.org/v2/ep";

    fn addresses(
        change: impl FnOnce(&mut Vec<(&'static str, String)>),
    ) -> Result<Addresses, String> {
        let mut variables = vec![
            ("RUNPOD_WEBHOOK_GET_JOB", format!("{BASE}/job-take/$ID?gpu=x")),
            ("RUNPOD_WEBHOOK_POST_OUTPUT", format!("{BASE}/job-done/$RUNPOD_POD_ID/$ID?gpu=x")),
            ("RUNPOD_WEBHOOK_PING", format!("{BASE}/ping/$RUNPOD_POD_ID?gpu=x")),
            ("RUNPOD_AI_API_KEY", "hidden".to_owned()),
            ("RUNPOD_POD_ID", "pod1".to_owned()),
        ];
        change(&mut variables);
        let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value));
        Addresses::read(&Environment::new(variables)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_ids_are_put_into_the_addresses() {
        let found = addresses(|_| {}).unwrap();
        assert_eq!(found.take.as_str(), format!("{BASE}/job-take/pod1?gpu=x"));
        let batch = format!("{BASE}/job-take-batch/pod1?gpu=x");
        assert_eq!(found.take_batch.unwrap().as_str(), batch);
        assert_eq!(found.stop.unwrap().as_str(), format!("{BASE}/job-stop/pod1?gpu=x"));
        assert_eq!(found.ping.unwrap().as_str(), format!("{BASE}/ping/pod1?gpu=x"));
        let done = found.output.of("job-1", false).unwrap();
        assert_eq!(done.as_str(), format!("{BASE}/job-done/pod1/job-1?gpu=x&isStream=false"));
        assert!(found.stream.is_none());
    }

    #[test]
    fn an_address_of_another_form_has_no_others() {
        let found = addresses(|variables| variables[0].1 = format!("{BASE}/jobs/$ID")).unwrap();
        assert!(found.take_batch.is_none() && found.stop.is_none());
    }

    #[test]
    fn errors_name_the_variable_and_hide_its_value() {
        let refused = |change: fn(&mut Vec<(&'static str, String)>)| {
            addresses(change).err().expect("it is refused")
        };
        let error = refused(|variables| drop(variables.remove(0)));
        assert!(error.contains("RUNPOD_WEBHOOK_GET_JOB") && error.contains("MODE=http"), "{error}");
        for error in [
            refused(|variables| variables[1].1 = "ftp://user:hidden@host/$ID".to_owned()),
            refused(|variables| variables[3].1 = "hidden\nhidden".to_owned()),
        ] {
            assert!(error.contains("RUNPOD_") && !error.contains("hidden"), "{error}");
        }
    }

    #[test]
    fn ids_that_change_an_address_are_not_plain() {
        assert!(is_plain("0a1b-u1") && is_plain("sync-7f.e2~x:1"));
        for odd in ["", ".", "..", "a/b", "a?b", "a b", "a%2f", "ä", &"a".repeat(257)] {
            assert!(!is_plain(odd), "{odd}");
        }
    }
}
