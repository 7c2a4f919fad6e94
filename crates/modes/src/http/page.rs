//! The web page of the model.

pub(crate) mod built;
mod form;
pub(crate) mod html;
pub(crate) mod routes;
