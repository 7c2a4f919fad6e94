//! Looks whether the page has been built, and has this crate compiled anew when it has.

use std::path::Path;

fn main() {
    const BUILT: &str = "page";
    println!("cargo::rerun-if-changed={BUILT}");
    if cfg!(feature = "http") && !Path::new(BUILT).join("page.js.gz").exists() {
        println!(
            "cargo::warning=without the page, which `npm ci && npm run build` in web/ makes: the server \
             will have the plain form only"
        );
    }
}
