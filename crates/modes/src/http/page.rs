//! The web page.

pub(crate) mod about;
pub(crate) mod built;
mod form;
pub(crate) mod plain;
pub(crate) mod routes;
