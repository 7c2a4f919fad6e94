//! The tensors of inference protocols, however they are sent. A dialect reads a request into an
//! [`Inference`](mapping::Inference), which becomes the inputs of one job for each record. It writes
//! the [`Answer`](answer::Answer) that is made of the outcomes.

pub(crate) mod answer;
pub(crate) mod datatype;
pub(crate) mod mapping;
pub(crate) mod metadata;
pub(crate) mod statistics;
pub(crate) mod tensor;
