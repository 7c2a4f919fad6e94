//! Checks that the server reports the inputs of the model.

use ai_integration_contract::InputsSchema;
use serde_json::Value as Json;

use crate::check::http;
use crate::check::session::{AppliesTo, Check, Session};
use crate::check::verdict::{Fault, Verdict};

pub(crate) const CHECK: Check = Check {
    name: "schema",
    title: "asking for the schema",
    applies_to: AppliesTo::Any,
    run: check,
};

const WAY_OUT: &str = "correct inputs_schema: docs/schema.md lists its types and properties";

fn check(session: &mut Session) -> Verdict {
    let Some(server) = &session.server else {
        return Verdict::Skipped("there is no server".to_owned());
    };
    let source = match http::get(server.port, "/schema", session.limit) {
        Ok(answer) if answer.status == 200 => serde_json::from_slice::<Json>(&answer.body)
            .unwrap_or_default()["inputs_schema"]
            .clone(),
        Ok(answer) => {
            let cause = format!("/schema answers with {}: {}", answer.status, answer.reason());
            return Fault::new(cause, WAY_OUT).into();
        }
        Err(error) => return Fault::new(format!("/schema: {error}"), WAY_OUT).into(),
    };
    let (schema, remarks) = InputsSchema::parse(&source);
    let names: Vec<&str> = schema.fields().keys().map(String::as_str).collect();
    let verdict = if let Some(mistake) = schema.mistakes().first() {
        Fault::new(format!("a mistake in the schema: {mistake}"), WAY_OUT).into()
    } else if let Some(remark) = remarks.first() {
        Verdict::Doubtful(Fault::new(format!("the schema is not understood: {remark}"), WAY_OUT))
    } else if names.is_empty() {
        Verdict::Passed("it takes no inputs: its schema names none".to_owned())
    } else {
        Verdict::Passed(format!("it takes {}", names.join(", ")))
    };
    session.schema = Some(schema);
    verdict
}
