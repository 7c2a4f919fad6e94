//! Serverless queues of RunPod: the program asks RunPod for jobs.

use crate::platform::{Profile, Sign};

pub(super) const RUNPOD: Profile = Profile {
    name: "runpod",
    title: "RunPod queue",
    signs: &[&[Sign::Variable("RUNPOD_WEBHOOK_GET_JOB")]],
    mode: "runpod",
    predict: "jobs",
    is_experimental: true,
    page: "runpod.md",
    ..Profile::PLAIN
};
