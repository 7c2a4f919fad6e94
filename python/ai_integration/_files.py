"""Reads the files that a model gives as its data: open files, buffers, and paths.

A small file is sent whole, a large one in blocks. An open file is read from its position on.
"""

import fcntl
import io
import os
import stat

from . import _pictures
from ._link import BODY_LIMIT
from ._unsendable import Unsendable

_TEXT = type(b"".decode("ascii"))

# In bytes: large enough for shared memory, and small enough to hold several at once.
_BLOCK = 1 << 20

# Longer text is no path on any system.
_LONGEST_PATH = 4096

# Types of data that are never text, beside pictures, sounds and videos.
_BINARY = ("application/octet-stream", "application/pdf", "application/zip")


def content(value, media_type):
    """Returns the whole content of a file and `None`, or `None` and an iterator of its blocks."""
    is_path = not hasattr(value, "read")
    file = _opened(value) if is_path else value
    if getattr(file, "closed", False) is True:
        raise Unsendable(
            "the file is closed: give it open, or its pathlib.Path, or what it holds as bytes"
        )
    whole = getattr(file, "getvalue", None)
    if callable(whole):
        return _of_right_kind(whole(), media_type), None
    blocks = _pieces(file, is_path)
    if not _is_seekable(file):
        # The next block may come late, so the first one is not held back.
        return None, _of_right_kinds(blocks, media_type)
    begin = _of_right_kind(next(blocks, b""), media_type)
    more = next(blocks, None)
    if more is not None:
        return None, _of_right_kinds(_joined([begin, more], blocks), media_type)
    if not begin and file is value and file.tell() > 0:
        raise Unsendable(
            "the file is at its end, after %d bytes, so that nothing is left to read: call .seek(0)"
            " first, or give its pathlib.Path" % file.tell()
        )
    return begin, None


def check_text(text, media_type):
    """Raises `Unsendable` for text in place of other data, such as the name of a picture's file."""
    if media_type.startswith(("image/", "audio/", "video/")) or media_type in _BINARY:
        if _names_file(text):
            raise Unsendable(
                "it is the name of a file: to send the file give pathlib.Path(%r)" % str(text)
            )
        if text.startswith("data:"):
            raise Unsendable(
                'it is a "data:" URL: give the bytes, base64.b64decode(text.split(",", 1)[1])'
            )
    if _pictures.is_raster(media_type):
        raise Unsendable(
            "text is not a picture: give a file as its pathlib.Path, and decode base64 with"
            " base64.b64decode"
        )


def checked(chunks, media_type):
    """Yields the chunks of an iterator, and calls `check_text` for text."""
    try:
        for number, chunk in enumerate(chunks):
            # Only the first chunk can be a file's name or a URL.
            if isinstance(chunk, _TEXT) and (number == 0 or _pictures.is_raster(media_type)):
                check_text(chunk, media_type)
            yield chunk
    finally:
        # A generator that is not read to its end is closed now, not by its finalizer.
        close = getattr(chunks, "close", None)
        if close is not None:
            close()


def _opened(path):
    """Opens the regular file at a path; raises `Unsendable` for anything else."""
    try:
        # Opening a pipe would wait until another process opens it to write.
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
            raise Unsendable("%s is %s" % (path, kind))
        return open(path, "rb")
    except (EnvironmentError, ValueError) as reason:
        raise Unsendable("the file cannot be opened: %s" % reason)


def _pieces(file, is_ours):
    """Yields blocks of a file from its position on, and closes it at the end if it `is_ours`."""
    read = _reader(file)
    size = 0
    try:
        while True:
            try:
                block = read(_BLOCK)
            except Exception as reason:
                raise Unsendable("the file cannot be read: %s" % _in_words(reason))
            if block is None:
                raise Unsendable("the file is in non-blocking mode, and has nothing to read yet")
            if not isinstance(block, (bytes, bytearray, memoryview, _TEXT)):
                raise Unsendable("the file's read gave a %s, not bytes" % type(block).__name__)
            if not len(block):
                return
            size += len(block)
            if size > BODY_LIMIT and not _is_regular(file):
                raise Unsendable(
                    "the file gave more than %d GiB and has no length; to send more than that, give"
                    " a generator" % (BODY_LIMIT >> 30)
                )
            yield block
    finally:
        if is_ours:
            file.close()


def _reader(file):
    """Returns a reader of the next block; of a pipe or connection, of the bytes that arrived."""
    if not _is_seekable(file):
        if isinstance(file, io.TextIOBase):
            return file.readline
        if hasattr(file, "read1") and _waits(file):
            return file.read1
    return file.read


def _waits(file):
    """Returns true if reading blocks; `read1` returns the same for no data and for the end."""
    raw = getattr(file, "raw", None)
    if not isinstance(raw, io.FileIO):
        return True
    return not fcntl.fcntl(raw.fileno(), fcntl.F_GETFL) & os.O_NONBLOCK


def _is_seekable(file):
    try:
        is_seekable = getattr(file, "seekable", None)
        if is_seekable is not None:
            return bool(is_seekable())
        file.tell()
        return True
    except Exception:
        return False


def _is_regular(file):
    try:
        return stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    except Exception:
        return False


def _of_right_kinds(blocks, media_type):
    try:
        for block in blocks:
            yield _of_right_kind(block, media_type)
    finally:
        blocks.close()


def _of_right_kind(block, media_type):
    if isinstance(block, _TEXT) and _pictures.is_raster(media_type):
        raise Unsendable(
            'the file is open as text, and a picture is bytes: open it in the mode "rb"; use'
            " io.BytesIO instead of io.StringIO"
        )
    return block


def _joined(begin, rest):
    try:
        for block in begin:
            yield block
        for block in rest:
            yield block
    finally:
        rest.close()


def _names_file(text):
    if not 0 < len(text) <= _LONGEST_PATH:
        return False
    try:
        return os.path.isfile(text)
    except (TypeError, ValueError):
        # The text has a character that no file name can have.
        return False


def _in_words(reason):
    text = str(reason)
    if isinstance(reason, UnicodeError):
        return text + '; if it is not text, open it in the mode "rb"'
    if text in ("read", "not readable", "File not open for reading"):
        return "it is open for writing only; close it and give its pathlib.Path"
    return text or type(reason).__name__
