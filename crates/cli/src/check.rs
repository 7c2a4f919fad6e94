//! `ai-integration check`: tests a program or a container image before it is shipped.
//!
//! The check uses the program from outside, as a platform would: it starts the program in several
//! modes, sends requests, and stops it. Each check is a file in `check/checks` and a line in the
//! table of `check/checks.rs`.

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

/// Runs `ai-integration check`.
pub(crate) fn run(arguments: &Check) -> ExitStatus {
    if let Err(error) = interruption::listen() {
        eprint(format_args!("error: signals cannot be handled: {error}"));
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
            eprint(format_args!("error: no folder for temporary files can be made: {error}"));
            return ExitStatus::Failed;
        }
    };
    for check in CHECKS {
        if !session.has(check) {
            continue;
        }
        report.begin(check.title);
        let start = Instant::now();
        let verdict = match session.give_up_reason {
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
