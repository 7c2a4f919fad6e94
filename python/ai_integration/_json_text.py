"""Writes the usual values as JSON. `_json_values` converts the others before."""

import json
import re

_PYTHON_2 = str is bytes
# The types of text; one type in Python 3.
_TEXTS = (str, type(b"".decode("ascii")))

# The kinds of arrays whose items `tolist` converts to numbers and booleans.
_NUMBERS = ("b", "i", "u", "f", None)

# A key of JSON that both a text and another value may become.
_AMBIGUOUS_KEY = re.compile('"(?:-?[0-9][0-9.e+-]*|true|false|null)": ')


def json_of(value):
    """Returns `value` as JSON text; raises an exception if it needs `_json_values`."""
    text = json_of_plain(value)
    # Raises for half a surrogate pair. Only this process knows its place in the value.
    text.encode("utf-8")
    if _may_have_mixed_keys(value, text) and _has_mixed_keys(value):
        raise ValueError("a key may be there twice")
    return text


def _numbers(value):
    """Returns an array of numbers as a list; raises `TypeError` for anything else."""
    dtype = getattr(value, "dtype", None)
    # The dtype of a tensor has no kind.
    if dtype is not None and getattr(dtype, "kind", None) in _NUMBERS and hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError("no numbers")


def _may_have_mixed_keys(value, text):
    """Returns false if, by a glance at its JSON, no dict in a value has text keys and others."""
    if text.find("{", 1) < 0:
        # No dict is in another value. For a thousand numbers this is faster than the search below.
        if not isinstance(value, dict):
            return False
        try:
            # This takes text only.
            "".join(value)
            return False
        except TypeError:
            pass
    return _AMBIGUOUS_KEY.search(text) is not None


def _has_mixed_keys(value):
    """Returns true if a dict in `value` has text keys and others."""
    rest = [value]
    while rest:
        value = rest.pop()
        if isinstance(value, dict):
            if len({isinstance(key, _TEXTS) for key in value}) > 1:
                return True
            rest.extend(value.values())
        elif isinstance(value, (list, tuple)):
            rest.extend(value)
    return False


def _writer():
    """Returns the function that writes a value as JSON, without further checks."""
    # Made once, because `json.dumps` would make an encoder for each value.
    encode = json.JSONEncoder(default=_numbers, ensure_ascii=_PYTHON_2, allow_nan=False).encode
    make = getattr(json.encoder, "c_make_encoder", None)
    escape = getattr(json.encoder, "c_encode_basestring", None)
    if _PYTHON_2 or make is None or escape is None:
        return encode

    def write(value):
        return "".join(make({}, _numbers, escape, None, ": ", ", ", False, False, False)(value, 0))

    sample = {"text": ["\xe9", 0.5, None]}
    try:
        # `encode` calls the same function. For a small value its own steps take longer than that.
        return write if write(sample) == encode(sample) else encode
    except TypeError:
        # The function is not documented, so it may have other arguments in another Python.
        return encode


json_of_plain = _writer()
