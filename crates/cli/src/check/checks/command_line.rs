//! Checks that the program leaves its arguments and its standard output to the mode `command_line`.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ai_integration_contract::{InputsSchema, Value};
use serde_json::Value as Json;

use crate::check::checks::together::UNANSWERED;
use crate::check::running::Running;
use crate::check::session::{AppliesTo, Check, Session};
use crate::check::subject::Start;
use crate::check::verdict::{Fault, Verdict};

pub(crate) const CHECK: Check = Check {
    name: "command_line",
    title: "running it on the command line",
    applies_to: AppliesTo::Any,
    run: check,
};

/// The flags of the command line itself. An input with one of these names has the flag
/// `--input-NAME`.
const TAKEN: [&str; 4] = ["output", "option", "loop", "help"];
/// The maximum number of characters that are shown of stray output.
const SHOWN: usize = 80;

/// A run of the program on a sample of each input.
pub(crate) struct Call {
    /// True if the program succeeded in time and wrote a result.
    pub(crate) is_answered: bool,
    has_result: bool,
    is_late: bool,
    /// The end of the run in words, for a fault.
    pub(crate) end: String,
    pub(crate) running: Running,
}

fn check(session: &mut Session) -> Verdict {
    if session.schema.is_none() {
        return Verdict::Skipped("there is no schema to take flags from".to_owned());
    }
    if !session.has_results {
        return Verdict::Skipped(UNANSWERED.to_owned());
    }
    let call = match call(session, false) {
        Ok(call) => call,
        Err(error) => return Fault::new(error, "").into(),
    };
    session.has_command_line = call.is_answered;
    let stray = call.running.stdout();
    if call.is_late && call.has_result {
        Fault::new(
            "the program did not end after its result",
            "let the program end when its loop ends: make its threads daemons, and do not wait for \
             them at the exit",
        )
        .into()
    } else if !call.is_answered {
        Fault::new(
            format!("the command line gave no result: it {}", call.end),
            "do not read the arguments (sys.argv) in the program, and pass all of them on to it: a \
             start script ends with \"$@\"; take settings of your own from environment variables or \
             --option, and give the same schema at each start",
        )
        .with_output(call.running.last_lines())
        .into()
    } else if stray.trim().is_empty() {
        Verdict::Passed("the command line wrote its result and nothing else".to_owned())
    } else {
        let stray: String = stray.trim().chars().take(SHOWN).collect();
        Fault::new(
            format!("other output is mixed with the result on standard output: {stray:?}"),
            "import ai_integration before anything prints, or print to standard error",
        )
        .into()
    }
}

/// Runs the program on a sample of each input.
pub(crate) fn call(session: &mut Session, is_offline: bool) -> Result<Call, String> {
    let name = if is_offline { "offline" } else { "online" };
    let folder = session.folder().join(name);
    let error = |error: io::Error| format!("no files can be written: {error}");
    fs::create_dir_all(&folder).map_err(error)?;
    fs::set_permissions(&folder, Permissions::from_mode(0o777)).map_err(error)?;
    let place = |file: &Path| session.subject.path_of(file, session.folder()).into_os_string();
    let output = place(&folder.join("result"));
    let mut arguments = vec!["--output".into(), output];
    if let Some(schema) = &session.schema {
        arguments.extend(flags(schema, session.folder(), &place).map_err(error)?);
    }
    let start = Start { arguments, is_offline, ..Start::default() };
    let mut running = session.start("command_line", start)?;
    let limit = session.limit;
    let status = session.finish(&mut running, limit);
    let has_result = fs::read_dir(&folder).is_ok_and(|mut files| files.next().is_some());
    let is_answered = has_result && status.is_some_and(|status| status.success());
    let end = match status {
        None => format!("did not end within {} s", limit.as_secs()),
        Some(status) if status.success() => "succeeded without a result".to_owned(),
        Some(status) => format!("ended with {status}"),
    };
    let is_late = status.is_none();
    Ok(Call { is_answered, has_result, is_late, end, running })
}

/// Returns the flags for a sample of each input. Files are written into the folder.
fn flags(
    schema: &InputsSchema,
    folder: &Path,
    place: &impl Fn(&Path) -> OsString,
) -> io::Result<Vec<OsString>> {
    let mut flags = Vec::new();
    for (number, (name, value)) in schema.samples().into_iter().enumerate() {
        let is_list = schema.fields().get(&name).is_some_and(|field| field.items.is_some());
        let items = match value {
            Value::List(items) => items,
            Value::Json(Json::Array(items)) if is_list => {
                items.into_iter().map(Value::Json).collect()
            }
            other => vec![other],
        };
        for (item, value) in items.into_iter().enumerate() {
            let text = match value {
                Value::Bytes(bytes) => {
                    let file = folder.join(format!("input-{number}-{item}"));
                    fs::write(&file, bytes)?;
                    fs::set_permissions(&file, Permissions::from_mode(0o644))?;
                    flags.extend([flag(&name).into(), place(&file)]);
                    continue;
                }
                Value::Text(text) | Value::Json(Json::String(text)) => text,
                Value::Json(json) => json.to_string(),
                Value::List(_) => continue,
            };
            // `--option` takes a text unchanged, even if it looks like a path.
            flags.extend(["--option".into(), format!("{name}={text}").into()]);
        }
    }
    Ok(flags)
}

fn flag(name: &str) -> String {
    let prefix = if TAKEN.contains(&name.to_lowercase().as_str()) { "--input-" } else { "--" };
    format!("{prefix}{name}")
}
