"""Reads the content type and the schema of a result from the annotation of a function."""

import collections
import collections.abc
import enum
import inspect
import os
import typing
import warnings

from .. import _results
from . import _annotations, _signature

# The engine accepts a schema of this length as JSON.
_LONGEST = 100000
# The deepest nesting of dicts and lists in a schema. The engine accepts some more.
_DEEPEST = 40

_STREAMS = (
    collections.abc.Iterator,
    collections.abc.Generator,
    collections.abc.AsyncIterator,
    collections.abc.AsyncGenerator,
)
_ARRAYS = (list, tuple, set, frozenset, collections.deque)
_MAPPINGS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_PICTURES = ("PIL.Image.Image", "matplotlib.figure.Figure")
_TEXT = {"type": "string"}
_NUMBER = {"type": "number"}
# By the names of the classes, because some of their modules take long to load.
_SCALARS = {
    "builtins.bool": {"type": "boolean"},
    "builtins.float": _NUMBER,
    "builtins.int": {"type": "integer"},
    "datetime.date": {"type": "string", "format": "date"},
    "datetime.datetime": _TEXT,
    "datetime.time": _TEXT,
    "datetime.timedelta": _NUMBER,
    "decimal.Decimal": _NUMBER,
    "ipaddress.IPv4Address": _TEXT,
    "ipaddress.IPv6Address": _TEXT,
    "uuid.UUID": {"type": "string", "format": "uuid"},
}
# The scalars that may be NaN.
_FLOATS = ("builtins.float", "decimal.Decimal")
_TYPES = {"array", "boolean", "integer", "null", "number", "object", "string"}
# An object with one of these is sent as a file, as a stream or as a picture.
_OTHER_FORMS = ("read", "__fspath__", "__next__", "save", "savefig", "figure", "__array__")


class _Unknown(Exception):
    """An annotation that does not say which content type the value has."""


def of(function, annotation):
    """Returns the outputs of a function by the annotation of its result; None if they are unknown.

    Only what is certain is said, because a program may have any annotations.
    """
    try:
        inner = _signature.inner_of(function)
        if annotation is inspect.Signature.empty or hasattr(inner, "__wrapped__"):
            # A decorator may return something else than the function in it.
            return None
        names = getattr(inner, "__globals__", {})
        annotation = _plain(_annotations.resolved(annotation, names))
        yields = inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner)
        if typing.get_origin(annotation) in _STREAMS:
            outputs = _of_items(annotation)
        else:
            outputs = None if yields else _of_value(annotation)
        if outputs is not None and not _is_fit(outputs.get("schema")):
            del outputs["schema"]
        return outputs
    except Exception:
        return None


def _of_value(annotation):
    """Returns the outputs of a function that returns a value."""
    if _is_text(annotation):
        return {"content_type": "text/plain"}
    if annotation in (bytes, bytearray):
        return {"content_type": "application/octet-stream"}
    if _annotations.is_class(annotation) and _annotations.name_of(annotation) in _PICTURES:
        return {"content_type": "image/png"}
    walk = _Walk()
    schema = walk.of_result(annotation)
    if walk.defs:
        schema = dict(schema, **{"$defs": walk.defs})
    outputs = {"content_type": "application/json"}
    return dict(outputs, schema=schema) if schema else outputs


def _of_items(annotation):
    """Returns the outputs of a function that returns an iterator, or None."""
    outputs = _of_value(_plain(typing.get_args(annotation)[0]))
    if outputs["content_type"] == "image/png":
        # Such items are refused.
        return None
    is_json = outputs["content_type"] == "application/json"
    return {"content_type": "application/x-ndjson"} if is_json else outputs


class _Walk:
    """Makes the schema of a result. `defs` are the definitions to which it refers."""

    def __init__(self):
        self.defs = {}
        # The classes around this place.
        self._around = []

    def of_result(self, annotation):
        """Returns the schema of a result, or a member of it on which the content type depends."""
        annotation = _plain(annotation)
        members = _members(annotation)
        if members is not None:
            return {"anyOf": [self._of_none_or(member) for member in members]}
        choices = typing.get_args(annotation) if _is_literal(annotation) else ()
        has_text = _is_text(annotation) or any(isinstance(one, str) for one in choices)
        if has_text or annotation is type(None):
            raise _Unknown
        return self._of(annotation)

    def _of_none_or(self, annotation):
        return {"type": "null"} if annotation is type(None) else self.of_result(annotation)

    def _inside(self, annotation):
        """Returns the schema of a value inside the result; it may be anything."""
        try:
            return self._of(annotation)
        except _Unknown:
            return {}

    def _of(self, annotation):
        annotation = _plain(annotation)
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        if annotation is type(None):
            return {"type": "null"}
        if _is_text(annotation) and not (origin or issubclass(annotation, enum.Enum)):
            return _TEXT
        if _members(annotation) is not None:
            return {"anyOf": [self._of(member) for member in arguments]}
        if _is_literal(annotation):
            return _choice(arguments)
        if origin in _ARRAYS:
            return self._array(origin, arguments)
        if annotation in _MAPPINGS or origin in _MAPPINGS:
            values = self._inside(arguments[1]) if arguments else {}
            return {"type": "object", **({"additionalProperties": values} if values else {})}
        if not _annotations.is_class(annotation):
            raise _Unknown
        name = _annotations.name_of(annotation)
        return _scalar(name) if name in _SCALARS else self._class(annotation)

    def _array(self, origin, arguments):
        if not arguments:
            raise _Unknown
        if origin is tuple and arguments[1:] != (Ellipsis,):
            items = [self._of(one) for one in arguments]
            return {"type": "array", "prefixItems": items, "minItems": len(items), "items": False}
        return {"type": "array", "items": self._of(arguments[0])}

    def _class(self, annotation):
        if _annotations.is_typed_dict(annotation):
            return self._object(annotation, None)
        if any(hasattr(annotation, name) for name in _OTHER_FORMS):
            raise _Unknown
        if issubclass(annotation, enum.Enum):
            return _choice(list(annotation), issubclass(annotation, enum.Flag))
        if issubclass(annotation, (str, bytes, *_ARRAYS, *_MAPPINGS)):
            raise _Unknown
        if hasattr(annotation, "__dataclass_fields__"):
            import dataclasses

            return self._object(annotation, [one.name for one in dataclasses.fields(annotation)])
        if hasattr(annotation, "__attrs_attrs__"):
            return self._object(annotation, [one.name for one in annotation.__attrs_attrs__])
        if hasattr(annotation, "model_json_schema"):
            return self._pydantic(annotation)
        raise _Unknown

    def _object(self, annotation, fields):
        """Returns the schema of a class with these fields, or of a TypedDict."""
        if fields is not None and set(fields).intersection(_OTHER_FORMS):
            raise _Unknown
        if annotation in self._around:
            return {"type": "object"}
        try:
            types = typing.get_type_hints(annotation)
        except Exception:
            # A name in it is not known here.
            return {"type": "object"}
        self._around.append(annotation)
        if fields is None:
            names, required = list(types), _required_keys(annotation)
        else:
            names, required = fields, fields
        properties = {}
        for name in names:
            # A field whose default is None may be None, whatever its annotation says.
            may_be_none = getattr(annotation, name, name) is None
            properties[name] = {} if may_be_none else self._inside(types.get(name, typing.Any))
        self._around.pop()
        schema = {"type": "object", "properties": properties}
        return dict(schema, required=sorted(required)) if required else schema

    def _pydantic(self, annotation):
        if set(annotation.model_fields).intersection(_OTHER_FORMS):
            raise _Unknown
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                schema = annotation.model_json_schema(mode="serialization")
        except Exception:
            # It has a field of a type without a schema.
            return {}
        defs = schema.pop("$defs", {})
        if not _is_fit([schema, defs]) or any(self.defs.get(k, v) != v for k, v in defs.items()):
            return {}
        self.defs.update(defs)
        return schema


def _scalar(name):
    if name in _FLOATS and os.environ.get("AI_INTEGRATION_NAN") == "null":
        return {"type": ["number", "null"]}
    return _SCALARS[name]


def _plain(annotation):
    """Returns an annotation without its metadata and without names for it."""
    while True:
        if hasattr(annotation, "__metadata__"):
            annotation = annotation.__origin__
            continue
        below = _annotations.underlying(annotation)
        if below is None:
            return annotation
        annotation = below


def _members(annotation):
    """Returns the members of a union, or None for another annotation."""
    is_union = typing.get_origin(annotation) in _annotations.UNIONS
    return typing.get_args(annotation) if is_union else None


def _is_text(annotation):
    if _is_literal(annotation):
        return all(isinstance(choice, str) for choice in typing.get_args(annotation))
    return _annotations.is_class(annotation) and issubclass(annotation, str)


def _is_literal(annotation):
    return typing.get_origin(annotation) is typing.Literal


def _choice(values, is_flag=False):
    values = [one.value if isinstance(one, enum.Enum) else one for one in values]
    if not all(one is None or isinstance(one, (str, int, float)) for one in values):
        return {}
    # A flag may also be several of its members together.
    return {"type": "integer"} if is_flag else {"enum": values}


def _required_keys(annotation):
    """Returns the keys that every dict of a TypedDict has, as far as they are known."""
    said = annotation.__annotations__.values()
    if any(isinstance(one, (str, typing.ForwardRef)) for one in said):
        # Python has not seen a `NotRequired` in text.
        return ()
    return getattr(annotation, "__required_keys__", ())


def _is_fit(schema):
    """Returns true if the engine accepts a schema, which a class may have made in any way."""
    rest = [(schema, 0)]
    while rest:
        value, depth = rest.pop()
        if depth > _DEEPEST:
            return False
        if isinstance(value, dict):
            types = value.get("type")
            types = [types] if isinstance(types, str) else types
            if isinstance(types, list) and not all(one in _TYPES for one in types):
                return False
            value = list(value.values())
        if isinstance(value, (list, tuple)):
            rest.extend((one, depth + 1) for one in value)
    return len(_results.encode_json(schema)) <= _LONGEST
