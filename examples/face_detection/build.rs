//! Finds the detector's weights, which are in the rustface package beside its source, so that the
//! compiler includes them in the program.

use std::{env, error::Error, path::Path, process::Command};

use serde_json::Value;

#[expect(
    clippy::disallowed_methods,
    reason = "Cargo passes its values to a build script in variables"
)]
#[expect(clippy::disallowed_macros, reason = "Cargo reads what a build script prints")]
fn main() -> Result<(), Box<dyn Error>> {
    let metadata = Command::new(env::var("CARGO")?)
        .args(["metadata", "--format-version=1", "--locked", "--filter-platform"])
        .arg(env::var("TARGET")?)
        .output()?;
    if !metadata.status.success() {
        return Err(String::from_utf8_lossy(&metadata.stderr).into());
    }
    let metadata: Value = serde_json::from_slice(&metadata.stdout)?;
    let manifest = metadata["packages"]
        .as_array()
        .and_then(|packages| packages.iter().find(|package| package["name"] == "rustface"))
        .and_then(|package| package["manifest_path"].as_str())
        .ok_or("cargo metadata does not list the package rustface")?;
    let weights = Path::new(manifest).with_file_name("model/seeta_fd_frontal_v1.0.bin");

    println!("cargo::rustc-env=FACE_DETECTION_WEIGHTS={}", weights.display());
    println!("cargo::rerun-if-changed={}", weights.display());
    println!("cargo::rerun-if-changed=Cargo.toml");
    Ok(())
}
