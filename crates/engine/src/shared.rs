//! Memory files: large bodies that are handed over by descriptor instead of through the socket.
//! Sealed, so that what was checked stays what it was; without a name, so that nobody else can
//! open them. Linux only (memfd_create(2)); elsewhere there is the socket.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;

use bytes::Bytes;

/// A memory file of these bytes.
#[cfg(target_os = "linux")]
pub(crate) fn write<'a>(segments: impl Iterator<Item = &'a [u8]>) -> io::Result<OwnedFd> {
    use nix::fcntl::{FcntlArg, fcntl};
    use nix::sys::memfd::{MFdFlags, memfd_create};

    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut file = File::from(memfd_create(c"ai_integration", flags)?);
    for segment in segments {
        file.write_all(segment)?;
    }
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals()))?;
    Ok(file.into())
}

/// The bytes of a memory file that the other side made, which must be sealed and `length` long.
#[cfg(target_os = "linux")]
pub(crate) fn read(file: OwnedFd, length: usize) -> io::Result<Bytes> {
    use nix::fcntl::{FcntlArg, SealFlag, fcntl};

    let found = SealFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GET_SEALS)?);
    let mut file = File::from(file);
    if !found.contains(seals()) || file.metadata()?.len() != length as u64 {
        return Err(io::Error::other("it is not sealed, or not of the length that was said"));
    }
    file.rewind()?;
    let mut bytes = Vec::with_capacity(length);
    file.take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes.into())
}

#[cfg(target_os = "linux")]
fn seals() -> nix::fcntl::SealFlag {
    use nix::fcntl::SealFlag;
    SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SEAL
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn write<'a>(_: impl Iterator<Item = &'a [u8]>) -> io::Result<OwnedFd> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn read(_: OwnedFd, _: usize) -> io::Result<Bytes> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_and_only_sealed_files_of_the_right_length_are_read() {
        let file = || write([&b"one "[..], b"two"].into_iter()).unwrap();
        assert_eq!(read(file(), 7).unwrap(), "one two");
        assert!(read(file(), 6).is_err());
        assert!(File::from(file()).write_all(b"x").is_err());
        let plain = tempfile::tempfile().unwrap();
        plain.set_len(7).unwrap();
        assert!(read(plain.into(), 7).is_err());
    }
}
