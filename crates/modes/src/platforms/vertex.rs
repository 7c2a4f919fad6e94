//! Vertex AI of Google Cloud. The platform names its addresses in variables.

use crate::platform::{Health, Profile, Sign, Source};

const HEALTH: &str = "AIP_HEALTH_ROUTE";
const PORT: &str = "AIP_HTTP_PORT";

pub(super) const VERTEX: Profile = Profile {
    name: "vertex",
    title: "Vertex AI",
    // The container that the SDK starts on a developer's machine has no mode.
    signs: &[&[Sign::Value("AIP_MODE", "PREDICTION")], &[Sign::Variable(PORT)]],
    needs: &[HEALTH, "AIP_PREDICT_ROUTE"],
    port: Some(Source::VariableOr(PORT, "8080")),
    health: &[Health { address: Source::VariableOr(HEALTH, "/health"), body: "{}" }],
    predict: "POST $AIP_PREDICT_ROUTE",
    page: "vertex.md",
    ..Profile::PLAIN
};
