//! Removes compiled Python that is out of date: Python takes it for up to date by the length of its
//! source file and the second in which that was written.

use std::fs::{read_dir, remove_file};
use std::path::Path;

/// Removes what is compiled of a file that was written twice within a second.
pub(super) fn forget(file: &Path) {
    let (Some(folder), Some(stem)) = (file.parent(), file.file_stem()) else { return };
    let mut start = stem.as_encoded_bytes().to_vec();
    start.push(b'.');
    let Ok(listing) = read_dir(folder.join("__pycache__")) else { return };
    for entry in listing.flatten() {
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        if name.starts_with(&start) && name.ends_with(b".pyc") {
            // Where it cannot be removed, the change counts with the next one.
            let _ = remove_file(entry.path());
        }
    }
}
