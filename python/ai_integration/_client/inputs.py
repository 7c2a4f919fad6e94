"""Checks the values that a caller gives against the inputs schema of the server.

The shape of an input decides how its value is sent. A value that cannot be sent is refused here,
with the name of its input. Only the server checks the limits of the schema.
"""

import difflib
import os

from .. import _json_values, _pictures, _sounds
from .._unsendable import Unsendable
from . import body
from .errors import refusal

_FILES = "bytes, a pathlib.Path or a file that is open in binary"
# The formats for a picture object; the first one that the schema lists is used.
_WRITTEN = ("png", "webp", "jpeg", "tiff", "bmp", "gif", "avif")


class Schema:
    """The inputs of a model as the server describes them."""

    def __init__(self, answer):
        self.inputs = answer["inputs_schema"] or {}
        self.fields = {field["name"]: field for field in answer["inputs"]}

    def unknown(self, values):
        """Returns a message for each name that the schema does not have, with the nearest name."""
        if not self.fields:
            return {}
        refused = {}
        for name in values:
            if name not in self.fields:
                near = difflib.get_close_matches(name, self.fields, 1, 0.5)
                known = ", ".join(self.fields)
                way_out = "did you mean %r?" % near[0] if near else "there are: %s" % known
                refused[name] = "no such input; %s" % way_out
        return refused

    def body(self, values):
        """Returns the body of a request with these values."""
        given, refused = [], {}
        for name, value in values.items():
            field = self.fields.get(name, {"shape": {"kind": None}})
            try:
                each = _given(name, field, value, refused)
            except (_Refused, _json_values.Unexpressible, Unsendable) as reason:
                refused[name] = str(reason)
                continue
            if each is not None:
                given.append(each)
        if refused:
            raise refusal(refused)
        return body.of_inputs(given)


class _Refused(Exception):
    """Says why a value cannot be sent."""


def _given(name, field, value, refused):
    """Returns the value of one input, or `None` to leave the input out."""
    kind = field["shape"]["kind"]
    if value is None and (kind != "json" or field.get("list")):
        return None
    if not field.get("list"):
        return body.Given(name, kind, False, [_item(name, field, value)])
    items = []
    for number, each in enumerate(_members(value)):
        place = "%s[%d]" % (name, number)
        try:
            items.append(_item(place, field, each))
        except (_Refused, _json_values.Unexpressible, Unsendable) as reason:
            refused[place] = str(reason)
    return body.Given(name, kind, True, items)


def _members(value):
    """Returns the items of a list."""
    is_one = isinstance(value, (str, bytes, bytearray, memoryview, os.PathLike, dict))
    if is_one or _pictures.is_picture(value) or hasattr(value, "read"):
        raise _Refused("expected a list; a list of one is [value]")
    try:
        return list(value)
    except TypeError:
        raise _Refused("expected a list, got a %s" % type(value).__name__) from None


def _item(place, field, value):
    """Returns one value: a JSON value or a blob."""
    kind = field["shape"]["kind"]
    if isinstance(value, (bytes, bytearray, memoryview)):
        return body.Blob(value if isinstance(value, bytes) else memoryview(value).tobytes())
    if isinstance(value, os.PathLike):
        return body.Path(place, os.fspath(value))
    if hasattr(value, "read"):
        return body.OpenFile(place, value)
    if kind == "blob" or (kind is None and _pictures.is_picture(value)):
        return _blob(field, value)
    plain = _json_values.plain(value)
    if kind == "text" and not isinstance(plain, (str, type(None))):
        return _as_text(plain)
    return plain


def _as_text(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    raise _Refused("expected text, got a %s" % type(value).__name__)


def _blob(field, value):
    """Returns the file that an object is encoded to, or the URL of a file."""
    media = field["shape"].get("media", "image/*")
    if isinstance(value, str):
        if value.startswith(("data:", "http://", "https://")):
            return value
        raise _Refused(
            "expected a file, got text; pathlib.Path(…) sends the file of that name, and bytes are"
            " sent as they are"
        )
    is_sound = isinstance(value, (tuple, list)) and len(value) == 2
    if media in ("audio/*", "*/*") and is_sound:
        return body.Blob(_sounds.encode(value))
    is_picture = _pictures.is_picture(value) or hasattr(value, "__array__")
    if media in ("image/*", "*/*") and (is_picture or _pictures.figure_of(value) is not None):
        return body.Blob(_pictures.encode(value, "image/" + _format(field)))
    kinds = {"image/*": ", a PIL picture or an array of pixels", "audio/*": " or (rate, array)"}
    message = "expected %s%s, got a %s"
    raise _Refused(message % (_FILES, kinds.get(media, ""), type(value).__name__))


def _format(field):
    listed = field.get("accept", "")
    known = [name for name in _WRITTEN if "image/" + name in listed.split(",")]
    return known[0] if known else "png"
