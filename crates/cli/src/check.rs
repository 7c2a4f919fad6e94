//! `ai-integration check`: looks at a program, or at the image of a container, before it is shipped.
//!
//! The subject is used as a platform would use it, from outside: it is started in several modes, asked,
//! and stopped. Each check is a file in `check/checks` and a line in the table of `check/checks.rs`.

mod checks;
mod container;
mod http;
mod interruption;
mod processes;
mod report;
mod running;
mod session;
mod subject;
mod verdict;

use std::time::{Duration, Instant};

use ai_integration::ExitStatus;
use ai_integration_modes::console::eprint;

use crate::arguments::Check;
use crate::check::checks::CHECKS;
use crate::check::report::Report;
use crate::check::session::Session;
use crate::check::subject::Subject;
use crate::check::verdict::Verdict;

/// `ai-integration check`.
pub(crate) fn run(arguments: &Check) -> ExitStatus {
    if let Err(error) = interruption::listen() {
        eprint(format_args!("error: signals cannot be listened to: {error}"));
        return ExitStatus::Failed;
    }
    let limit = Duration::from_secs(arguments.timeout);
    let subject = match Subject::find(&arguments.program) {
        Ok(subject) => subject,
        Err(error) => {
            eprint(format_args!("error: {error}"));
            return ExitStatus::NotFound;
        }
    };
    let mut report = Report::new(subject.name(), arguments.json);
    let mut session = match Session::new(subject, limit) {
        Ok(session) => session,
        Err(error) => {
            eprint(format_args!("error: there is no folder for temporary files: {error}"));
            return ExitStatus::Failed;
        }
    };
    for check in CHECKS {
        if !session.has(check) {
            continue;
        }
        report.begin(check.title);
        let start = Instant::now();
        let verdict = match session.hopeless {
            Some(reason) => Verdict::Skipped(reason.to_owned()),
            None => (check.run)(&mut session),
        };
        if let Some(signal) = interruption::signal() {
            report.break_off();
            return ExitStatus::Signal(signal);
        }
        report.add(check.name, verdict, start.elapsed());
    }
    report.end()
}
