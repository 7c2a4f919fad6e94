"""Converts results for callers: JSON to values, text to `str`, anything else to a `File`."""

import codecs
import email.message
import json
import pathlib
import re

from .errors import ClientError

# The content types whose lines are values.
_LINES = frozenset(
    "application/" + name
    for name in ("x-ndjson", "ndjson", "jsonl", "x-jsonl", "jsonlines", "stream+json")
)
_MIXED = "multipart/mixed"


class File(bytes):
    """The bytes of a result that is neither JSON nor text, with their `content_type`.

    `name` is the file name that the server gives, for example to each file of a list, or None.
    """

    def __new__(cls, content, content_type="application/octet-stream", name=None):
        self = super().__new__(cls, content)
        self.content_type = content_type
        self.name = name
        return self

    def __getnewargs__(self):
        return bytes(self), self.content_type, self.name

    def __repr__(self):
        return "File(%s, %d bytes)" % (self.content_type, len(self))

    def save(self, path):
        """Writes the bytes to a file, and returns its path."""
        path = pathlib.Path(path)
        path.write_bytes(self)
        return path

    def pil(self):
        """Returns the picture as a Pillow image, as a model gets it with `"as": "pil"`."""
        from .. import _input_pictures

        _input_pictures.check("pil")
        return _input_pictures.open_image(self)

    def numpy(self):
        """Returns the pixels of a picture as an array, or `(rate, array)` of a sound."""
        from .. import _input_pictures, _input_sounds

        kind = media_type(self.content_type)
        if kind.startswith("image/"):
            _input_pictures.check("numpy")
            return _input_pictures.to_array(self)
        if kind.startswith("audio/"):
            return _input_sounds.decode(self)
        raise TypeError("a file of type %s is neither a picture nor a sound" % kind)


def value_of(content_type, body):
    """Returns the value of a whole result."""
    kind = media_type(content_type)
    if kind in _LINES:
        return [_parsed(line) for line in body.split(b"\n") if line.strip()]
    if is_json(kind):
        return _parsed(body)
    if kind.startswith("text/"):
        try:
            return body.decode(_charset(content_type))
        except (LookupError, UnicodeError):
            # Without a known encoding, the bytes are the value.
            return File(body, content_type)
    if kind == _MIXED:
        return _members(content_type, body)
    return File(body, content_type)


def value_of_urls(content_type, urls):
    """Returns the files of a list that came as `data:` URLs."""
    import base64

    return [File(base64.b64decode(url.partition(",")[2]), content_type) for url in urls]


class Chunks:
    """Converts the chunks of a result for the caller.

    Text becomes `str`, lines of JSON become values, and anything else stays bytes.
    """

    def __init__(self, content_type, most):
        kind = media_type(content_type or "")
        self._is_lines = kind in _LINES
        self._most = most
        self._rest = ""
        self._decoder = None
        if self._is_lines or is_json(kind):
            self._decoder = codecs.getincrementaldecoder("utf-8")()
        elif kind.startswith("text/"):
            try:
                self._decoder = codecs.getincrementaldecoder(_charset(content_type))()
            except LookupError:
                # Without a known encoding, the bytes are the value.
                pass

    def values_of(self, chunk, is_last=False):
        """Returns the values that a chunk completes."""
        try:
            if self._decoder is not None and isinstance(chunk, bytes):
                chunk = self._decoder.decode(chunk, is_last)
        except UnicodeError as reason:
            raise _broken("its text is not in its encoding: %s" % reason) from reason
        if not self._is_lines:
            return [chunk] if chunk else []
        *lines, self._rest = (self._rest + chunk).split("\n")
        if len(self._rest) > self._most:
            raise _broken("a line of it has more than %d characters" % self._most)
        if is_last:
            lines, self._rest = [*lines, self._rest], ""
        return [_parsed(line) for line in lines if line.strip()]


def media_type(content_type):
    return content_type.split(";")[0].strip().lower()


def is_json(kind):
    return kind in ("application/json", "text/json") or kind.endswith("+json")


def _parsed(text):
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as reason:
        raise _broken("it is not JSON, although its content type says so: %s" % reason) from reason


def _broken(why):
    return ClientError("the result cannot be read: %s" % why, "broken_answer")


def _charset(content_type):
    head = email.message.Message()
    head["Content-Type"] = content_type
    return str(head.get_param("charset") or "utf-8")


def _members(content_type, body):
    """Returns the files of a list (RFC 2046, section 5.1.1)."""
    found = re.search(r'boundary="?([^";]+)', content_type)
    if found is None:
        return File(body, content_type)
    delimiter = b"\r\n--" + found.group(1).strip().encode("latin-1")
    _, *parts = (b"\r\n" + body).split(delimiter)
    if not parts or not parts[-1].startswith(b"--"):
        raise _broken("its last part is missing")
    files = []
    for part in parts[:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        fields = email.message_from_bytes(head.lstrip())
        kind = fields.get("Content-Type") or "application/octet-stream"
        files.append(File(content, kind, fields.get_filename()))
    return files
