//! Checks that the program works on samples of its inputs: the mode `test_model_integration`.

use crate::check::session::{AppliesTo, Check, Session};
use crate::check::subject::Start;
use crate::check::verdict::{Fault, Verdict, summary};

pub(crate) const CHECK: Check = Check {
    name: "self_test",
    title: "loading the model, and running five samples",
    applies_to: AppliesTo::Any,
    run: check,
};

/// Messages of the self-test and of the Python package.
const HAPPY: &str = "The model is integrated right!";
const SAD: &str = "Sad! ";
const BEGUN: &str = "Attempting inference";
const OTHER_TYPE: &str = "Warning: the outputs name";
const TWICE: &str = "a second result for the same request was ignored";

/// A message of a server, which this check did not start.
const SERVES: &str = "listening on http://";
const OTHER_MODE: &str = "do not set MODE in the program, and let ai_integration serve: the program \
                          became a server, although MODE asked for a self-test";

/// The exit status of `env` and of shells for a program that does not exist.
const NOT_FOUND: i32 = 127;

/// The way out for each cause, by words in the self-test's output.
const WAYS_OUT: [(&str, &str); 6] = [
    ("without send_result", "send a result for every request, on every path through the block"),
    ("not a picture", "set content-type to the type of the data"),
    ("JSON cannot be parsed", "set content-type to the type of the data"),
    ("inputs schema", "correct the schema: docs/schema.md lists its types and properties"),
    ("in the outputs", "correct outputs: docs/results.md#outputs lists its keys"),
    ("Read-only file system", "write only to /tmp, and put downloaded files into the image"),
];

fn check(session: &mut Session) -> Verdict {
    let limit = session.limit;
    let mut running = match session.start("test_model_integration", Start::default()) {
        Ok(running) => running,
        Err(error) => {
            session.give_up_reason = Some("the program cannot be started");
            let way_out = session.subject.way_to_execute();
            let usual = || "give the program as ENTRYPOINT names it".to_owned();
            return Fault::new(error, way_out.unwrap_or_else(usual)).into();
        }
    };
    let status = session.finish(&mut running, limit);
    let said = running.stdout();
    if !said.contains(BEGUN) && !said.contains(SAD) {
        session.give_up_reason = Some("the program never asks for an input");
        let cause = match status {
            None => format!("the program did not ask for an input within {} s", limit.as_secs()),
            Some(status) => {
                format!("the program ended before it asked for an input, with {status}")
            }
        };
        let is_missing = status.is_some_and(|status| status.code() == Some(NOT_FOUND));
        let way_out = session.subject.way_to_execute().filter(|_| is_missing);
        let way_out = way_out.unwrap_or_else(|| {
            let serves = running.printed().contains(SERVES);
            if serves { OTHER_MODE } else { way_to_begin(status.is_none()) }.to_owned()
        });
        return Fault::new(cause, way_out).with_output(running.last_lines()).into();
    }
    let printed = running.printed();
    let Some(status) = status else {
        session.give_up_reason = Some("its results take too long");
        let cause = format!("five samples had no result within {} s", limit.as_secs());
        let way_out = "make the model faster, or give it more time: --timeout SECONDS";
        return Fault::new(cause, way_out).with_output(running.last_lines()).into();
    };
    if !status.success() || !said.contains(HAPPY) {
        return sad(&said).with_output(running.last_lines()).into();
    }
    if printed.contains(TWICE) {
        let cause = "a request got two results: the second is lost";
        return Fault::new(cause, "call send_result once for each request").into();
    }
    if let Some(warning) = said.lines().find(|line| line.starts_with(OTHER_TYPE)) {
        let cause = warning.trim_start_matches("Warning: ").trim_end_matches('.');
        let way_out = "correct content_type in outputs, or the return annotation of the function";
        return Verdict::Doubtful(Fault::new(cause, way_out));
    }
    Verdict::Passed("five samples of its inputs were answered".to_owned())
}

fn way_to_begin(is_running: bool) -> &'static str {
    if is_running {
        "call ai_integration.run(f) or get_next_input in the program, or give it more time: --timeout SECONDS"
    } else {
        "fix the error in its last lines: without arguments, the program must reach \
         ai_integration.run(f) or get_next_input (for a program in another language: \
         ai-integration check ai-integration run PROGRAM)"
    }
}

/// Describes a failed self-test by its first message.
fn sad(said: &str) -> Fault {
    let mut lines = said.lines().skip_while(|line| !line.starts_with(SAD));
    let first = lines.next().unwrap_or("the self-test ended early").trim_start_matches(SAD);
    let more = lines.take_while(|line| !line.starts_with(SAD) && !line.starts_with(BEGUN));
    let more: Vec<&str> = more.filter(|line| !line.trim().is_empty()).collect();
    let more = more.join("\n");
    let first = first.trim_start_matches("Error: ");
    let cause = match summary(&more) {
        reason if first.ends_with(':') && !reason.is_empty() => reason,
        _ => first.to_owned(),
    };
    let cause = format!("a sample got no valid result: {cause}");
    let is_reported = |words: &str| first.contains(words) || more.contains(words);
    let way_out = WAYS_OUT.iter().find(|(words, _)| is_reported(words));
    let usual = "fix the exception or the result; if the model cannot use the sample, give \
                 \"examples\" in the schema";
    Fault::new(cause, way_out.map_or(usual, |(_, way_out)| way_out))
}
