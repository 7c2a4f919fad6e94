//! The events of a job, which its ticket yields before the outcome.

use ai_integration_contract::Data;

/// Something that happens to a job before it ends.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The model has started the job.
    Started,
    /// A chunk of the result. Only the first one has a content type.
    Chunk {
        /// The media type of the whole result.
        content_type: Option<String>,
        /// The content of the chunk.
        data: Data,
    },
    /// The progress of the job.
    Progress {
        /// The part that is done, from 0 to 1.
        fraction: Option<f64>,
        /// A description of the present step.
        message: Option<String>,
    },
    /// A line that the model logged or printed for this job.
    Log(String),
}

impl Event {
    /// Returns the number of bytes that the event takes up in its requester's window.
    pub(crate) fn size(&self) -> usize {
        match self {
            Event::Started => 0,
            Event::Chunk { data, .. } => data.len().max(1),
            Event::Progress { message, .. } => message.as_ref().map_or(0, String::len),
            Event::Log(line) => line.len(),
        }
    }
}
