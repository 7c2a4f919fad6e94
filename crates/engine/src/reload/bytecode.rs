//! Removes compiled Python files that are out of date. Python compares only the length of the
//! source file and the second in which it was written, so it uses an outdated file if both are the
//! same.

use std::fs::{read_dir, remove_file};
use std::path::Path;

/// Removes the compiled files of a source file that was written twice within a second.
pub(super) fn remove(file: &Path) {
    let (Some(folder), Some(stem)) = (file.parent(), file.file_stem()) else { return };
    let mut start = stem.as_encoded_bytes().to_vec();
    start.push(b'.');
    let Ok(listing) = read_dir(folder.join("__pycache__")) else { return };
    for entry in listing.flatten() {
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        if name.starts_with(&start) && name.ends_with(b".pyc") {
            // If a compiled file cannot be removed, Python uses it until the next change.
            let _ = remove_file(entry.path());
        }
    }
}
