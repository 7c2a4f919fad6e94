"""Converts the values of inputs to arguments, and defaults to values of the schema."""

import base64
import datetime
import enum
import io
import math
import operator
import os
import pathlib
import re
from json import dumps, loads

from .. import _inputs, _results

_TIME = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)[T ](?P<minutes>\d\d:\d\d)"
    r"(?::(?P<seconds>\d\d)(?:\.(?P<fraction>\d+))?)?(?P<offset>Z|[+-]\d\d:\d\d)?"
)


class Unexpressible(ValueError):
    """A valid value that JSON cannot represent."""


class Kind:
    """An input type, with its conversions.

    `read` converts the value of an input to an argument, and `write` converts an author's value to
    one of the schema. `types` are other input types with the same arguments. `form` is the property
    `as` of a file.
    """

    def __init__(self, type, read, write, types=(), form=None):
        self.properties = {"type": type} if form is None else {"type": type, "as": form}
        self.read = read
        self.write = write
        self._types = types

    @property
    def is_file(self):
        """Returns true if the values are files."""
        return self.properties["type"] in ("file", "image", "audio", "video")

    def of_type(self, type):
        """Returns this kind with another input type; ValueError if its arguments differ."""
        own = self.properties["type"]
        fitting = [own, *(one for one in self._types if one != own)]
        if type not in fitting:
            raise ValueError(
                'type=%r does not fit the annotation; write one of "%s"'
                % (type, '", "'.join(fitting))
            )
        return Kind(type, self.read, self.write, self._types, self.properties.get("as"))


class Choice(Kind):
    """A choice of values; a request names each by a text or a number."""

    def __init__(self, choices):
        super().__init__("choice", self._read, self._write)
        self.properties["choices"] = list(choices.values())
        self._choices = choices
        self._values = {choice: value for value, choice in choices.items()}

    def _read(self, value):
        if isinstance(value, enum.Enum) and value in self._choices:
            # A custom mode may pass the member itself.
            return value
        if value not in self._values:
            raise ValueError("expected one of %s, got %r" % (_listed(self._values), value))
        return self._values[value]

    def _write(self, value):
        if value in self._choices:
            return self._choices[value]
        if value in self._values:
            return value
        raise ValueError("%r is not one of %s" % (value, _listed(self._values)))


def of_pydantic(model):
    """Returns the kind of JSON for a model of pydantic, which checks the value."""

    def read(value):
        try:
            return model.model_validate(value)
        except ValueError as reason:
            errors = getattr(reason, "errors", None)
            if errors is None:
                raise
            faults = ((".".join(map(str, one["loc"])), one["msg"]) for one in errors())
            raise ValueError("; ".join(": ".join(filter(None, fault)) for fault in faults))

    def write(value):
        given = read(value)
        try:
            written = given.model_dump(mode="json", by_alias=True)
            is_kept = read(written) == given
        except ValueError as reason:
            raise Unexpressible(str(reason))
        if not is_kept:
            raise Unexpressible("%r changes if it is written as JSON" % (value,))
        return written

    return Kind("json", read, write)


def plain_type(value):
    """Returns the type of a value; for a scalar of NumPy, the matching type of Python."""
    is_numpy = type(value).__module__ == "numpy" and getattr(value, "shape", None) == ()
    return type(value.item() if is_numpy else value)


def same(value):
    """Returns the value unchanged."""
    return value


def to_text(value):
    """Returns text; writes numbers and booleans as JSON, as over HTTP."""
    if isinstance(value, (bool, int, float)):
        return dumps(value)
    if not isinstance(value, str):
        raise _other("text", value)
    return value


def to_integer(value):
    """Returns an integer, also for a float without a fraction."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    try:
        return integer(value)
    except ValueError:
        raise _other("an integer", value)


def to_number(value):
    """Returns a number: an integer or a float."""
    if plain_type(value) not in (int, float):
        raise _other("a number", value)
    return value


def to_float(value):
    """Returns a number as a float."""
    return float(to_number(value))


def to_boolean(value):
    """Returns a boolean."""
    try:
        return boolean(value)
    except ValueError:
        raise _other("true or false", value)


def to_bytes(value):
    """Returns the bytes of a file."""
    data = _inputs.bytes_of(value)
    if data is None:
        raise _other("the bytes of a file", value)
    return data


def to_path(value):
    """Returns the path of a file."""
    if not isinstance(value, os.PathLike):
        raise _other("the bytes of a file", value)
    return value


def to_decoded(value):
    """Returns the object that a file was decoded to, or that a custom mode passes."""
    if isinstance(value, (str, bytes, int, float, list, dict)):
        raise _other("the bytes of a file", value)
    return value


def to_date(value):
    """Returns the date for text such as `2024-02-29`."""
    return datetime.date.fromisoformat(value) if isinstance(value, str) else value


def to_datetime(value):
    """Returns the date and time for `2024-02-29T12:30:00Z`; seconds and offset may be missing."""
    if not isinstance(value, str):
        return value
    found = _TIME.fullmatch(value)
    if found is None:
        raise ValueError("%r is no date and time such as 2024-02-29T12:30:00Z" % value)
    parts = found.groupdict(default="")
    offset = "+00:00" if parts["offset"] == "Z" else parts["offset"]
    time = "%s:%s.%s" % (
        parts["minutes"],
        parts["seconds"] or "00",
        parts["fraction"].ljust(6, "0")[:6],
    )
    return datetime.datetime.fromisoformat(parts["date"] + "T" + time + offset)


def to_dict(value):
    """Returns a JSON object."""
    if not isinstance(value, dict):
        raise _other("an object of JSON", value)
    return value


def to_list(value):
    """Returns the items of a list."""
    if isinstance(value, (str, bytes, dict)) or not hasattr(value, "__iter__"):
        raise _other("a list", value)
    return value


def text(value):
    """Returns a str for the schema."""
    if not isinstance(value, str):
        raise ValueError("%r is not a str" % (value,))
    return value


def integer(value):
    """Returns an int for the schema."""
    try:
        if not isinstance(value, bool):
            return operator.index(value)
    except TypeError:
        pass
    raise ValueError("%r is not an int" % (value,))


def number(value):
    """Returns a float or an int for the schema."""
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise ValueError("%r is not a float" % (value,))
    if not math.isfinite(value):
        raise Unexpressible("%r is no number in JSON" % (value,))
    return value


def boolean(value):
    """Returns a bool for the schema."""
    if plain_type(value) is not bool:
        raise ValueError("%r is not a bool" % (value,))
    return bool(value)


def date(value):
    """Returns a date for the schema, as text."""
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value.isoformat()
    return _parsed(value, to_date, "a date")


def date_and_time(value):
    """Returns a date and time for the schema, as text."""
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    return _parsed(value, to_datetime, "a datetime")


def json(value):
    """Returns a JSON value for the schema."""
    try:
        return loads(_results.encode_json(value))
    except _results.Unsendable as reason:
        raise Unexpressible(str(reason))


def file(value):
    """Returns bytes, a file at a path, or a picture as base64; text may already be base64."""
    if isinstance(value, str) and not os.path.isfile(value):
        try:
            _inputs.bytes_of(value)
        except ValueError:
            raise ValueError("%.200r is neither a file nor the base64 of one" % value)
        return value
    if isinstance(value, (str, pathlib.Path)):
        try:
            value = pathlib.Path(value).read_bytes()
        except OSError as reason:
            raise ValueError("it cannot be read: %s" % reason)
    elif callable(getattr(value, "save", None)):
        encoded = io.BytesIO()
        value.save(encoded, "PNG")
        value = encoded.getvalue()
    if not isinstance(value, bytes):
        raise ValueError("%s is not bytes, a pathlib.Path or a PIL image" % type(value).__name__)
    return base64.b64encode(value).decode("ascii")


def _other(expected, value):
    return ValueError("expected %s, got %s" % (expected, type(value).__name__))


def _parsed(value, read, what):
    try:
        if isinstance(value, str):
            read(value)
            return value
    except ValueError:
        pass
    raise ValueError("%r is not %s" % (value, what))


def _listed(values):
    return ", ".join(map(str, values))
