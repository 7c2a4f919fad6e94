//! Replaces the pool on systems without memory files, where all bodies go through the socket.

use std::io;
use std::ops::{Deref, DerefMut};
use std::os::fd::OwnedFd;

use bytes::Bytes;

use crate::link::codec::MemoryFile;

/// A mapped file, which cannot exist here.
#[derive(Debug)]
pub(super) enum Memory {}

impl Deref for Memory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match *self {}
    }
}

impl DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut [u8] {
        match *self {}
    }
}

pub(super) fn take(_size: usize) -> io::Result<Memory> {
    Err(io::ErrorKind::Unsupported.into())
}

#[expect(clippy::needless_pass_by_value, reason = "the function for Linux consumes it")]
pub(super) fn lend(memory: Memory) -> Bytes {
    match memory {}
}

pub(super) fn find(_bytes: &[u8]) -> Option<(MemoryFile, usize)> {
    None
}

pub(super) fn limit_files(_most: usize) {}

pub(super) fn trim() {}

pub(super) fn is_sealed(_file: &OwnedFd) -> io::Result<bool> {
    Err(io::ErrorKind::Unsupported.into())
}
