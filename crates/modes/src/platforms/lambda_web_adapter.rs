//! AWS Lambda with the Web Adapter, an extension that passes events on as HTTP requests. An image that
//! contains the adapter runs elsewhere too, so it counts only on Lambda.

use crate::platform::{Profile, Sign, Source};

const LAMBDA: Sign = Sign::Variable("AWS_LAMBDA_RUNTIME_API");
const PORT: &str = "AWS_LWA_PORT";

pub(super) const LAMBDA_WEB_ADAPTER: Profile = Profile {
    name: "lambda_web_adapter",
    title: "AWS Lambda with the Web Adapter",
    signs: &[
        &[LAMBDA, Sign::Path("/opt/extensions/lambda-adapter")],
        &[LAMBDA, Sign::Variable(PORT)],
        &[LAMBDA, Sign::Variable("AWS_LWA_READINESS_CHECK_PATH")],
        &[LAMBDA, Sign::Variable("AWS_LWA_INVOKE_MODE")],
        &[LAMBDA, Sign::Variable("AWS_LWA_ASYNC_INIT")],
    ],
    beside: &["lambda"],
    port: Some(Source::VariableOr(PORT, "8080")),
    page: "lambda.md",
    ..Profile::PLAIN
};
