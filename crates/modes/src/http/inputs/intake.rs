//! What it takes to read requests to the model.

use ai_integration_engine::Engine;

use crate::http::inputs::body::BodyReader;

/// What the extractors of requests to the model find in a handler's state.
#[derive(Clone, Debug)]
pub(crate) struct Intake {
    pub(crate) engine: Engine,
    pub(crate) reader: BodyReader,
}
