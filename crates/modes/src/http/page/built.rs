//! The page's scripts, styles and words, built from `web/` and embedded compressed. In a
//! checkout the folder `page` of this crate is a link to `web/dist`, in a package a copy of it. A
//! build without Node.js has none of it, and says so when it starts.

use rust_embed::{Embed, EmbeddedFile};

/// The files that `npm run build` leaves, each compressed by gzip (RFC 1952).
#[derive(Embed)]
#[folder = "page"]
#[include = "*.gz"]
#[allow_missing = true]
struct Built;

/// The file of that name, compressed.
pub(crate) fn file(name: &str) -> Option<EmbeddedFile> {
    Built::get(&format!("{name}.gz"))
}

/// Tells whether this build has the page.
pub(crate) fn is_there() -> bool {
    file("page.js").is_some()
}
