//! Reads a job.

use std::time::Duration;

use ai_integration_contract::{Error, Kind};
use serde_json::{Map, Value as Json};

use crate::http::failure::Failure;
use crate::http::inputs::request::{MAX_FIELDS, too_many};
use crate::runpod::settings::is_plain;

/// A job of the queue.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: String,
    /// The inputs by name, or what is wrong with them.
    pub(crate) inputs: Result<Map<String, Json>, Failure>,
    /// The longest time until the result, which the sender of the job may choose.
    pub(crate) timeout: Option<Duration>,
}

impl Job {
    /// Reads a job; the error says why it cannot even be answered.
    pub(crate) fn read(json: Json) -> Result<Self, &'static str> {
        let Json::Object(mut job) = json else { return Err("it is not an object") };
        let Some(Json::String(id)) = job.shift_remove("id") else { return Err("it has no id") };
        if !is_plain(&id) {
            return Err("its id has characters that no address may have");
        }
        let inputs = match job.shift_remove("input") {
            Some(Json::Object(inputs)) if inputs.len() > MAX_FIELDS => Err(too_many()),
            Some(Json::Object(inputs)) => Ok(inputs),
            _ => {
                let message = "the job's input is not an object of the model's inputs, such as \
                               {\"input\": {\"name\": \"value\"}}";
                Err(Error::new(Kind::MalformedRequest, message).into())
            }
        };
        let timeout = job.get("policy").and_then(|policy| policy.get("executionTimeout"));
        let timeout = timeout.and_then(Json::as_u64).filter(|milliseconds| *milliseconds > 0);
        Ok(Job { id, inputs, timeout: timeout.map(Duration::from_millis) })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_job_has_an_id_inputs_and_perhaps_a_deadline() {
        let policy = json!({"executionTimeout": 5000, "ttl": 1});
        let job = json!({"id": "a-1", "input": {"n": 5}, "policy": policy, "webhook": "https://x"});
        let job = Job::read(job).unwrap();
        assert_eq!((job.id.as_str(), job.timeout), ("a-1", Some(Duration::from_secs(5))));
        assert_eq!(Json::Object(job.inputs.unwrap()), json!({"n": 5}));
        let job = Job::read(json!({"id": "a-1", "input": {}, "policy": null})).unwrap();
        assert!(job.timeout.is_none() && job.inputs.unwrap().is_empty());
    }

    #[test]
    fn a_job_whose_input_is_unfit_can_be_answered() {
        let many: Map<String, Json> = (0..1001).map(|n| (n.to_string(), n.into())).collect();
        for input in [json!(null), json!("text"), json!([1]), Json::Object(many)] {
            let failure = Job::read(json!({"id": "a", "input": input})).unwrap().inputs;
            assert_eq!(failure.unwrap_err().code(), "malformed_request");
        }
        assert!(Job::read(json!({"id": "a"})).unwrap().inputs.is_err());
    }

    #[test]
    fn a_job_without_a_usable_id_cannot_be_answered() {
        for job in [json!([]), json!({"input": {}}), json!({"id": 5}), json!({"id": "../a"})] {
            assert!(Job::read(job).is_err());
        }
    }
}
