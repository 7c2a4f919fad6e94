//! The mode `runpod`: takes jobs from the queue of an endpoint of `RunPod`, and sends their results. It
//! is experimental, because the protocol is not documented: it is that of `RunPod`'s SDK 1.12.
//!
//! 1. `settings.rs` has the variables that the platform sets.
//! 2. `control.rs` sends the requests to the platform.
//! 3. `job.rs` reads a job, and `answer.rs` writes its result. `parts.rs` cuts a streamed result into
//!    the parts that are sent.
//! 4. `worker.rs` takes jobs and runs them, until the mode must stop.

mod answer;
mod control;
mod job;
mod parts;
mod settings;
mod worker;

use ai_integration_contract::Setting;

use self::settings::Settings;
use crate::mode::{Context, Mode, Running};

pub(crate) struct RunPod;

impl Mode for RunPod {
    fn name(&self) -> &'static str {
        "runpod"
    }

    fn hint(&self) -> &'static str {
        "Take jobs from an endpoint's queue on RunPod (experimental)"
    }

    fn is_serving(&self) -> bool {
        true
    }

    fn settings(&self) -> &'static [&'static [&'static Setting]] {
        const { &[Settings::SETTINGS] }
    }

    fn run(&self, context: Context) -> Running {
        Box::pin(worker::serve(context))
    }
}
