//! The contents of a program's files at a moment, to be compared with those of another.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{File, read_dir};
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::bytecode;
use super::places::{Places, is_source, may_have_sources};

/// The most folders that are looked into.
const MOST_FOLDERS: usize = 1000;
/// The most entries of all these folders.
const MOST_ENTRIES: usize = 50_000;
/// The part of a file that is read, in bytes.
const MOST_READ: u64 = 256 << 20;
/// The age in seconds from which a file's time tells that it has not changed. Some file systems count
/// in seconds.
const CERTAIN: i64 = 2;

/// The contents of a program's files.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    files: BTreeMap<PathBuf, Version>,
    /// The folders in which the files are.
    pub(super) folders: BTreeSet<PathBuf>,
    /// True where there are more folders or entries than are looked at.
    pub(super) is_cut: bool,
}

/// The content of a file.
#[derive(Debug)]
struct Version {
    stamp: Stamp,
    /// The second in which it was written, as the file says.
    written: i64,
    digest: u64,
}

/// The system's account of a file: it stays the same only where the content does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    /// When the file was last changed in any way, in seconds and nanoseconds since 1970.
    changed: (i64, i64),
    length: u64,
}

impl Snapshot {
    /// Reads the files, but for those that have not changed since `before` by their time and length.
    pub(super) fn take(places: &Places, before: &Snapshot) -> Self {
        let mut snapshot = Snapshot::default();
        for file in &places.files {
            snapshot.note(file.clone(), before);
        }
        snapshot.walk(&places.folders, before);
        let parents = places.files.iter().filter_map(|file| file.parent());
        snapshot.folders.extend(parents.map(Path::to_owned));
        snapshot
    }

    /// Lists the files that are new, gone or different since `before`.
    pub(super) fn changed_since(&self, before: &Snapshot) -> Vec<PathBuf> {
        let digest = |snapshot: &Snapshot, file| {
            snapshot.files.get(file).map(|version: &Version| version.digest)
        };
        let gone = before.files.keys().filter(|file| !self.files.contains_key(*file));
        let all = self.files.keys().chain(gone);
        all.filter(|file| digest(self, *file) != digest(before, *file)).cloned().collect()
    }

    /// The number of files.
    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// Reads the source files in the folders and below them, the nearest first.
    fn walk(&mut self, roots: &[PathBuf], before: &Snapshot) {
        let mut queue = VecDeque::from(roots.to_vec());
        let mut entries = 0;
        while let Some(folder) = queue.pop_front() {
            if self.folders.len() == MOST_FOLDERS || entries > MOST_ENTRIES {
                self.is_cut = true;
                return;
            }
            let Ok(listing) = read_dir(&folder) else { continue };
            if !self.folders.insert(folder) {
                continue;
            }
            for entry in listing.flatten() {
                entries += 1;
                if entries > MOST_ENTRIES {
                    break;
                }
                let path = entry.path();
                // A folder behind a link may be anywhere, and lead back here.
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    if may_have_sources(&path) {
                        queue.push_back(path);
                    }
                } else if is_source(&path) {
                    self.note(path, before);
                }
            }
        }
        self.is_cut = entries > MOST_ENTRIES;
    }

    fn note(&mut self, file: PathBuf, before: &Snapshot) {
        // One that cannot be read is as good as gone.
        let known = before.files.get(&file);
        if let Ok(version) = Version::read(&file, known) {
            if known.is_some_and(|known| version.looks_like(known)) {
                bytecode::forget(&file);
            }
            self.files.insert(file, version);
        }
    }
}

impl Version {
    /// Tells whether Python would take this version for another one, which it is not.
    fn looks_like(&self, other: &Version) -> bool {
        self.digest != other.digest
            && self.stamp.length == other.stamp.length
            && self.written == other.written
    }

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
        Ok(Version { stamp, written: about.mtime(), digest })
    }
}

impl Stamp {
    /// Tells whether the file would have another stamp if it had changed since it was read.
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
    fn contents_count_and_times_do_not() {
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
