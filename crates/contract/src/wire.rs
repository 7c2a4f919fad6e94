//! The wire form of the data between the parts of ai_integration: the inputs of a request, and its
//! outcome or error. The link of a worker and the queue of a broker use the same form.
//!
//! # Layout
//! All data travels in *frames*:
//!
//! | offset | size | meaning |
//! |---|---|---|
//! | 0 | 4 | `H`, length of the header in bytes, unsigned, big-endian: from 2 to [`MAX_HEADER`] |
//! | 4 | 4 | `B`, length of the body in bytes, unsigned, big-endian: up to [`MAX_BODY`] |
//! | 8 | `H` | the header: a JSON object (RFC 8259, UTF-8) |
//! | 8 + `H` | `B` | the body: raw bytes, divided as the header describes |
//!
//! [`inputs`] and [`data`] define how values are split between header and body. The header of a
//! message on a worker's link is defined in `docs/worker-protocol.md`. A [`Message`] is
//! self-contained: exactly one frame, with one of these headers:
//!
//! ```json
//! {"version": 1, "type": "inputs", "inputs": [["image", "bytes", 5120], ["size", "value", 3]]}
//! {"version": 1, "type": "outcome", "success": true, "content_type": "text/plain", "data": "text"}
//! {"version": 1, "type": "error", "code": "queue_full", "message": "…", "retry_after": 1}
//! ```
//!
//! An outcome can have an `error`, the model's message. An error can have `fields`, a list of
//! `{"name": …, "message": …}`, and `output`, a list of lines. A missing member means none or
//! empty.
//!
//! # Versions
//! A reader ignores unknown fields, and treats `null` as an absent optional field. So new fields
//! need no new version. A change that an old reader would misunderstand, such as a new kind of
//! input, increments [`VERSION`]; a reader refuses a message whose version is higher than its own. A
//! message has the lowest version that allows its content: version 2 if an input or the data is a
//! list with bytes, otherwise version 1. A new error code does not need a new version: a reader treats
//! an unknown code as [`Kind::ModelFailed`](crate::Kind::ModelFailed), which should not be retried,
//! and keeps its message.

pub mod data;
mod frame;
pub mod inputs;
mod message;

pub use frame::{
    FrameError, MAX_BODY, MAX_HEADER, PREFIX, Segment, VERSION, put_head, read_lengths,
};
pub use message::Message;

#[cfg(test)]
mod tests;
