"""Converts inputs to the form in the schema's property `as` before the model gets them.

The engine sends files as bytes. If a file cannot be decoded, the request is refused in the client's
terms, and the model never gets it.
"""

import base64
import re
import sys
import traceback

from . import _results
from ._undecodable import FURTHER, MOST_NAMED, Undecodable

# The types of inputs that have each form.
_TYPES = {
    "numpy": ("audio", "image"),
    "path": ("audio", "file", "image", "video"),
    "pil": ("image",),
}
# The maximum size of all decoded files of a request together, in bytes: small files can become
# large.
_MOST_BYTES = 2 << 30

_DATA_URL = re.compile(r"data:[^,]{0,1000};base64,")
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}$")


def decoder(inputs_schema):
    """Returns the `Decoder` of a schema, or `None` if all its files are bytes.

    Raises `ImportError` if a library is missing. Mistakes in the schema are ignored here, because
    the engine warns of them.
    """
    entries = {
        name: entry
        for name, entry in inputs_schema.items()
        if isinstance(entry, dict) and _form(entry) is not None
    }
    return Decoder(entries) if entries else None


def bytes_of(value):
    """Returns a file as bytes, from bytes or base64; `None` if the value is neither."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, (bytearray, memoryview)):
        return bytes(bytearray(value))
    if not isinstance(value, _results.TEXT):
        return None
    begin = _DATA_URL.match(value)
    text = "".join((value[begin.end() :] if begin else value).split())
    if len(text) % 4 or not _BASE64.match(text):
        raise Undecodable("expected a file's bytes, base64 or a data: URL, got other text")
    return base64.b64decode(text)


class Decoder(object):
    """Converts the inputs of requests, and removes the files that it wrote for them."""

    def __init__(self, entries):
        self._makers = {name: _maker(name, entry) for name, entry in entries.items()}
        # The folders of files, one for each request that is open.
        self._folders = []

    def separate(self):
        """Returns a decoder that releases the files of other requests."""
        other = Decoder({})
        other._makers = self._makers
        return other

    def admitted(self, jobs):
        """Returns the jobs whose inputs could be converted; fails the others."""
        return [job for job in jobs if self._read(job)]

    def release(self):
        """Removes the files of the requests that were open."""
        while self._folders:
            self._folders.pop().remove()

    def _read(self, job):
        if not isinstance(job.inputs, dict):
            return True
        reading = _Reading()
        try:
            # A copy, because the dict of a custom mode belongs to the mode.
            job.inputs = inputs = dict(job.inputs)
            for name, make in self._makers.items():
                if inputs.get(name) is not None:
                    inputs[name] = reading.read(name, inputs[name], make)
        except BaseException as reason:
            # The input is not the cause: the memory or the disk is full, for example.
            reading.folder.remove()
            job.answered = True
            job.answer(_results.failure(_results.formatted(*sys.exc_info())))
            if not isinstance(reason, Exception):
                raise
            traceback.print_exc()
            return False
        if not reading.refused:
            self._folders.append(reading.folder)
            return True
        reading.folder.remove()
        job.answered = True
        job.refuse(reading.refused)
        return False


class _Reading(object):
    """The reading of one request's files."""

    def __init__(self):
        from . import _input_files

        self.folder = _input_files.Folder()
        # The inputs that do not fit: pairs of a name and what is wrong.
        self.refused = []
        self._room = _MOST_BYTES

    def read(self, name, value, make):
        """Returns an input converted by `make`; adds to `refused` if it cannot be converted."""
        if not isinstance(value, (list, tuple)):
            return self._read_one(name, value, make)
        items = []
        for index, item in enumerate(value):
            if len(self.refused) >= MOST_NAMED:
                self.refused.append((name, FURTHER))
                break
            items.append(self._read_one("%s[%d]" % (name, index), item, make))
        return items

    def _read_one(self, place, value, make):
        try:
            data = bytes_of(value)
            if data is None:
                # A custom mode may pass a decoded picture.
                return value
            made = make(data, self.folder) if self._room >= 0 else None
            self._room -= _size(made)
            if self._room < 0:
                raise Undecodable(
                    "expected files that are decoded to at most %d bytes together, got more"
                    % _MOST_BYTES
                )
            return made
        except Undecodable as reason:
            self.refused.append((place, "%s" % reason))
            return None


def _form(entry):
    """Returns the form that an input's properties ask for, or `None` for bytes."""
    form = entry.get("as")
    types = _TYPES.get(form, ()) if isinstance(form, (str, _results.TEXT)) else ()
    return form if entry.get("type") in types and not entry.get("choices") else None


def _maker(name, entry):
    """Returns the function that converts an input's bytes; it also gets a folder for files."""
    form, kind = _form(entry), entry["type"]
    try:
        if form == "path":
            from . import _input_files

            return _input_files.maker(name, entry.get("formats"))
        if kind == "audio":
            from . import _input_sounds

            _input_sounds.check()
            return lambda data, folder: _input_sounds.decode(data)
        from . import _input_pictures

        _input_pictures.check(form)
        make = _input_pictures.open_image if form == "pil" else _input_pictures.to_array
        return lambda data, folder: make(data)
    except ImportError as reason:
        raise ImportError('inputs_schema asks for the input %r as "%s": %s' % (name, form, reason))


def _size(made):
    """Returns the bytes that a picture, an array or a sound takes in memory; a path takes none."""
    if isinstance(made, tuple):
        made = made[1]
    if hasattr(made, "nbytes"):
        return made.nbytes
    width, height = getattr(made, "size", (0, 0))
    return width * height * 4
