//! AWS Lambda, without the Web Adapter: the program asks Lambda for events.

use crate::platform::{Profile, Sign};

pub(super) const LAMBDA: Profile = Profile {
    name: "lambda",
    title: "AWS Lambda",
    signs: &[&[Sign::Variable("AWS_LAMBDA_RUNTIME_API")]],
    mode: "lambda",
    predict: "events",
    page: "lambda.md",
    ..Profile::PLAIN
};
