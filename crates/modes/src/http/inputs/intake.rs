//! The state that reading a request to the model takes.

use ai_integration_engine::Engine;

use crate::http::inputs::body::BodyReader;

/// The part of a handler's state that the extractors of requests to the model find.
#[derive(Clone, Debug)]
pub(crate) struct Intake {
    pub(crate) engine: Engine,
    pub(crate) reader: BodyReader,
}
