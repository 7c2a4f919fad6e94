//! Checks that a request gets its own result, and not the result of the request before it.

use ai_integration_contract::{Field, InputsSchema, Value};
use serde_json::Value as Json;

use crate::check::checks::answer;
use crate::check::checks::together::UNANSWERED;
use crate::check::session::{AppliesTo, Check, Session};
use crate::check::verdict::{Fault, Verdict};

pub(crate) const CHECK: Check = Check {
    name: "own_answer",
    title: "checking that each request gets its own result",
    applies_to: AppliesTo::Any,
    run: check,
};

/// The number of times that a result must be late before it counts as a fault, because a model may
/// repeat a result by chance.
const TIMES: usize = 5;

fn check(session: &mut Session) -> Verdict {
    let (Some(server), Some(schema)) = (&session.server, &session.schema) else {
        return Verdict::Skipped("there is no server".to_owned());
    };
    if !session.has_results {
        return Verdict::Skipped(UNANSWERED.to_owned());
    }
    let Some(other) = other_body(schema) else {
        return Verdict::Skipped("its inputs have no second sample".to_owned());
    };
    let one = answer::body(schema);
    let ask = |body: &str| {
        let answer = answer::ask(server.port, body, session.limit)?;
        Ok::<_, String>(answer.body)
    };
    let is_late = || -> Result<bool, String> {
        // A request with this sample came before each pair, so its result would be the late one.
        let known = ask(&one)?;
        for _ in 0..TIMES {
            if ask(&other)? != known || ask(&one)? == known || ask(&one)? != known {
                return Ok(false);
            }
        }
        Ok(true)
    };
    match is_late() {
        Err(reason) => Verdict::Skipped(format!("a second sample has no result: {reason}")),
        Ok(false) => {
            Verdict::Passed("a request does not get the result of the request before it".to_owned())
        }
        Ok(true) => Fault::new(
            "a request gets the result of the request before it",
            "keep no data of one request for the next: compute each result from its own inputs",
        )
        .into(),
    }
}

/// Returns the request as JSON with other samples: another value for each input that can have one.
/// Returns `None` if no input can.
fn other_body(schema: &InputsSchema) -> Option<String> {
    let mut body: Json = answer::body(schema).parse().ok()?;
    let mut is_other = false;
    for (name, value) in body.as_object_mut()? {
        let field = schema.fields().get(name)?;
        if let Some(changed) = others(field, value).into_iter().find(|other| fits(field, other)) {
            *value = changed;
            is_other = true;
        }
    }
    is_other.then(|| body.to_string())
}

fn others(field: &Field, value: &Json) -> Vec<Json> {
    if field.items.is_some() {
        return Vec::new();
    }
    match (field.input_type.name(), value) {
        ("text", Json::String(text)) => vec![format!("{text} {text}").into()],
        ("boolean", Json::Bool(flag)) => vec![(!flag).into()],
        ("integer" | "number", Json::Number(number)) => {
            let number = number.as_i64().unwrap_or_default();
            vec![number.saturating_add(1).into(), number.saturating_sub(1).into()]
        }
        _ => Vec::new(),
    }
}

fn fits(field: &Field, value: &Json) -> bool {
    let value = match value {
        Json::String(text) => Value::Text(text.clone()),
        other => Value::Json(other.clone()),
    };
    field.accept(value.into()).is_ok()
}
