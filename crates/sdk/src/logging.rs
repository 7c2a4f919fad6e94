//! The log on standard error.

use std::fmt::{self, Debug, Write};
use std::io::{self, IsTerminal};

use ai_integration_contract::setting::SettingType;
use ai_integration_contract::{Environment, SettingError, choices, settings};
use ai_integration_engine::{LineForm, PrintedLine, Stream};
use serde_json::json;
use tracing::Level;
use tracing::field::Field;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

settings! {
    /// The level and the form of the log.
    #[derive(Clone, Debug)]
    pub(crate) struct Settings under "Logs" {
        /// Lowest level that is logged on standard error: error, warn, info, debug or trace. By
        /// default info in serving modes, and warn in other modes.
        log: Option<LogLevel>,
        /// Format of the log. human: lines for people. json: one JSON object per line. By default
        /// json in serving modes if standard error is not a terminal, and human otherwise.
        log_format: Option<LogFormat>,
        /// Format of the program's own output. raw: unchanged. json: each line becomes a
        /// JSON object with `stream`, and stays on its stream. By default json if the log is json,
        /// and raw otherwise.
        program_output: Option<ProgramOutput>,
    }
}

choices! {
    /// The format of the log.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum LogFormat {
        /// Lines for people.
        Human = "human",
        /// One JSON object per line.
        Json = "json",
    }
}

choices! {
    /// The format of the program's own output.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum ProgramOutput {
        /// Unchanged.
        Raw = "raw",
        /// One JSON object per line.
        Json = "json",
    }
}

/// The type of the lowest level that is logged.
#[derive(Debug)]
pub(crate) struct LogLevel;

impl SettingType for LogLevel {
    type Value = Level;
    const VALUE_NAME: &'static str = "LEVEL";

    fn choices() -> Vec<&'static str> {
        vec!["error", "warn", "info", "debug", "trace"]
    }

    fn read(text: &str) -> Result<Level, String> {
        text.parse().map_err(|_| "error, warn, info, debug or trace".to_owned())
    }
}

/// The maximum number of log lines that are buffered for standard error. Further lines are lost.
const WAITING_LINES: usize = 4096;

/// The log. When it is dropped, all buffered lines have been written.
#[derive(Debug)]
pub(crate) struct Logging {
    /// The format of the program's output; `None` if the output is unchanged.
    pub(crate) program_form: Option<LineForm>,
    /// True if the log is in lines for people.
    pub(crate) is_for_people: bool,
    _guard: WorkerGuard,
}

/// Starts the log.
///
/// A thread writes the lines. So a standard error that is not read, such as a full pipe or a
/// stopped terminal, does not stop the engine.
pub(crate) fn start(environment: &Environment, is_serving: bool) -> Result<Logging, SettingError> {
    let settings = Settings::read(environment)?;
    let default = if is_serving { Level::INFO } else { Level::WARN };
    let level = settings.log.unwrap_or(default);
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(WAITING_LINES)
        .finish(io::stderr());
    let log = tracing_subscriber::fmt()
        .with_writer(writer)
        .with_max_level(level)
        .with_target(false)
        .log_internal_errors(false);
    let is_terminal = io::stderr().is_terminal();
    // In a one-shot mode the log is for the person who called the program, on a terminal or not.
    let is_json = match settings.log_format {
        Some(format) => format == LogFormat::Json,
        None => is_serving && !is_terminal,
    };
    // A second call leaves the first log in place.
    let _ = if is_json {
        log.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    } else {
        log.with_ansi(is_terminal).fmt_fields(debug_fn(human_field).delimited(" ")).try_init()
    };
    let is_wrapped = match settings.program_output {
        Some(form) => form == ProgramOutput::Json,
        None => is_json,
    };
    let program_form = is_wrapped.then_some(json_line as LineForm);
    Ok(Logging { program_form, is_for_people: !is_json, _guard: guard })
}

/// Writes one field of a log event for people.
fn human_field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    match field.name() {
        "message" => write!(Unforgeable(writer), "{value:?}"),
        name => write!(Unforgeable(writer), "{name}={value:?}"),
    }
}

/// Writes text so that no part of it can look like another log line or control a terminal. All
/// lines after the first are indented, and invisible characters are escaped.
struct Unforgeable<'a, 'w>(&'a mut Writer<'w>);

impl Write for Unforgeable<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive(changes_display) {
            let Some(last) = part.chars().next_back().filter(|last| changes_display(*last)) else {
                self.0.write_str(part)?;
                continue;
            };
            self.0.write_str(&part[..part.len() - last.len_utf8()])?;
            match last {
                '\n' => self.0.write_str("\n    ")?,
                _ => write!(self.0, "{}", last.escape_default())?,
            }
        }
        Ok(())
    }
}

/// Returns true if a character starts a line or changes how other characters are shown.
fn changes_display(character: char) -> bool {
    let sets_direction = matches!(
        character,
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    let is_control = character.is_control() && character != '\t';
    is_control || sets_direction || matches!(character, '\u{2028}' | '\u{2029}')
}

/// Writes a line of the program's output as a log line with the same fields.
fn json_line(line: &PrintedLine<'_>, out: &mut Vec<u8>) {
    let mut timestamp = String::new();
    let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
    let stream = match line.stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    };
    let mut fields = json!({
        "timestamp": timestamp, "level": "INFO", "message": line.text, "stream": stream,
    });
    if let Some(worker) = line.worker {
        fields["worker"] = worker.into();
    }
    if line.is_partial {
        fields["partial"] = true.into();
    }
    out.extend_from_slice(fields.to_string().as_bytes());
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_can_look_like_another_log_line() {
        let written = |text: &str| {
            let mut out = String::new();
            let _ = Unforgeable(&mut Writer::new(&mut out)).write_str(text);
            out
        };
        for (text, expected) in [
            ("as it is, \twith tabs and €", "as it is, \twith tabs and €"),
            ("one\ntwo\n", "one\n    two\n    "),
            ("\r\x1b[2J\u{9b}K\u{7f}\0", r"\r\u{1b}[2J\u{9b}K\u{7f}\u{0}"),
            ("a\u{85}b\u{2028}c\u{202e}d", r"a\u{85}b\u{2028}c\u{202e}d"),
        ] {
            assert_eq!(written(text), expected);
        }
    }

    #[test]
    fn a_printed_line_becomes_a_json_object() {
        let mut out = Vec::new();
        let text = "a \"quoted\" {\"level\": \"ERROR\"}";
        let line = PrintedLine { worker: Some(2), stream: Stream::Stderr, text, is_partial: false };
        json_line(&line, &mut out);
        assert_eq!(out.pop(), Some(b'\n'));
        let fields: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(fields["message"], text);
        assert_eq!(fields["stream"], "stderr");
        assert_eq!(fields["worker"], 2);
        assert!(fields["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')));
        assert!(fields.get("partial").is_none());
    }
}
