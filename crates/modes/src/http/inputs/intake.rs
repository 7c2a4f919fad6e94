//! The state that is needed to read a request to the model.

use std::sync::Arc;

use ai_integration_engine::Engine;

use crate::http::inputs::body::BodyReader;

/// The part of a handler's state that the extractors of requests to the model use.
#[derive(Clone, Debug)]
pub(crate) struct Intake(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    engine: Engine,
    reader: BodyReader,
}

impl Intake {
    pub(crate) fn new(engine: Engine, reader: BodyReader) -> Self {
        Intake(Arc::new(Parts { engine, reader }))
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    pub(crate) fn reader(&self) -> &BodyReader {
        &self.0.reader
    }
}
