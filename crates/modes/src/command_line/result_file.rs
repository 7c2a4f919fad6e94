//! The file that a result is written to. The result goes to a temporary file in the same folder until
//! it is complete, or into the file itself if that cannot be replaced.

use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};
use tempfile::{NamedTempFile, TempPath};

/// The paths of standard output.
const STDOUT: &[&str] = &["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];
/// The maximum number of symbolic links that are followed in a row, as in Linux.
const MAX_LINKS: usize = 40;
/// The errors of a rename onto a file that can be written but not replaced, because it is a mount
/// point or its folder belongs to another user.
const IRREPLACEABLE: &[ErrorKind] = &[
    ErrorKind::CrossesDevices,
    ErrorKind::PermissionDenied,
    ErrorKind::ReadOnlyFilesystem,
    ErrorKind::ResourceBusy,
];

/// A file that a result is written to.
pub(super) struct ResultFile {
    /// The path as the user wrote it.
    name: PathBuf,
    /// The path of the file itself, after all symbolic links.
    path: PathBuf,
    written: Written,
}

/// The part of a result that has been written so far.
enum Written {
    Nothing,
    /// It is in a temporary file in the same folder. That file gets the name only when the result is
    /// complete, so that a failed run leaves neither an empty file nor half a result.
    Beside(NamedTempFile),
    /// It is in the temporary file, which is complete and closed.
    Complete(TempPath),
    /// It is in the file itself.
    InPlace(File),
}

/// The target of a path.
enum Place {
    Stdout,
    At(PathBuf),
}

impl ResultFile {
    /// Finds the file that a path leads to; `None` if the path leads to standard output.
    pub(super) fn find(name: &Path) -> io::Result<Option<Self>> {
        Ok(match follow(name)? {
            Place::Stdout => None,
            Place::At(path) => {
                Some(ResultFile { name: name.to_owned(), path, written: Written::Nothing })
            }
        })
    }

    /// Returns the path as the user wrote it.
    pub(super) fn name(&self) -> &Path {
        &self.name
    }

    /// Returns the path of the file itself, after all symbolic links.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns true if the path leads to a device, a pipe or the like.
    pub(super) fn is_special(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|known| !known.is_file())
    }

    /// Returns the error that a write would give, as far as it can be known before the write.
    pub(super) fn check(&self) -> io::Result<()> {
        let named_as_folder = self.name.as_os_str().as_bytes().ends_with(b"/");
        match fs::metadata(&self.path) {
            Ok(known) if known.is_dir() => Err(ErrorKind::IsADirectory.into()),
            Ok(known) if known.file_type().is_socket() => Err(Errno::ENXIO.into()),
            Ok(_) => Ok(access(&self.path, AccessFlags::W_OK)?),
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            Err(error) if self.path.file_name().is_none() => Err(error),
            Err(_) if named_as_folder => Err(ErrorKind::IsADirectory.into()),
            Err(_) => {
                let folder = folder(&self.path);
                access(folder, AccessFlags::W_OK | AccessFlags::X_OK).map_err(|errno| {
                    let error = io::Error::from(errno);
                    io::Error::new(
                        error.kind(),
                        format!("the folder {}: {error}", folder.display()),
                    )
                })
            }
        }
    }

    /// Writes the next bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if matches!(self.written, Written::Nothing) {
            self.written = self.open()?;
        }
        match &mut self.written {
            Written::Beside(file) => file.write_all(bytes),
            Written::InPlace(file) => file.write_all(bytes),
            Written::Nothing | Written::Complete(_) => Ok(()),
        }
    }

    /// Ends the writing, and closes the file.
    pub(super) fn complete(&mut self) {
        self.written = match std::mem::replace(&mut self.written, Written::Nothing) {
            Written::Beside(file) => Written::Complete(file.into_temp_path()),
            Written::InPlace(_) => Written::Nothing,
            written => written,
        };
    }

    /// Gives the complete result its name. Returns true if the temporary file has the name now, and
    /// false if the result is in the file that had the name before.
    pub(super) fn finish(&mut self) -> io::Result<bool> {
        self.complete();
        let written = std::mem::replace(&mut self.written, Written::Nothing);
        let Written::Complete(partial) = written else { return Ok(false) };
        if let Ok(known) = fs::symlink_metadata(&self.path)
            && !(is_replaceable(&known) && copy_owner_and_permissions(&partial, &known).is_ok())
        {
            return self.copy(&partial).map(|()| false);
        }
        match partial.persist(&self.path) {
            Ok(()) => Ok(true),
            Err(refused) if is_irreplaceable(&refused.error) && self.path.exists() => {
                self.copy(&refused.path).map(|()| false)
            }
            Err(refused) => Err(refused.error),
        }
    }

    fn open(&self) -> io::Result<Written> {
        let known = fs::symlink_metadata(&self.path);
        if known.as_ref().is_ok_and(|known| !is_replaceable(known)) {
            return self.open_in_place().map(Written::InPlace);
        }
        match open_beside(&self.path) {
            Ok(file) => Ok(Written::Beside(file)),
            Err(error) if known.is_ok() && is_irreplaceable(&error) => {
                self.open_in_place().map(Written::InPlace)
            }
            Err(error) => Err(error),
        }
    }

    fn open_in_place(&self) -> io::Result<File> {
        // An open descriptor is written from its position on. A file is emptied first.
        let is_descriptor = self.path.starts_with("/proc");
        File::options().write(true).append(is_descriptor).truncate(!is_descriptor).open(&self.path)
    }

    fn copy(&self, partial: &Path) -> io::Result<()> {
        let mut file = self.open_in_place()?;
        io::copy(&mut File::open(partial)?, &mut file).map(drop)
    }
}

/// Follows symbolic links to a file, which need not exist. The links of open descriptors in `/proc`
/// are not followed: the file behind such a link may have no name, or another name by now.
fn follow(name: &Path) -> io::Result<Place> {
    let mut path = name.to_owned();
    for _ in 0..MAX_LINKS {
        if STDOUT.iter().any(|stdout| path == Path::new(stdout)) {
            return Ok(Place::Stdout);
        }
        let known = fs::symlink_metadata(&path);
        if let (Ok(folder), Some(file)) = (fs::canonicalize(folder(&path)), path.file_name())
            && folder.starts_with("/proc")
        {
            let own = Path::new("/proc").join(std::process::id().to_string());
            if folder.starts_with(own) && folder.ends_with("fd") && file == "1" {
                return Ok(Place::Stdout);
            }
            return known.map(|_| Place::At(folder.join(file)));
        }
        match known {
            Ok(known) if known.is_symlink() => {
                path = folder(&path).join(fs::read_link(&path)?);
            }
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => return Ok(Place::At(path)),
        }
    }
    Err(Errno::ELOOP.into())
}

/// Returns true if another file may replace this one: it is a regular file with one name.
fn is_replaceable(known: &Metadata) -> bool {
    known.is_file() && known.nlink() == 1
}

fn is_irreplaceable(error: &io::Error) -> bool {
    IRREPLACEABLE.contains(&error.kind())
}

/// Gives a temporary file the owner and the permissions of the file that it will replace.
fn copy_owner_and_permissions(partial: &Path, known: &Metadata) -> io::Result<()> {
    let file = File::options().write(true).open(partial)?;
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (known.uid(), known.gid()) {
        fchown(&file, Some(known.uid()), Some(known.gid()))?;
    }
    file.set_permissions(known.permissions())
}

/// Opens a temporary file in the folder of `path`.
fn open_beside(path: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new()
        .prefix(".ai-integration-")
        // The umask reduces these, as it does for an ordinary new file.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder(path))
}

fn folder(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_standard_output_are_not_taken_for_files() {
        let own = format!("/proc/{}/fd/1", std::process::id());
        for name in STDOUT.iter().chain([&own.as_str()]) {
            assert!(matches!(follow(Path::new(name)), Ok(Place::Stdout)), "{name}");
        }
        for name in ["/dev/null", "Cargo.toml", "./missing"] {
            assert!(matches!(follow(Path::new(name)), Ok(Place::At(_))), "{name}");
        }
        assert!(follow(Path::new("/proc/self/fd/987654")).is_err());
    }
}
