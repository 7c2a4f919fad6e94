"""Converts the values of a JSON result that `json` cannot write.

They get the form that FastAPI gives them, if it has one (docs/results.md has the table). The error
for any other value names its place in the result and a call that helps. Types of other packages
are recognised by their attributes, or by their module if the program has loaded it. Nothing is
imported for them.
"""

import itertools
import os
import sys

from ._unsendable import shown

# The abstract containers, which `os` has loaded, under their names in Python 3 and 2.
_abc = sys.modules.get("_collections_abc") or sys.modules["_abcoll"]

_TEXT = type(b"".decode("ascii"))
_INTEGERS = (int, type(sys.maxsize + 1))

# The maximum depth of containers, and the maximum number of items of an iterator, which may be
# endless.
_DEEPEST = 200
_LONGEST = 1000000
# The maximum number of digits of a `Decimal` that is written as an integer: Python's default.
_MOST_DIGITS = 4300
_LONGEST_PLACE = 200

try:
    _TooDeep = RecursionError
except NameError:
    # Python 2 raises this class.
    _TooDeep = RuntimeError

_KEYS = "a key is text, a number, a date, an Enum, a UUID, True, False or None"


class Unexpressible(Exception):
    """Says which part of a value JSON cannot express, and what to do."""


def plain(value):
    """Returns `value` converted to types that `json` writes; raises `Unexpressible`."""
    walk = _Walk()
    try:
        return walk.plain(value)
    except _TooDeep as reason:
        # Python's own limit is reached first if the program itself is deep in calls.
        raise walk.refusal("is nested too deeply", str(reason))


def hint(value):
    """Returns the advice at the end of an error: a call that makes `value` sendable."""
    for belongs, words in _HINTS:
        if belongs(value):
            return words
    return "give a dict, a list, text or a number made of it"


class _Walk(object):
    """Walks through a value, and knows its current place in it."""

    def __init__(self):
        # The keys, as text, and indexes that lead here.
        self._place = []
        # The ids of the containers around this place.
        self._around = set()
        # The conversion for each class that was seen.
        self._forms = {}
        self._has_nan_as_null = os.environ.get("AI_INTEGRATION_NAN") == "null"

    def plain(self, value):
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, (str, _TEXT)):
            return self._encodable(value)
        if isinstance(value, float):
            return self._finite(value)
        if isinstance(value, _INTEGERS):
            return self._written(value)
        if _is_missing(value):
            return None
        if id(value) in self._around:
            raise self.refusal("contains itself", "a result is a tree without circles")
        if len(self._around) >= _DEEPEST:
            raise self.refusal("is nested too deeply", "%d levels can be sent" % _DEEPEST)
        self._around.add(id(value))
        depth = len(self._place)
        try:
            if isinstance(value, dict):
                return self._dict(value)
            if isinstance(value, (list, tuple)):
                return self._list(value)
            return self.plain(self._simpler(value))
        except (Unexpressible, _TooDeep):
            raise
        except Exception as reason:
            # Its iteration failed, for example because a thread changed a dict meanwhile.
            del self._place[depth:]
            raise self._unreadable(value, reason)
        finally:
            self._around.discard(id(value))

    def _encodable(self, text):
        try:
            text.encode("utf-8")
        except UnicodeError as reason:
            raise self.refusal(
                "is text that cannot be written as UTF-8",
                "call .encode('utf-8', 'replace').decode(): %s" % reason,
            )
        return text

    def _finite(self, number):
        if number - number == 0:
            return number
        if self._has_nan_as_null:
            return None
        raise self.refusal(
            "is %s" % ("NaN" if number != number else "-Infinity" if number < 0 else "Infinity"),
            "JSON has no NaN and no Infinity: replace it (numpy.nan_to_num, .fillna), or set"
            " AI_INTEGRATION_NAN=null to send null",
        )

    def _written(self, number):
        try:
            # Python limits the digits that it writes.
            repr(number)
        except ValueError as reason:
            raise self.refusal("is an integer that cannot be written", str(reason))
        return number

    def _list(self, values):
        made = []
        self._place.append(0)
        for index, value in enumerate(values):
            self._place[-1] = index
            made.append(self.plain(value))
        self._place.pop()
        return made

    def _dict(self, values):
        made = {}
        for key, value in values.items():
            name = self._key(key)
            if name in made:
                raise self.refusal("has two keys that JSON writes as %r" % name, "rename one")
            self._place.append(name)
            made[name] = self.plain(value)
            self._place.pop()
        return made

    def _key(self, key):
        """Returns the text of a key, as `json` writes the keys that it accepts."""
        why = "is " + _kind(key)
        # An error about a key names the place of its dict.
        place, self._place = self._place, []
        try:
            name = self.plain(key)
        except Unexpressible as reason:
            name = ()
            if str(reason).startswith("it "):
                why = str(reason)[len("it ") :]
        finally:
            self._place = place
        if isinstance(name, (str, _TEXT)):
            return name
        if name is None or name is True or name is False:
            return {None: "null", True: "true", False: "false"}[name]
        if isinstance(name, float):
            return float.__repr__(name)
        if isinstance(name, _INTEGERS):
            return "%d" % name
        raise self.refusal("has the key %s, which %s" % (shown(key), why), _KEYS)

    def _simpler(self, value):
        """Converts a value one step closer to the types of JSON."""
        kind = type(value)
        if kind not in self._forms:
            found = (simpler for belongs, simpler in _FORMS if belongs(value))
            self._forms[kind] = next(found, _never)
        try:
            return self._forms[kind](value)
        except Unexpressible as reason:
            raise self.refusal(str(reason), hint(value))
        except Exception as reason:
            raise self._unreadable(value, reason)

    def _unreadable(self, value, reason):
        return self.refusal(
            "is %s, which could not be read" % _kind(value),
            "%s: %s" % (type(reason).__name__, reason),
        )

    def refusal(self, what, way_out):
        place = ""
        for step in self._place:
            if isinstance(step, int):
                place += "[%d]" % step
            elif _is_name(step):
                place += "." + step if place else step
            else:
                place += "[%s]" % repr(step).lstrip("u")
        if len(place) > _LONGEST_PLACE:
            place = "%s[...]%s" % (place[: _LONGEST_PLACE // 2], place[-_LONGEST_PLACE // 2 :])
        return Unexpressible("%s %s; %s" % (place or "it", what, way_out))


def _is_name(text):
    return text.replace("_", "a").isalnum() and not text[0].isdigit()


def _kind(value):
    return "an object of type " + type(value).__name__


def _loaded(module, *names):
    """Returns true if a value is of one of these classes; does not load their module."""

    def belongs(value):
        classes = [getattr(sys.modules.get(module), name, None) for name in names]
        return isinstance(value, tuple(one for one in classes if isinstance(one, type)))

    return belongs


def _having(*names):
    """Returns true if a value's class has all of these attributes."""
    return lambda value: all(hasattr(type(value), name) for name in names)


def _is_missing(value):
    pandas = sys.modules.get("pandas")
    return pandas is not None and any(
        value is getattr(pandas, name, pandas) for name in ("NA", "NaT")
    )


def _is_raw(value):
    return isinstance(value, (bytes, bytearray, memoryview))


def _is_iterable(value):
    if isinstance(value, (_abc.Sequence, _abc.KeysView, _abc.ItemsView, _abc.ValuesView)):
        return True
    return _loaded("collections", "deque")(value) or _is_iterator(value)


def _is_iterator(value):
    return _having("__next__")(value) or _having("__iter__", "next")(value)


def _never(value):
    raise Unexpressible("is %s" % _kind(value))


def _decimal(number):
    # As FastAPI does: an integer if the number has no fraction digits, else the nearest float.
    digits, exponent = number.as_tuple()[1:]
    if not isinstance(exponent, int):
        return float("inf" if number.is_infinite() else "nan") * (-1 if number.is_signed() else 1)
    if exponent < 0:
        return float(number)
    if len(digits) + exponent > _MOST_DIGITS:
        raise Unexpressible("is a Decimal of more than %d digits" % _MOST_DIGITS)
    return int(number)


def _fields(value):
    return {field.name: getattr(value, field.name) for field in type(value).__attrs_attrs__}


def _dataclass(value):
    fields = sys.modules["dataclasses"].fields(value)
    return {field.name: getattr(value, field.name) for field in fields}


def _pydantic(model):
    try:
        return model.model_dump(mode="json", by_alias=True)
    except Exception:
        # A field may have a type that pydantic does not write, such as an array.
        return model.model_dump(by_alias=True)


def _pydantic_1(model):
    import json

    return json.loads(model.json(by_alias=True))


def _frame(frame):
    if not frame.columns.is_unique:
        raise Unexpressible("is a DataFrame in which two columns have the same name: rename one")
    return frame.to_dict("records")


def _numpy(value):
    numpy = sys.modules["numpy"]
    kind = value.dtype.kind
    if value.dtype.names:
        if value.shape:
            return list(value)
        return {name: value[name] for name in value.dtype.names}
    if kind in "mM" and hasattr(value, "filled"):
        value = value.filled(value.dtype.type("NaT"))
    if kind == "M":
        return _without_missing(numpy.datetime_as_string(value).tolist(), "NaT")
    if kind == "m":
        if numpy.datetime_data(value.dtype)[0] == "generic" and not numpy.isnat(value).all():
            raise Unexpressible("is a timedelta64 without a unit")
        seconds = numpy.where(numpy.isnat(value), None, value / numpy.timedelta64(1, "s"))
        return seconds.tolist()
    made = value.tolist()
    # `tolist` does not convert a float of more than 64 bits.
    return float(made) if isinstance(made, numpy.floating) else made


def _without_missing(values, mark):
    if isinstance(values, list):
        return [_without_missing(value, mark) for value in values]
    return None if values == mark else values


def _ordered(values):
    try:
        return sorted(values)
    except Exception:
        return list(values)


def _read(value):
    made = list(itertools.islice(value, _LONGEST + 1))
    if len(made) > _LONGEST:
        raise Unexpressible("is %s with more than %d items" % (_kind(value), _LONGEST))
    return made


# The first entry that fits a value is used.
_FORMS = (
    (_is_raw, _never),
    (_loaded("enum", "Enum"), lambda value: value.value),
    (_having("__dataclass_fields__"), _dataclass),
    (_having("__attrs_attrs__"), _fields),
    (_having("model_dump"), _pydantic),
    (_having("__fields__", "json"), _pydantic_1),
    (_loaded("datetime", "timedelta"), lambda value: value.total_seconds()),
    (_having("isoformat"), lambda value: value.isoformat()),
    (_loaded("decimal", "Decimal"), _decimal),
    # It must come before the sequences, because each of its characters is a `UserString` again.
    (_loaded("collections", "UserString"), str),
    (_loaded("uuid", "UUID"), str),
    (_loaded("ipaddress", "IPv4Address", "IPv6Address", "IPv4Network", "IPv6Network"), str),
    (_having("__fspath__"), lambda value: value.__fspath__()),
    (_loaded("numpy", "ndarray", "generic"), _numpy),
    (_loaded("pandas", "DataFrame"), _frame),
    (_having("tolist"), lambda value: value.tolist()),
    (_having("item"), lambda value: value.item()),
    (_having("numpy"), lambda value: value.numpy()),
    # The types of polars.
    (_having("to_dicts"), lambda value: value.to_dicts()),
    (_having("to_list"), lambda value: value.to_list()),
    (_having("read"), _never),
    (lambda value: isinstance(value, _abc.Mapping), dict),
    (lambda value: isinstance(value, _abc.Set), _ordered),
    (_is_iterable, _read),
)

# The advice for values that are refused, here or because of their content type.
_HINTS = (
    (lambda value: isinstance(value, (dict, list, tuple)), "send it under application/json"),
    (_is_raw, "base64.b64encode(value).decode() converts bytes to text"),
    (
        lambda value: hasattr(type(value), "save") and hasattr(value, "mode"),
        "a picture goes alone under image/png; inside JSON, call .save(buffer, format='PNG') with"
        " buffer = io.BytesIO(), and base64.b64encode(buffer.getvalue()).decode()",
    ),
    (
        _having("savefig"),
        "call .savefig(buffer, format='png') with buffer = io.BytesIO(), and send"
        " buffer.getvalue() under image/png",
    ),
    (
        _having("get_figure"),
        "call .get_figure().savefig(buffer, format='png') with buffer = io.BytesIO(), and send"
        " buffer.getvalue() under image/png",
    ),
    (_having("read"), "call .read()"),
    (_loaded("pandas", "DataFrame"), "call .to_dict('records') or .to_csv()"),
    (
        lambda value: getattr(getattr(value, "dtype", None), "kind", None) == "m",
        "give it a unit of time, as .astype('m8[s]') does",
    ),
    (
        _having("tolist"),
        "call .tolist(), or PIL.Image.fromarray(array) for a picture; for complex numbers give"
        " .real and .imag",
    ),
    (_having("isoformat"), "call .isoformat()"),
    (lambda value: isinstance(value, complex), "give .real and .imag, or abs(value)"),
    (_having("__float__"), "call float(value) or str(value)"),
    (lambda value: isinstance(value, BaseException), "call str(value), or raise it"),
    (_having("__await__"), "await it, or call asyncio.run(value)"),
    (lambda value: isinstance(value, type) or callable(value), "call it, and give what it returns"),
    (_is_iterator, "give a list of what it yields"),
    (lambda value: hasattr(value, "__dict__"), "give a dict of its attributes, as vars(value) is"),
)
