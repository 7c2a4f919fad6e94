//! Warns if the web page has not been built, and rebuilds this crate when it changes. Generates the
//! messages of the Open Inference Protocol.

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
    #[cfg(feature = "grpc")]
    grpc::generate().expect("the messages can be generated");
}

#[cfg(feature = "grpc")]
mod grpc {
    use std::error::Error;
    use std::fs;
    use std::path::PathBuf;

    /// Writes the Rust types of the protocol's messages, and the descriptors of the protocol, which
    /// the server sends to clients that ask for them.
    #[expect(clippy::disallowed_macros, reason = "Cargo reads what a build script prints")]
    #[expect(clippy::disallowed_methods, reason = "Cargo names the folder in the environment")]
    pub(crate) fn generate() -> Result<(), Box<dyn Error>> {
        println!("cargo::rerun-if-changed=proto");
        let mut compiler = protox::Compiler::new(["proto"])?;
        compiler.open_file("inference.proto")?;
        let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("Cargo sets OUT_DIR")?);
        fs::write(out.join("inference.descriptors"), compiler.encode_file_descriptor_set())?;
        let mut messages = prost_build::Config::new();
        messages.bytes(["."]).compile_fds(compiler.file_descriptor_set())?;
        Ok(())
    }
}
