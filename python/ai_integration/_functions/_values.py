"""The kinds of values: how an input's value becomes an argument, and a default the schema's."""

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
    """An input type and how its values come and go.

    `read` makes an argument of a value, `write` a value of the schema of what an author gives, and
    `types` are other input types that give the same to a function. `form` is the one in which a
    file is handed out.
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
        """The same for another input type; ValueError if it does not give the same."""
        own = self.properties["type"]
        fitting = [own, *(one for one in self._types if one != own)]
        if type not in fitting:
            raise ValueError(
                'type=%r does not go with it; write one of "%s"' % (type, '", "'.join(fitting))
            )
        return Kind(type, self.read, self.write, self._types, self.properties.get("as"))


class Choice(Kind):
    """One of some values, of which each has a text or number that stands for it."""

    def __init__(self, choices):
        super().__init__("choice", self._read, self._write)
        self.properties["choices"] = list(choices.values())
        self._choices = choices
        self._values = {choice: value for value, choice in choices.items()}

    def _read(self, value):
        if isinstance(value, enum.Enum) and value in self._choices:
            # A mode in Python may give the member itself.
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
    """The kind of JSON that a model of pydantic is made of, which checks it."""

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
            raise Unexpressible("%r is another one after JSON" % (value,))
        return written

    return Kind("json", read, write)


def plain_type(value):
    """The type of a value, which is that of Python for a number or a text of NumPy."""
    is_numpy = type(value).__module__ == "numpy" and getattr(value, "shape", None) == ()
    return type(value.item() if is_numpy else value)


def same(value):
    """The value as it comes."""
    return value


def to_text(value):
    """Text; numbers and booleans become theirs, as over HTTP."""
    if isinstance(value, (bool, int, float)):
        return dumps(value)
    if not isinstance(value, str):
        raise _other("text", value)
    return value


def to_integer(value):
    """An integer, which may come as a float without a fraction."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    try:
        return integer(value)
    except ValueError:
        raise _other("an integer", value)


def to_number(value):
    """A number, whole or not."""
    if plain_type(value) not in (int, float):
        raise _other("a number", value)
    return value


def to_float(value):
    """A number, which may come as an integer, as a float."""
    return float(to_number(value))


def to_boolean(value):
    """True or false."""
    try:
        return boolean(value)
    except ValueError:
        raise _other("true or false", value)


def to_bytes(value):
    """The bytes of a file."""
    data = _inputs.bytes_of(value)
    if data is None:
        raise _other("the bytes of a file", value)
    return data


def to_path(value):
    """The path of a file."""
    if not isinstance(value, os.PathLike):
        raise _other("the bytes of a file", value)
    return value


def to_decoded(value):
    """Returns an object that a file was decoded to, or that a mode in Python passes."""
    if isinstance(value, (str, bytes, int, float, list, dict)):
        raise _other("the bytes of a file", value)
    return value


def to_date(value):
    """The date of `2024-02-29`."""
    return datetime.date.fromisoformat(value) if isinstance(value, str) else value


def to_datetime(value):
    """The date and time of `2024-02-29T12:30:00Z`, with the parts that may be missing."""
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
    """An object of JSON."""
    if not isinstance(value, dict):
        raise _other("an object of JSON", value)
    return value


def to_list(value):
    """The items of a list."""
    if isinstance(value, (str, bytes, dict)) or not hasattr(value, "__iter__"):
        raise _other("a list", value)
    return value


def text(value):
    """A str for the schema."""
    if not isinstance(value, str):
        raise ValueError("%r is not a str" % (value,))
    return value


def integer(value):
    """An int for the schema."""
    try:
        if not isinstance(value, bool):
            return operator.index(value)
    except TypeError:
        pass
    raise ValueError("%r is not an int" % (value,))


def number(value):
    """A float, or an int, for the schema."""
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise ValueError("%r is not a float" % (value,))
    if not math.isfinite(value):
        raise Unexpressible("%r is no number in JSON" % (value,))
    return value


def boolean(value):
    """A bool for the schema."""
    if plain_type(value) is not bool:
        raise ValueError("%r is not a bool" % (value,))
    return bool(value)


def date(value):
    """A date for the schema."""
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value.isoformat()
    return _parsed(value, to_date, "a date")


def date_and_time(value):
    """A date and time for the schema."""
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    return _parsed(value, to_datetime, "a datetime")


def json(value):
    """A value of JSON for the schema."""
    try:
        return loads(_results.encode_json(value))
    except _results.Unsendable as reason:
        raise Unexpressible(str(reason))


def file(value):
    """The base64 of bytes, of a file by its path, or of a picture; text is that already."""
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
