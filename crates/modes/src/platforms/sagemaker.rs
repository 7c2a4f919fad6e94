//! Amazon SageMaker: real-time, serverless and asynchronous endpoints, and batch transform. All start
//! the container with the one argument `serve`.

use crate::platform::{Profile, Sign, Source};

pub(super) const SAGEMAKER: Profile = Profile {
    name: "sagemaker",
    title: "Amazon SageMaker",
    signs: &[&[Sign::Value("SAGEMAKER_BATCH", "true")], &[Sign::Serve]],
    port: Some(Source::Fixed("8080")),
    defaults: &[
        // The process is killed 30 s after SIGTERM.
        ("AI_INTEGRATION_STOP_TIMEOUT", Source::Fixed("25")),
        // The largest body of an asynchronous endpoint.
        ("AI_INTEGRATION_MAX_BODY", Source::Fixed("1GB")),
    ],
    model_dirs: &[Source::Fixed("/opt/ml/model")],
    predict: "POST /invocations",
    page: "sagemaker.md",
    ..Profile::PLAIN
};
