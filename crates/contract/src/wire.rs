//! The wire form of what the parts of ai_integration say to each other: inputs on their way to a
//! model, and the outcome or the error that comes back. The link of a worker and a broker's queue
//! share it, and it is the same whatever carries it.
//!
//! # Layout
//! Everything travels in a *frame*:
//!
//! | offset | size | meaning |
//! |---|---|---|
//! | 0 | 4 | `H`, length of the header in bytes, unsigned, big-endian: from 2 to [`MAX_HEADER`] |
//! | 4 | 4 | `B`, length of the body in bytes, unsigned, big-endian: up to [`MAX_BODY`] |
//! | 8 | `H` | the header: a JSON object (RFC 8259, UTF-8) |
//! | 8 + `H` | `B` | the body: raw bytes, cut by what the header says |
//!
//! [`inputs`] and [`data`] say how values are put into header and body. The header of a message on
//! a worker's link is in `docs/worker-protocol.md`. A [`Message`] stands by itself, one frame from
//! the first byte to the last, with one of these headers:
//!
//! ```json
//! {"version": 1, "type": "inputs", "inputs": [["image", "bytes", 5120], ["size", "value", 3]]}
//! {"version": 1, "type": "outcome", "success": true, "content_type": "text/plain", "data": "text"}
//! {"version": 1, "type": "error", "code": "queue_full", "message": "…", "retry_after": 1}
//! ```
//!
//! An outcome may have an `error`, as the model worded it. An error may have `fields`, a list of
//! `{"name": …, "message": …}`, and `output`, a list of lines. What is absent is none or empty.
//!
//! # Versions
//! A field that the reader does not know is ignored, and so is `null` in the place of one that may
//! be absent; that is how the form grows. A change which an old reader would get wrong, such as a
//! new kind of input, raises [`VERSION`], and readers refuse a version above theirs. A message names
//! the least version that knows all that is in it: the second where an input or the data is a list
//! with bytes in it, else the first. The code of an error is no such change: one that the reader does
//! not know is read as [`Kind::ModelFailed`](crate::Kind::ModelFailed), a failure that there is no use
//! in trying again, with its message kept.

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
