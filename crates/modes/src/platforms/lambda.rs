//! AWS Lambda, without the Web Adapter: the program asks Lambda for events.

use crate::platform::{Profile, Sign, Source};

pub(super) const LAMBDA: Profile = Profile {
    name: "lambda",
    title: "AWS Lambda",
    signs: &[&[Sign::Variable("AWS_LAMBDA_RUNTIME_API")]],
    mode: "lambda",
    defaults: &[
        // Lambda gives a start 10 s, and starts the container again by itself.
        ("AI_INTEGRATION_START_ATTEMPTS", Source::Fixed("1")),
    ],
    predict: "events",
    page: "lambda.md",
    ..Profile::PLAIN
};
