//! The page's scripts, styles and translations, built from `web/` and embedded in compressed form.
//! In a checkout the folder `page` of this crate is a link to `web/dist`; in a package it is a
//! copy. A build without Node.js has no such files, and the server logs this when it starts.

use rust_embed::{Embed, EmbeddedFile};

/// The files that `npm run build` writes, each compressed with gzip (RFC 1952).
#[derive(Embed)]
#[folder = "page"]
#[include = "*.gz"]
#[allow_missing = true]
struct Built;

/// Returns the file with this name, compressed.
pub(crate) fn file(name: &str) -> Option<EmbeddedFile> {
    Built::get(&format!("{name}.gz"))
}

/// Returns true if this build contains the page.
pub(crate) fn is_there() -> bool {
    file("page.js").is_some()
}
