//! The mode `mcp`: the model as a tool for agents, by the Model Context Protocol over standard input
//! and output. The dialect `mcp` of the mode `http` serves the same protocol at `/mcp`.
//!
//! 1. `message.rs` reads and writes messages, and `version.rs` tells the versions apart.
//! 2. `server.rs` answers requests. `tool.rs` describes the model, `content.rs` writes its results, and
//!    `progress.rs` reports on running calls.
//! 3. `stdio.rs` is the transport of this mode.

pub(crate) mod content;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
pub(crate) mod message;
pub(crate) mod progress;
pub(crate) mod server;
pub(crate) mod stdio;
pub(crate) mod tool;
pub(crate) mod version;

use crate::mode::{Context, Mode, Running};

pub(crate) struct Mcp;

impl Mode for Mcp {
    fn name(&self) -> &'static str {
        "mcp"
    }

    fn hint(&self) -> &'static str {
        "Serve the model to an agent as a tool (MCP over stdio)"
    }

    fn example(&self) -> Option<&'static str> {
        Some("docker run --rm -i -e MODE=mcp IMAGE")
    }

    fn is_serving(&self) -> bool {
        true
    }

    fn owns_stdout(&self) -> bool {
        true
    }

    fn run(&self, context: Context) -> Running {
        Box::pin(stdio::serve(context))
    }
}
