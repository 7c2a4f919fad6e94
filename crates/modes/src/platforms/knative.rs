//! Cloud Run, and Knative Serving elsewhere. The platform sets `PORT`.

use crate::platform::{Profile, Sign, Source};

pub(super) const KNATIVE: Profile = Profile {
    name: "knative",
    title: "Cloud Run or Knative",
    signs: &[&[Sign::Variable("K_SERVICE")]],
    port: Some(Source::Fixed("8080")),
    defaults: &[
        // Cloud Run kills the process 10 s after SIGTERM.
        ("AI_INTEGRATION_STOP_TIMEOUT", Source::Fixed("8")),
    ],
    page: "cloud-run.md",
    ..Profile::PLAIN
};
