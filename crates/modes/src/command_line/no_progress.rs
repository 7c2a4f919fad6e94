//! Stands in for `progress` in a build without the feature `terminal`: silent.

/// Shows nothing.
pub(super) struct Progress;

#[expect(clippy::unused_self, reason = "called like the one that shows something")]
impl Progress {
    pub(super) fn new(_what: &'static str) -> Self {
        Progress
    }

    pub(super) fn update(&mut self, _fraction: Option<f64>, _message: Option<String>) {}

    pub(super) fn clear(&mut self) {}
}
