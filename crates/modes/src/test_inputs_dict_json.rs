//! The mode that reads the inputs dict as JSON from standard input. Pictures and other files are
//! base64 or `data:` URLs.

use ai_integration_contract::{RawValue, json};
use serde_json::Value as Json;

use crate::mode::{Context, Mode, Running};
use crate::stdin;

pub(crate) struct TestInputsDictJson;

impl Mode for TestInputsDictJson {
    fn name(&self) -> &'static str {
        "test_inputs_dict_json"
    }

    fn hint(&self) -> &'static str {
        "Pipe the inputs dict in as JSON"
    }

    fn example(&self) -> Option<&'static str> {
        Some(
            "echo '{\"text\": \"some text\"}' | docker run --rm -i -e \
             MODE=test_inputs_dict_json IMAGE",
        )
    }

    fn run(&self, context: Context) -> Running {
        stdin::run_once(context, |bytes, _| {
            let json = json::parse(&bytes)
                .map_err(|error| format!("standard input is not JSON: {error}"))?;
            let Json::Object(members) = json else {
                return Err("the JSON is not an object of input names to values".to_owned());
            };
            Ok(members.into_iter().map(|(name, value)| (name, RawValue::Json(value))).collect())
        })
    }
}
