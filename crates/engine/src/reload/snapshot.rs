//! Snapshots of the contents of a program's files, which are compared with each other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{DirEntry, File, read_dir};
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::bytecode;
use super::places::{Places, is_source, may_have_sources};

/// The maximum number of folders that are read.
const MOST_FOLDERS: usize = 1000;
/// The maximum number of entries that are read in all folders together.
const MOST_ENTRIES: usize = 50_000;
/// The maximum number of entries that are read in one folder, because a folder of the program may
/// contain many files of data too.
const MOST_ENTRIES_OF_ONE: usize = 35_000;
/// The maximum number of bytes that are read of a file.
const MOST_READ: u64 = 256 << 20;
/// The least age in seconds at which an unchanged timestamp proves that a file has not changed.
/// Some file systems count in whole seconds.
const CERTAIN: i64 = 2;

/// The contents of a program's files.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    files: BTreeMap<PathBuf, Version>,
    /// The folders that contain the files.
    pub(super) folders: BTreeSet<PathBuf>,
    /// True if there are more folders or entries than are read.
    pub(super) is_cut: bool,
}

/// A version of a file: the digest of its content, and whether it may be executed.
#[derive(Debug)]
struct Version {
    stamp: Stamp,
    may_be_executed: bool,
    /// The modification time in seconds.
    written: i64,
    digest: u64,
}

/// The metadata of a file, which change whenever the content does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    /// The time of the last change of content or metadata, in seconds and nanoseconds since 1970.
    changed: (i64, i64),
    length: u64,
}

impl Snapshot {
    /// Reads the files, except those whose metadata have not changed since `before`.
    pub(super) fn take(places: &Places, before: &Snapshot) -> Self {
        let mut snapshot = Snapshot::default();
        for file in &places.files {
            snapshot.add(file.clone(), before);
        }
        snapshot.walk(&places.folders, before);
        let parents = places.files.iter().filter_map(|file| file.parent());
        snapshot.folders.extend(parents.map(Path::to_owned));
        snapshot
    }

    /// Returns the files that were added, removed or changed since `before`.
    pub(super) fn changed_since(&self, before: &Snapshot) -> Vec<PathBuf> {
        let content = |snapshot: &Snapshot, file| {
            let version: Option<&Version> = snapshot.files.get(file);
            version.map(|version| (version.digest, version.may_be_executed))
        };
        let gone = before.files.keys().filter(|file| !self.files.contains_key(*file));
        let all = self.files.keys().chain(gone);
        all.filter(|file| content(self, *file) != content(before, *file)).cloned().collect()
    }

    /// Returns the number of files.
    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// Reads the source files in the folders and their subfolders, the nearest first. The
    /// subfolders of a folder without a source file are read last, because they usually contain
    /// data.
    fn walk(&mut self, roots: &[PathBuf], before: &Snapshot) {
        let (mut queue, mut last) = (VecDeque::from(roots.to_vec()), VecDeque::new());
        let mut left = MOST_ENTRIES;
        while let Some(folder) = queue.pop_front().or_else(|| last.pop_front()) {
            if self.folders.len() == MOST_FOLDERS || left == 0 {
                self.is_cut = true;
                return;
            }
            let Ok(listing) = read_dir(&folder) else { continue };
            if !self.folders.insert(folder) {
                continue;
            }
            let most = left.min(MOST_ENTRIES_OF_ONE);
            let (mut inner, mut seen, mut has_sources) = (Vec::new(), 0, false);
            for entry in listing.flatten() {
                if seen == most {
                    self.is_cut = true;
                    break;
                }
                seen += 1;
                let path = entry.path();
                if is_folder(&entry) {
                    inner.extend(folder_of_program(&entry, path));
                } else if is_source(&path) {
                    has_sources = true;
                    self.add(path, before);
                }
            }
            left -= seen;
            if has_sources { &mut queue } else { &mut last }.extend(inner);
        }
    }

    /// Adds a file. A file that cannot be read counts as removed.
    fn add(&mut self, file: PathBuf, before: &Snapshot) {
        let known = before.files.get(&file);
        if let Ok(version) = Version::read(&file, known) {
            if known.is_some_and(|known| version.looks_like(known)) {
                bytecode::remove(&file);
            }
            self.files.insert(file, version);
        }
    }
}

fn is_folder(entry: &DirEntry) -> bool {
    entry
        .file_type()
        .is_ok_and(|kind| kind.is_dir() || (kind.is_symlink() && entry.path().is_dir()))
}

/// Returns the folder that must be read for an entry, if any. A link may lead to a folder with
/// anything in it, or back to this one. So the target of a link is read only if it is a Python
/// package, and by its own path.
fn folder_of_program(entry: &DirEntry, path: PathBuf) -> Option<PathBuf> {
    let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
    let folder = if !is_link {
        path
    } else if path.join("__init__.py").is_file() {
        path.canonicalize().ok()?
    } else {
        return None;
    };
    may_have_sources(&folder).then_some(folder)
}

impl Version {
    /// Returns true if Python would mistake this version for the other one.
    fn looks_like(&self, other: &Version) -> bool {
        self.digest != other.digest
            && self.stamp.length == other.stamp.length
            && self.written == other.written
    }

    /// Reads a file, unless its metadata are those of the `known` version.
    fn read(file: &Path, known: Option<&Version>) -> io::Result<Self> {
        let about = file.metadata()?;
        if !about.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let changed = (about.ctime(), about.ctime_nsec());
        let stamp = Stamp { inode: about.ino(), changed, length: about.len() };
        let digest = match known {
            Some(known) if known.stamp == stamp && stamp.is_certain() => known.digest,
            _ => digest(file)?,
        };
        let may_be_executed = about.mode() & 0o111 != 0;
        Ok(Version { stamp, may_be_executed, written: about.mtime(), digest })
    }
}

impl Stamp {
    /// Returns true if the file would have another stamp if it had changed since it was read.
    fn is_certain(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        self.changed.0 + CERTAIN < seconds
    }
}

fn digest(file: &Path) -> io::Result<u64> {
    let mut content = File::open(file)?.take(MOST_READ);
    let mut hasher = DefaultHasher::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match content.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            read => hasher.write(&buffer[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{create_dir, remove_file, rename, write};

    use super::*;

    #[test]
    fn a_new_content_is_a_change_and_a_new_time_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let places = Places { folders: vec![folder.path().to_owned()], files: Vec::new() };
        let file = |name: &str| folder.path().join(name);
        create_dir(file("part")).unwrap();
        create_dir(file(".hidden")).unwrap();
        write(file("model.py"), "one").unwrap();
        write(file(".hidden/x.py"), "one").unwrap();
        let mut known = Snapshot::take(&places, &Snapshot::default());
        assert_eq!((known.len(), known.folders.len(), known.is_cut), (1, 2, false));
        let mut changed = || {
            let now = Snapshot::take(&places, &known);
            let changed = now.changed_since(&known);
            known = now;
            changed
        };
        let none: Vec<PathBuf> = Vec::new();

        write(file("model.py"), "one").unwrap();
        write(file("log.txt"), "one").unwrap();
        write(file(".hidden/x.py"), "two").unwrap();
        assert_eq!(changed(), none);
        write(file("model.py"), "two").unwrap();
        assert_eq!(changed(), [file("model.py")]);
        create_dir(file("__pycache__")).unwrap();
        let [of_model, of_another] = ["__pycache__/model.cpython-313.pyc", "__pycache__/m.pyc"];
        write(file(of_model), "two").unwrap();
        write(file(of_another), "two").unwrap();
        let saved = file("model.py").metadata().unwrap().modified().unwrap();
        write(file("model.py"), "six").unwrap();
        File::options().append(true).open(file("model.py")).unwrap().set_modified(saved).unwrap();
        assert_eq!(changed(), [file("model.py")]);
        assert_eq!([of_model, of_another].map(|name| file(name).exists()), [false, true]);
        write(file("model.py.new"), "three").unwrap();
        rename(file("model.py.new"), file("model.py")).unwrap();
        write(file("part/of_it.py"), "one").unwrap();
        assert_eq!(changed(), [file("model.py"), file("part/of_it.py")]);
        remove_file(file("model.py")).unwrap();
        assert_eq!(changed(), [file("model.py")]);
        assert_eq!(changed(), none);
    }

    #[test]
    fn data_does_not_hide_the_program_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for inner in ["data", "package/part"] {
            std::fs::create_dir_all(root.join(inner)).unwrap();
        }
        for number in 0..=MOST_FOLDERS {
            create_dir(root.join("data").join(number.to_string())).unwrap();
        }
        for source in ["model.py", "package/__init__.py", "package/part/layers.py"] {
            write(root.join(source), "").unwrap();
        }
        let places = Places { folders: vec![root.to_owned()], files: vec![root.join("model.py")] };
        let snapshot = Snapshot::take(&places, &Snapshot::default());
        assert!(snapshot.is_cut);
        assert!(snapshot.files.contains_key(&root.join("package/part/layers.py")));
    }

    #[test]
    fn no_more_folders_are_looked_into_than_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..MOST_FOLDERS {
            create_dir(folder.path().join(number.to_string())).unwrap();
        }
        let script = folder.path().join("model.py");
        write(&script, "").unwrap();
        let places = Places { folders: vec![folder.path().to_owned()], files: vec![script] };
        let snapshot = Snapshot::take(&places, &Snapshot::default());
        assert_eq!((snapshot.len(), snapshot.folders.len()), (1, MOST_FOLDERS));
        assert!(snapshot.is_cut);
    }
}
