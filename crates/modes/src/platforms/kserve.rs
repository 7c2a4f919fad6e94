//! A custom runtime or predictor of KServe. Without Knative, KServe shows itself only by the model
//! that its init container has downloaded.

use crate::platform::{Profile, Sign, Source};

const FOLDER: &str = "/mnt/models";

pub(super) const KSERVE: Profile = Profile {
    name: "kserve",
    title: "KServe",
    signs: &[&[Sign::Variable("STORAGE_URI"), Sign::Path(FOLDER)]],
    // KServe runs its services on Knative, if that is there.
    beside: &["knative"],
    port: Some(Source::Fixed("8080")),
    defaults: &[
        // Kubernetes kills the process 30 s after SIGTERM.
        ("AI_INTEGRATION_STOP_TIMEOUT", Source::Fixed("25")),
    ],
    model_dirs: &[Source::Fixed(FOLDER)],
    predict: "POST /v1/models/NAME:predict and /v2/models/NAME/infer",
    page: "kserve.md",
    ..Profile::PLAIN
};
