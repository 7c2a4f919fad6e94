//! A progress bar on the terminal while something takes long. Nothing is shown if standard error is
//! not a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The time before the spinner appears.
const DELAY: Duration = Duration::from_secs(1);
/// The number of steps of a full bar.
const STEPS: f64 = 1000.0;

/// A spinner that becomes a bar when the model reports its progress.
pub(super) struct Progress {
    bar: ProgressBar,
    /// The task that shows the spinner after [`DELAY`].
    late: tokio::task::JoinHandle<()>,
}

impl Progress {
    pub(super) fn new(what: &'static str) -> Self {
        let bar = ProgressBar::hidden();
        let late_bar = bar.clone();
        let late = tokio::spawn(async move {
            tokio::time::sleep(DELAY).await;
            late_bar.set_draw_target(ProgressDrawTarget::stderr());
            late_bar.set_message(what);
            set_style(&late_bar, "{spinner} {msg} ({elapsed})");
            late_bar.enable_steady_tick(Duration::from_millis(120));
        });
        Progress { bar, late }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 1000")]
    pub(super) fn update(&mut self, fraction: Option<f64>, message: Option<String>) {
        if let Some(message) = message {
            self.bar.set_message(message);
        }
        if let Some(fraction) = fraction {
            if self.bar.length().is_none() {
                self.late.abort();
                self.bar.set_draw_target(ProgressDrawTarget::stderr());
                set_style(&self.bar, "{wide_bar} {percent} % {msg} ({elapsed})");
                self.bar.set_length(STEPS as u64);
            }
            self.bar.set_position((fraction.clamp(0.0, 1.0) * STEPS) as u64);
        }
    }

    pub(super) fn clear(&mut self) {
        self.late.abort();
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn set_style(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}
