//! Load-balancing endpoints of RunPod. A worker that is being loaded answers `/ping` with status 204.

use crate::platform::{Profile, Sign, Source, Statuses};

const HEALTH_PORT: &str = "PORT_HEALTH";

pub(super) const RUNPOD_LOAD_BALANCER: Profile = Profile {
    name: "runpod_load_balancer",
    title: "RunPod load balancer",
    signs: &[&[Sign::Variable(HEALTH_PORT), Sign::Variable("RUNPOD_POD_ID")]],
    port: Some(Source::Fixed("80")),
    health_port: Some(Source::Variable(HEALTH_PORT)),
    defaults: &[
        // The load balancer gives a request up after 5.5 minutes.
        ("AI_INTEGRATION_TIMEOUT", Source::Fixed("330")),
    ],
    statuses: Statuses { ready: 200, loading: 204, failed: 500 },
    page: "runpod.md",
    ..Profile::PLAIN
};
