"""Files that the model gets by their paths: written for one request, and removed after it.

Each request has a folder of its own among the temporary files, which nobody else may look into. It
is locked while it is used, and the system unlocks it when the process ends, however that ends. So
the folders of processes that were killed are told by their missing lock, and the next process that
starts removes them.
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
    # Python 2 has no such thing.
    _path = str

_PREFIX = "ai_integration-inputs-"
# How often another folder is made where one is taken for a dead process's just as it comes up.
_TRIES = 10
# The greatest part of an input's name that its file is named by.
_NAME = 40

# The beginnings of files, where they are, and the formats that have them.
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
# What is in the list at the end of an archive of these programs, which is that long at least.
_OFFICE = (
    (b"word/document.xml", "docx"),
    (b"xl/workbook.xml", "xlsx"),
    (b"ppt/presentation.xml", "pptx"),
)
_TAIL = 1 << 16


def format_of(data):
    """The ending of names of files with this content, or `None` where that does not tell."""
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
    """The function that writes the files of an input, whose schema lists these formats.

    Removes what processes that have died left behind.
    """
    label = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:_NAME] + "-"
    usual = _ending(formats[0]) if isinstance(formats, list) and len(formats) == 1 else ""
    _sweep(tempfile.gettempdir())

    def write(data, folder):
        known = format_of(data)
        return folder.write(label, usual if known is None else "." + known, data)

    return write


class Folder(object):
    """The folder of one request. There is none until something is written to it."""

    def __init__(self):
        self._name = None
        self._lock = None

    def write(self, label, suffix, data):
        """The path of a new file with this content."""
        if self._name is None:
            self._name, self._lock = _new_folder()
        descriptor, name = tempfile.mkstemp(suffix, label, self._name)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        return _path(name)

    def remove(self):
        """Remove the folder with all that is in it."""
        if self._name is not None:
            shutil.rmtree(self._name, ignore_errors=True)
            os.close(self._lock)
            self._name = None


def _ending(word):
    """The ending of names of files of a format, as the schema's `formats` name them."""
    word = ("%s" % word).lower()
    if "/" in word:
        return mimetypes.guess_extension(word) or ""
    word = word.lstrip(".")
    return "." + word if re.match(r"[a-z0-9]{1,10}$", word) else ""


def _new_folder():
    """A new folder's name, and the descriptor that it is locked by."""
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
    raise EnvironmentError(errno.EAGAIN, "no folder for files in " + tempfile.gettempdir())


def _is_locked(descriptor, or_cannot_be):
    """Returns true if the lock was free and is ours now; some file systems have no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except EnvironmentError as reason:
        return or_cannot_be and reason.errno not in (errno.EAGAIN, errno.EWOULDBLOCK)


def _sweep(parent):
    """Remove the folders of processes that have died."""
    try:
        names = os.listdir(parent)
    except EnvironmentError:
        # A folder of temporary files need not be readable.
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
        # It has just gone.
        return
    try:
        if _is_locked(lock, or_cannot_be=False):
            shutil.rmtree(name, ignore_errors=True)
    finally:
        os.close(lock)
