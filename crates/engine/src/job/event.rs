//! The events of a job: what a requester hears of it before it ends.

use ai_integration_contract::Data;

/// Something that happened to a job before it ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The model has begun to work on it.
    Started,
    /// A piece of the answer. The content type comes with the first one.
    Chunk {
        /// The media type of the whole answer.
        content_type: Option<String>,
        /// The piece.
        data: Data,
    },
    /// The progress of the work.
    Progress {
        /// From 0 to 1.
        fraction: Option<f64>,
        /// The step that is being done, in words.
        message: Option<String>,
    },
    /// A line that the model wrote meanwhile.
    Log(String),
}

impl Event {
    /// The bytes that the event takes up of its requester's window.
    pub(crate) fn size(&self) -> usize {
        match self {
            Event::Started => 0,
            Event::Chunk { data, .. } => data.len().max(1),
            Event::Progress { message, .. } => message.as_ref().map_or(0, String::len),
            Event::Log(line) => line.len(),
        }
    }
}
