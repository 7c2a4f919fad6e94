//! Replaces `progress` in a build without the feature `terminal`, and shows nothing.

/// A progress bar that is never shown.
pub(super) struct Progress;

#[expect(clippy::unused_self, reason = "has the methods of the bar that is shown")]
impl Progress {
    pub(super) fn new(_what: &'static str) -> Self {
        Progress
    }

    pub(super) fn update(&mut self, _fraction: Option<f64>, _message: Option<String>) {}

    pub(super) fn clear(&mut self) {}
}
