//! The web page.

pub(crate) mod about;
pub(crate) mod assets;
pub(crate) mod form;
pub(crate) mod plain;
