"""Makes the bodies of requests: JSON, or a form if there are files.

Files are read while they are sent, and large data is not copied.
"""

import base64
import io
import json
import os
import stat
from typing import NamedTuple, Optional

from .errors import refusal

# A multiple of three, so that the base64 texts of the blocks can be joined.
_BLOCK = 3 << 16
# The largest number of fields that the server reads in a form.
_MOST_FIELDS = 1000
_PART = b'--%s\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n'
_FILE = b'; filename="file"\r\nContent-Type: application/octet-stream'


class Blob:
    """The bytes of a file as they are sent."""

    def __init__(self, content):
        self._content = content
        self.length = len(content)
        self.can_repeat = True

    def blocks(self):
        yield self._content


class Path:
    """A file at a path, which is opened when it is sent."""

    def __init__(self, name, path):
        self._name, self._path = name, path
        try:
            about = os.stat(path)
            is_readable = os.access(path, os.R_OK)
        except (OSError, ValueError) as reason:
            raise refusal({name: "the file cannot be opened: %s" % reason}) from reason
        if stat.S_ISDIR(about.st_mode):
            raise refusal({name: "%s is a folder; give its files one by one" % path})
        if not is_readable:
            raise refusal({name: "there is no permission to read the file %s" % path})
        # A pipe can be read only once, and its length is unknown.
        self.can_repeat = stat.S_ISREG(about.st_mode)
        self.length = about.st_size if self.can_repeat else None

    def blocks(self):
        try:
            with open(self._path, "rb", buffering=0) as file:
                yield from _blocks(file, self.length, self._name)
        except OSError as reason:
            raise refusal({self._name: "the file cannot be read: %s" % reason}) from reason


class OpenFile:
    """A file that the caller has opened; its content from the current position on is sent."""

    def __init__(self, name, file):
        self._name, self._file = name, file
        if isinstance(file, io.TextIOBase):
            message = 'the file is open as text: open it in the mode "rb", or give its pathlib.Path'
            raise refusal({name: message})
        try:
            self.can_repeat = bool(file.seekable())
            self._begin = file.tell() if self.can_repeat else None
            self.length = None
            if self.can_repeat:
                self.length = max(file.seek(0, os.SEEK_END) - self._begin, 0)
                file.seek(self._begin)
        except (OSError, ValueError, AttributeError) as reason:
            raise refusal({name: "the file cannot be read: %s" % reason}) from reason

    def blocks(self):
        try:
            if self.can_repeat:
                self._file.seek(self._begin)
            yield from _blocks(self._file, self.length, self._name)
        except (OSError, ValueError) as reason:
            raise refusal({self._name: "the file cannot be read: %s" % reason}) from reason


class Body:
    """A body in segments, which are bytes or blobs."""

    def __init__(self, content_type, segments):
        self.content_type = content_type
        self._segments = segments
        blobs = [each for each in segments if not isinstance(each, bytes)]
        self.can_repeat = all(blob.can_repeat for blob in blobs)
        lengths = [len(each) if isinstance(each, bytes) else each.length for each in segments]
        self.length = None if None in lengths else sum(lengths)

    def blocks(self):
        for segment in self._segments:
            if isinstance(segment, bytes):
                yield segment
            else:
                yield from segment.blocks()


EMPTY = Body(None, [])


class Given(NamedTuple):
    """The value of an input: one item, or the items of a list. An item is a JSON value or a blob.

    `kind` is the shape in the schema, or `None` for an input that the schema does not name.
    """

    name: str
    kind: Optional[str]
    is_list: bool
    items: list


def of_inputs(given):
    """Returns the body of a request with these inputs."""
    items = [item for each in given for item in each.items]
    has_files = any(is_blob(item) for item in items)
    if has_files and len(items) <= _MOST_FIELDS and all(map(_fits_a_form, given)):
        return _form(given)
    return Body("application/json", _joined(_json(given)))


def is_blob(item):
    return isinstance(item, (Blob, Path, OpenFile))


def _form(given):
    boundary = os.urandom(16).hex().encode()
    segments = []
    for each in given:
        name = each.name.replace("\\", "\\\\").replace('"', '\\"').encode()
        for item in each.items:
            segments.append(_PART % (boundary, name, _FILE if is_blob(item) else b""))
            is_text = isinstance(item, str) and each.kind != "json"
            segments.append(item if is_blob(item) else item.encode() if is_text else _dump(item))
            segments.append(b"\r\n")
    segments.append(b"--%s--\r\n" % boundary)
    return Body("multipart/form-data; boundary=" + boundary.decode(), _joined(segments))


def _fits_a_form(each):
    """Returns true if a form can carry the input; an empty list, for example, has no field."""
    if (each.is_list and not each.items) or not each.name.isprintable():
        return False
    return all(_is_field(item, each.kind) for item in each.items)


def _is_field(item, kind):
    if is_blob(item) or kind == "json":
        return True
    if isinstance(item, str):
        # In a form, the text would be the content of the file.
        return kind != "blob"
    return kind is not None and isinstance(item, (bool, int, float))


def _json(given):
    """Yields the segments of a JSON object, with files in base64."""
    before = b"{"
    for each in given:
        yield before + _dump(each.name) + b":" + (b"[" if each.is_list else b"")
        for number, item in enumerate(each.items):
            if number:
                yield b","
            if not is_blob(item):
                yield _dump(item)
            elif each.kind == "blob":
                yield b'"data:;base64,'
                yield _Base64(item)
                yield b'"'
            else:
                yield _dump(_value(each, item))
        if each.is_list:
            yield b"]"
        before = b","
    yield b"}" if given else b"{}"


def _value(each, blob):
    """Returns the content of a file as the value of an input that is not a file, such as text."""
    content = b"".join(map(bytes, blob.blocks()))
    try:
        if each.kind == "json":
            return json.loads(content)
        if each.kind is not None:
            return content.decode()
    except (ValueError, RecursionError):
        pass
    message = "this file can be sent only in a form, and a form cannot hold the other inputs"
    raise refusal({each.name: message})


class _Base64:
    """A blob in base64."""

    def __init__(self, blob):
        self._blob = blob
        self.can_repeat = blob.can_repeat
        self.length = None if blob.length is None else (blob.length + 2) // 3 * 4

    def blocks(self):
        rest = b""
        for block in self._blob.blocks():
            block = rest + bytes(block)
            whole = len(block) - len(block) % 3
            yield base64.b64encode(block[:whole])
            rest = block[whole:]
        yield base64.b64encode(rest)


def _dump(value):
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _joined(segments):
    """Yields the segments, with adjacent bytes joined."""
    joined = []
    for segment in segments:
        if isinstance(segment, bytes) and joined and isinstance(joined[-1], list):
            joined[-1].append(segment)
        else:
            joined.append([segment] if isinstance(segment, bytes) else segment)
    return [b"".join(each) if isinstance(each, list) else each for each in joined]


def _blocks(file, length, name):
    """Yields the content of a file, up to the length that it had when the request was made."""
    left = length
    while left is None or left > 0:
        block = file.read(_BLOCK if left is None else min(left, _BLOCK))
        if not isinstance(block, (bytes, bytearray)):
            raise refusal({name: "the file gave a %s, not bytes" % type(block).__name__})
        if not block:
            if left:
                raise refusal({name: "the file became shorter while it was sent"})
            return
        yield block
        left = None if left is None else left - len(block)
