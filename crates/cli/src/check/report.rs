//! Reports the verdicts: one line when a check ends, or one JSON object at the end.

use std::fmt::Write as _;
use std::time::Duration;

use ai_integration::ExitStatus;
use ai_integration_modes::console::say;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value as Json, json};

use crate::check::verdict::{Fault, Verdict};

/// The interval of the progress sign.
const TICK: Duration = Duration::from_millis(120);

/// The verdicts so far.
pub(crate) struct Report {
    subject: String,
    is_json: bool,
    /// The progress sign on a terminal while a check runs.
    spinner: ProgressBar,
    checks: Vec<Json>,
    /// The reasons for skipped checks, each with the names of the checks.
    reasons: Vec<(String, Vec<String>)>,
    passed: usize,
    doubtful: usize,
    failed: usize,
    skipped: usize,
}

impl Report {
    /// Begins the report on a program or an image of this name.
    pub(crate) fn new(subject: String, is_json: bool) -> Self {
        let spinner = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}, {elapsed}") {
            spinner.set_style(style);
        }
        spinner.enable_steady_tick(TICK);
        if !is_json {
            say(format_args!("Checking {subject}"));
        }
        Report {
            subject,
            is_json,
            spinner,
            checks: Vec::new(),
            reasons: Vec::new(),
            passed: 0,
            doubtful: 0,
            failed: 0,
            skipped: 0,
        }
    }

    /// Shows that a check runs.
    pub(crate) fn begin(&self, title: &'static str) {
        self.spinner.reset_elapsed();
        self.spinner.set_message(title);
    }

    /// Adds the verdict of a check.
    pub(crate) fn add(&mut self, name: &str, verdict: Verdict, took: Duration) {
        let (word, mark, count, fault) = match verdict {
            Verdict::Passed(sentence) => {
                ("passed", "ok", &mut self.passed, Fault::new(sentence, ""))
            }
            Verdict::Doubtful(fault) => ("doubtful", "DOUBTFUL", &mut self.doubtful, fault),
            Verdict::Failed(fault) => ("failed", "FAILED", &mut self.failed, fault),
            Verdict::Skipped(reason) => {
                ("skipped", "skipped", &mut self.skipped, Fault::new(reason, ""))
            }
        };
        *count += 1;
        if self.is_json {
            self.checks.push(json!({
                "name": name, "verdict": word, "message": fault.cause, "way_out": fault.way_out,
                "output": fault.output, "seconds": (took.as_secs_f64() * 1000.0).round() / 1000.0,
            }));
            return;
        }
        if word == "skipped" {
            // Several checks can be skipped for one reason.
            match self.reasons.iter_mut().find(|(reason, _)| *reason == fault.cause) {
                Some((_, names)) => names.push(name.to_owned()),
                None => self.reasons.push((fault.cause, vec![name.to_owned()])),
            }
            return;
        }
        let lines = lines(mark, name, &fault, took);
        self.spinner.suspend(|| say(lines.trim_end()));
    }

    /// Removes the progress sign from the terminal.
    pub(crate) fn break_off(&self) {
        self.spinner.finish_and_clear();
    }

    /// Prints the summary, and returns its exit status.
    pub(crate) fn end(self) -> ExitStatus {
        self.spinner.finish_and_clear();
        let is_right = self.failed == 0;
        if self.is_json {
            let report =
                json!({"subject": self.subject, "passed": is_right, "checks": self.checks});
            say(report);
        } else {
            for (reason, names) in &self.reasons {
                say(format_args!("{:<9} {}: {reason}", "skipped", names.join(", ")));
            }
            let verdict = if is_right { "Ready to ship" } else { "Not ready to ship" };
            let Report { passed, doubtful, failed, skipped, .. } = self;
            say(format_args!(
                "{verdict}: {passed} passed, {failed} failed, {doubtful} doubtful, {skipped} skipped."
            ));
        }
        if is_right { ExitStatus::Done } else { ExitStatus::Failed }
    }
}

/// Returns the lines of one check.
fn lines(mark: &str, name: &str, fault: &Fault, took: Duration) -> String {
    let Fault { cause, way_out, output } = fault;
    let mut lines = format!("{mark:<9} {name:<13} {cause} ({:.1} s)\n", took.as_secs_f64());
    if !way_out.is_empty() {
        let _ = writeln!(lines, "{:<9} way out: {way_out}", "");
    }
    if !output.is_empty() {
        let _ = writeln!(lines, "{:<9} the program's last lines:", "");
        for line in output.lines() {
            let _ = writeln!(lines, "{:<9} | {line}", "");
        }
    }
    lines
}
