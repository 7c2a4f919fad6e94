"""Files that a model gives as its data: open ones, buffers, and paths.

What is small is sent whole, the rest in blocks from where the file stands.
"""

import fcntl
import io
import os
import stat

from . import _pictures
from ._link import BODY_LIMIT
from ._unsendable import Unsendable

_TEXT = type(b"".decode("ascii"))

# Large enough to travel in memory that is shared, small enough to hold several at once.
_BLOCK = 1 << 20

# Longer text is no path on any system.
_LONGEST_PATH = 4096

# Types of data that nobody writes as text, beside pictures, sounds and films.
_BINARY = ("application/octet-stream", "application/pdf", "application/zip")


def content(value, media_type):
    """The whole content of a file, or `None` and an iterator of its pieces."""
    is_path = not hasattr(value, "read")
    file = _opened(value) if is_path else value
    if getattr(file, "closed", False) is True:
        raise Unsendable(
            "the file is closed: give it open, or its pathlib.Path, or what it holds as bytes"
        )
    whole = getattr(file, "getvalue", None)
    if callable(whole):
        return _of_right_kind(whole(), media_type), None
    pieces = _pieces(file, is_path)
    if not _is_seekable(file):
        # What is yet to come may take its time.
        return None, _of_right_kinds(pieces, media_type)
    begin = _of_right_kind(next(pieces, b""), media_type)
    more = next(pieces, None)
    if more is not None:
        return None, _of_right_kinds(_joined([begin, more], pieces), media_type)
    if not begin and file is value and file.tell() > 0:
        raise Unsendable(
            "the file is at its end, after %d bytes, so that nothing is left to read: call .seek(0)"
            " before, or give its pathlib.Path" % file.tell()
        )
    return begin, None


def check_text(text, media_type):
    """Refuse text that stands for data which is not text, such as the name of a picture's file."""
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
            "text is not a picture: give a file as its pathlib.Path, base64 as what"
            " base64.b64decode makes of it"
        )


def checked(pieces, media_type):
    """The pieces of an iterator, of which text is held against `check_text`."""
    try:
        for number, piece in enumerate(pieces):
            # Only the first may stand for the whole.
            if isinstance(piece, _TEXT) and (number == 0 or _pictures.is_raster(media_type)):
                check_text(piece, media_type)
            yield piece
    finally:
        # A generator that is not wanted any more should not wait for its finalizer.
        close = getattr(pieces, "close", None)
        if close is not None:
            close()


def _opened(path):
    """The file at a path, which has to be one that ends."""
    try:
        # Opening a pipe would wait for whoever writes into it.
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
            raise Unsendable("%s is %s" % (path, kind))
        return open(path, "rb")
    except (EnvironmentError, ValueError) as reason:
        raise Unsendable("the file cannot be opened: %s" % reason)


def _pieces(file, is_ours):
    """Blocks of a file from where it stands; closes it in the end where it `is_ours`."""
    read = _reader(file)
    size = 0
    try:
        while True:
            try:
                piece = read(_BLOCK)
            except Exception as reason:
                raise Unsendable("the file cannot be read: %s" % _in_words(reason))
            if piece is None:
                raise Unsendable("the file is in non-blocking mode, and has nothing to read yet")
            if not isinstance(piece, (bytes, bytearray, memoryview, _TEXT)):
                raise Unsendable("the file's read gave a %s, not bytes" % type(piece).__name__)
            if not len(piece):
                return
            size += len(piece)
            if size > BODY_LIMIT and not _is_regular(file):
                raise Unsendable(
                    "the file gave more than %d GiB and has no end of its own; more than that is"
                    " sent by a generator" % (BODY_LIMIT >> 30)
                )
            yield piece
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


def _of_right_kinds(pieces, media_type):
    try:
        for piece in pieces:
            yield _of_right_kind(piece, media_type)
    finally:
        pieces.close()


def _of_right_kind(piece, media_type):
    if isinstance(piece, _TEXT) and _pictures.is_raster(media_type):
        raise Unsendable(
            'the file is open as text, and a picture is bytes: open it in the mode "rb"; in the'
            " place of io.StringIO take io.BytesIO"
        )
    return piece


def _joined(begin, rest):
    try:
        for piece in begin:
            yield piece
        for piece in rest:
            yield piece
    finally:
        rest.close()


def _names_file(text):
    if not 0 < len(text) <= _LONGEST_PATH:
        return False
    try:
        return os.path.isfile(text)
    except (TypeError, ValueError):
        # A character that no name has.
        return False


def _in_words(reason):
    text = str(reason)
    if isinstance(reason, UnicodeError):
        return text + '; if it is not text, open it in the mode "rb"'
    if text in ("read", "not readable", "File not open for reading"):
        return "it is open for writing only; close it and give its pathlib.Path"
    return text or type(reason).__name__
