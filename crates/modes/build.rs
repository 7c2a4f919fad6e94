//! Warns if the web page has not been built, and rebuilds this crate when it changes.

use std::path::Path;

#[expect(clippy::disallowed_macros, reason = "Cargo reads what a build script prints")]
fn main() {
    const BUILT: &str = "page";
    println!("cargo::rerun-if-changed={BUILT}");
    if cfg!(feature = "http") && !Path::new(BUILT).join("page.js.gz").exists() {
        println!(
            "cargo::warning=the web page is not built, so the server will have only a plain form; \
             build the page with `npm ci && npm run build` in web/"
        );
    }
}
