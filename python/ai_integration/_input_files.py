"""Writes the files that the model gets by their paths, and removes them after the request.

Each request has a folder of its own among the temporary files. Other users cannot read it. The
folder is locked while it is in use. The system removes the lock when the process ends, also if it
is killed. So a folder without a lock belongs to a process that has ended, and the next process that
starts removes it.
"""

import errno
import fcntl
import mimetypes
import os
import re
import shutil
import stat
import tempfile

from . import _process

try:
    from pathlib import Path as _path  # novm
except ImportError:
    # Python 2 has no `pathlib`.
    _path = str

_PREFIX = "ai_integration-inputs-"
# The number of tries to make a folder: another process may remove a new one before it is locked.
_TRIES = 10
# The maximum number of characters of an input's name in the name of its file.
_NAME = 40

# The marks of formats: the place of a mark in a file, its bytes, and the format.
_MARKS = (
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"\xff\xd8\xff", "jpg"),
    (0, b"GIF8", "gif"),
    (0, b"BM", "bmp"),
    (0, b"II*\0", "tif"),
    (0, b"MM\0*", "tif"),
    (8, b"WEBP", "webp"),
    (8, b"WAVE", "wav"),
    (8, b"AVI ", "avi"),
    (8, b"AIFF", "aiff"),
    (8, b"AIFC", "aiff"),
    (8, b"avif", "avif"),
    (8, b"heic", "heic"),
    (8, b"heix", "heic"),
    (8, b"mif1", "heic"),
    (8, b"qt  ", "mov"),
    (8, b"M4A ", "m4a"),
    (8, b"3gp", "3gp"),
    (4, b"ftyp", "mp4"),
    (0, b"fLaC", "flac"),
    (0, b"OggS", "ogg"),
    (0, b"ID3", "mp3"),
    (0, b"\xff\xfb", "mp3"),
    (0, b"\xff\xf3", "mp3"),
    (0, b"\xff\xf2", "mp3"),
    (0, b"\xff\xf1", "aac"),
    (0, b"\xff\xf9", "aac"),
    (0, b".snd", "au"),
    (0, b"#!AMR", "amr"),
    (0, b"caff", "caf"),
    (0, b"MThd", "mid"),
    (0, b"\x1a\x45\xdf\xa3", "mkv"),
    (0, b"\0\0\x01\xba", "mpg"),
    (0, b"FLV\x01", "flv"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "wmv"),
    (0, b"%PDF-", "pdf"),
    (0, b"8BPS", "psd"),
    (0, b"PK\x03\x04", "zip"),
    (0, b"\x1f\x8b", "gz"),
    (0, b"BZh", "bz2"),
    (0, b"\xfd7zXZ\0", "xz"),
    (0, b"\x28\xb5\x2f\xfd", "zst"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (0, b"Rar!", "rar"),
    (257, b"ustar", "tar"),
    (128, b"DICM", "dcm"),
    (0, b"PAR1", "parquet"),
    (0, b"\x89HDF", "h5"),
    (0, b"\x93NUMPY", "npy"),
    (0, b"glTF", "glb"),
)
# The names of files in archives that office programs write. They stand near an archive's end.
_OFFICE = (
    (b"word/document.xml", "docx"),
    (b"xl/workbook.xml", "xlsx"),
    (b"ppt/presentation.xml", "pptx"),
)
_TAIL = 1 << 16


def format_of(data):
    """Returns the file extension for this content, without a dot, or `None` if it is not known."""
    for start, mark, known in _MARKS:
        if data[start : start + len(mark)] != mark:
            continue
        if known == "mkv" and b"webm" in data[:64]:
            return "webm"
        if known == "zip":
            tail = data[-_TAIL:]
            return next((name for mark, name in _OFFICE if mark in tail), known)
        return known
    return "svg" if b"<svg" in data[:1024] else None


def maker(name, formats):
    """Returns a function that writes the files of an input; its schema lists these formats.

    Removes the folders of processes that have died.
    """
    label = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:_NAME] + "-"
    usual = _ending(formats[0]) if isinstance(formats, list) and len(formats) == 1 else ""
    _sweep(tempfile.gettempdir())

    def write(data, folder):
        known = format_of(data)
        return folder.write(label, usual if known is None else "." + known, data)

    return write


class Folder(object):
    """The folder of one request, which is made when the first file is written."""

    def __init__(self):
        self._name = None
        self._lock = None

    def write(self, label, suffix, data):
        """Writes a new file with this content, and returns its path."""
        if self._name is None:
            self._name, self._lock = _new_folder()
        descriptor, name = tempfile.mkstemp(suffix, label, self._name)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        return _path(name)

    def remove(self):
        """Removes the folder and its files."""
        if self._name is not None:
            shutil.rmtree(self._name, ignore_errors=True)
            os.close(self._lock)
            self._name = None


def _ending(word):
    """Returns the file extension, with its dot, for a format in the schema's `formats`."""
    word = ("%s" % word).lower()
    if "/" in word:
        return mimetypes.guess_extension(word) or ""
    word = word.lstrip(".")
    return "." + word if re.match(r"[a-z0-9]{1,10}$", word) else ""


def _new_folder():
    """Returns the name of a new folder, and the descriptor that holds its lock."""
    for _ in range(_TRIES):
        name = tempfile.mkdtemp(prefix=_PREFIX)
        try:
            lock = os.open(name, os.O_RDONLY)
        except EnvironmentError as reason:
            if reason.errno == errno.ENOENT:
                continue
            raise
        _process.close_on_exec(lock)
        if _is_locked(lock, or_cannot_be=True) and os.path.isdir(name):
            return name, lock
        os.close(lock)
    raise EnvironmentError(errno.EAGAIN, "cannot make a folder in " + tempfile.gettempdir())


def _is_locked(descriptor, or_cannot_be):
    """Locks a folder, and returns true if that succeeded.

    Returns `or_cannot_be` if the file system has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except EnvironmentError as reason:
        return or_cannot_be and reason.errno not in (errno.EAGAIN, errno.EWOULDBLOCK)


def _sweep(parent):
    """Removes the folders of processes that have died."""
    try:
        names = os.listdir(parent)
    except EnvironmentError:
        # This process may not be allowed to list the folder of temporary files.
        return
    for name in names:
        if name.startswith(_PREFIX):
            _remove_if_left(os.path.join(parent, name))


def _remove_if_left(name):
    try:
        status = os.lstat(name)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            return
        lock = os.open(name, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except EnvironmentError:
        # Another process has just removed it.
        return
    try:
        if _is_locked(lock, or_cannot_be=False):
            shutil.rmtree(name, ignore_errors=True)
    finally:
        os.close(lock)
