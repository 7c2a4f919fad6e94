"""Converts the annotations of parameters to inputs of the schema."""

import collections.abc
import datetime
import enum
import inspect
import pathlib
import re
import sys
import types
import typing

from .._undecodable import FURTHER, MOST_NAMED
from . import _values
from ._input import Input

UNIONS = (typing.Union, getattr(types, "UnionType", typing.Union))
_LISTS = {
    list: list,
    tuple: tuple,
    collections.abc.Sequence: list,
    collections.abc.MutableSequence: list,
    collections.abc.Iterable: list,
    collections.abc.Collection: list,
}
_MAPPINGS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)

# The package does not read the limits of these packages in `Annotated`, and refuses them.
_OTHERS = ("annotated_types", "cog", "fastapi", "gradio", "pydantic", "typer")
# The types of values that can name a choice.
_CHOICES = (str, int, float)
_FILES = ("file", "image", "audio", "video")
_SIMPLE = {
    str: _values.Kind("text", _values.to_text, _values.text, ("date", "datetime")),
    int: _values.Kind("integer", _values.to_integer, _values.integer),
    float: _values.Kind("number", _values.to_float, _values.number),
    bool: _values.Kind("boolean", _values.to_boolean, _values.boolean),
    bytes: _values.Kind("file", _values.to_bytes, _values.file, _FILES),
    datetime.date: _values.Kind("date", _values.to_date, _values.date),
    datetime.datetime: _values.Kind("datetime", _values.to_datetime, _values.date_and_time),
    pathlib.Path: _values.Kind("file", _values.to_path, _values.file, _FILES, "path"),
    dict: _values.Kind("json", _values.to_dict, _values.json),
    typing.Any: _values.Kind("json", _values.same, _values.json),
}
_NUMBER = _values.Kind("number", _values.to_number, _values.number)
_PICTURE = _values.Kind("image", _values.to_decoded, _values.file, (), "pil")
_ARRAY = _values.Kind("image", _values.to_decoded, _values.file, ("audio",), "numpy")
_SOUND = _values.Kind("audio", _values.to_decoded, _values.file, (), "numpy")

# The advice for annotations that cannot be served, by a pattern for the module and name of the
# class. The first pattern that fits is used.
_INSTEAD = (
    (r"builtins\.list", "list[str] or the like"),
    (r"builtins\.tuple", "tuple[str, ...] or the like"),
    (
        r"builtins\.(set|frozenset)|collections\.(deque|abc\.(?!Async|Awa|C).*)",
        "list[str] or the like",
    ),
    (r"builtins\.(bytearray|memoryview)|_?io\..*|typing\.(\w*IO)", "bytes or pathlib.Path"),
    (r"builtins\.object", "typing.Any, for any JSON"),
    (r"builtins\.complex|decimal\..*|fractions\..*", "float, or str, and convert the text"),
    (r"datetime\.time|uuid\..*|ipaddress\..*", "str, and convert the text"),
    (r"datetime\.timedelta", "float, for its seconds"),
    (r"(pathlib|os)\..*", "pathlib.Path"),
    (r"PIL\.\w*", "PIL.Image.Image"),
    (
        r"(torch|tensorflow|jax|jaxlib|mlx|cupy|paddle)\b.*",
        "numpy.ndarray, and convert the array",
    ),
    (r"numpy\.bool_?", "bool"),
    (r"numpy\..*int.*", "int"),
    (r"numpy\..*(float|number).*", "float"),
    (r"pandas\..*|polars\..*", "pathlib.Path, and read the file"),
)
_EVERYTHING = (
    "str, int, float, bool, bytes, datetime.date, datetime.datetime, pathlib.Path, PIL.Image.Image,"
    " numpy.ndarray, an Enum, Literal[...], list[...], dict or typing.Any"
)


class Unservable(Exception):
    """An annotation that cannot be an input; the message has the reason and the way out."""


class Annotation:
    """An annotation as an input.

    `kind` is the kind of its values. `is_optional` is true if it accepts None. `sequence` is the
    class of a list, or None. `said` has the properties from each `Input`.
    """

    def __init__(self, annotation):
        self.kind = None
        self.is_optional = False
        self.sequence = None
        self.said = {}
        self._take(annotation)
        other = self.said.pop("type", None)
        if other is not None:
            self.kind = self.kind.of_type(other)

    def schema(self):
        """Returns the entry of the inputs schema, without the default."""
        entry = dict(self.kind.properties)
        if self.sequence is not None:
            entry["list"] = True
        entry.update(self.said)
        if "choices" in entry and "choices" in self.said:
            entry["choices"] = [self.kind.write(choice) for choice in entry["choices"]]
        if "examples" in entry:
            entry["examples"] = [self.write(example) for example in entry["examples"]]
        return entry

    def write(self, value):
        """Converts a default or an example for the inputs schema; ValueError if it does not fit."""
        if self.sequence is None:
            return self.kind.write(value)
        if not isinstance(value, (list, tuple)):
            raise ValueError("%r is not a list" % (value,))
        return [self.kind.write(item) for item in value]

    def read(self, name, value, wrong):
        """Returns the argument for the value of the input `name`; adds mistakes to `wrong`."""
        if self.sequence is None:
            return self._read_one(name, value, wrong)
        known = len(wrong)
        items = []
        try:
            for index, item in enumerate(_values.to_list(value)):
                items.append(self._read_one("%s[%d]" % (name, index), item, wrong))
                if len(wrong) - known > MOST_NAMED:
                    wrong[-1] = (name, FURTHER)
                    break
        except ValueError as reason:
            wrong.append((name, str(reason)))
        return self.sequence(items)

    def _read_one(self, name, value, wrong):
        try:
            return self.kind.read(value)
        except (ValueError, OverflowError) as reason:
            wrong.append((name, str(reason)))
            return None

    def _take(self, annotation):
        """Takes an annotation apart until the kind of its values is known."""
        origin = typing.get_origin(annotation)
        arguments = typing.get_args(annotation)
        below = underlying(annotation)
        if hasattr(annotation, "__metadata__"):
            self._take_metadata(annotation.__metadata__)
            self._take(annotation.__origin__)
        elif below is not None:
            self._take(below)
        elif origin in UNIONS:
            self._take_union(arguments)
        elif origin is typing.Literal:
            self._take_choices(arguments, arguments)
        elif origin is tuple and arguments and arguments[0] is int and _is_array(arguments[-1]):
            self.kind = _SOUND
        elif origin in _LISTS and arguments:
            self._take_list(_LISTS[origin], arguments)
        elif origin in _MAPPINGS or annotation in _MAPPINGS[1:] or is_typed_dict(annotation):
            self.kind = _SIMPLE[dict]
        elif is_class(annotation) and issubclass(annotation, enum.Enum):
            self._take_members(annotation)
        elif is_class(annotation) and hasattr(annotation, "model_validate"):
            self.kind = _values.of_pydantic(annotation)
        else:
            self.kind = _simple(annotation)

    def _take_metadata(self, metadata):
        for one in metadata:
            if inspect.isclass(one) and issubclass(one, Input):
                raise Unservable("Input is the class; write Input(...)")
            if type(one).__module__.partition(".")[0] in _OTHERS:
                raise Unservable(
                    "%r is not read; write ai_integration.Input(...) with min, max, choices and a"
                    " description" % (one,)
                )
            said = one.properties() if isinstance(one, Input) else {}
            # PEP 727
            documentation = getattr(one, "documentation", None)
            if isinstance(documentation, str):
                said = {"description": documentation}
            # An outer annotation was read before, and its properties take precedence.
            self.said = dict(said, **self.said)

    def _take_union(self, members):
        rest = [member for member in members if member is not type(None)]
        if len(rest) < len(members):
            if self.sequence is not None:
                raise Unservable("the items of a list are never None; write list[...] without it")
            self.is_optional = True
        if len(rest) == 1:
            self._take(rest[0])
        elif set(rest) == {int, float}:
            self.kind = _NUMBER
        else:
            names = ", ".join(shown(member) for member in rest)
            raise Unservable("an input is of one type; write one of %s, or typing.Any" % names)

    def _take_list(self, sequence, arguments):
        if sequence is tuple and arguments[1:] != (Ellipsis,):
            raise Unservable(
                "an input is a list of one type; write tuple[%s, ...]" % shown(arguments[0])
            )
        if self.sequence is not None:
            raise Unservable("lists of lists have no input type; write typing.Any, for any JSON")
        self.sequence = sequence
        self._take(arguments[0])

    def _take_members(self, annotation):
        members = list(annotation)
        by_value = all(isinstance(member.value, _CHOICES) for member in members)
        self._take_choices(members, [one.value if by_value else one.name for one in members])

    def _take_choices(self, values, choices):
        """Makes a choice of the function's values, and the text or number that names each."""
        pairs = [
            (value, choice.value if isinstance(choice, enum.Enum) else choice)
            for value, choice in zip(values, choices)
            if value is not None
        ]
        self.is_optional = self.is_optional or len(pairs) < len(values)
        if not pairs:
            raise Unservable("there is nothing to choose; name some choices")
        if not all(isinstance(choice, _CHOICES) for _, choice in pairs):
            raise Unservable("choices are text and numbers; write them as text")
        texts = {str(choice) for _, choice in pairs}
        if len(pairs) != len(dict(pairs)) or len(pairs) != len(texts):
            raise Unservable("two of the choices are the same as text; write different ones")
        self.kind = _values.Choice(dict(pairs))


def shown(annotation):
    """Returns an annotation as the author writes it."""
    if isinstance(annotation, types.ModuleType):
        return annotation.__name__
    if isinstance(annotation, str):
        return annotation
    if isinstance(annotation, typing.ForwardRef):
        return annotation.__forward_arg__
    return inspect.formatannotation(annotation)


def resolved(annotation, names):
    """Evaluates the text in an annotation, with the variables in `names`."""

    def holder():
        pass

    holder.__annotations__ = {"annotation": annotation}
    options = {"include_extras": True} if sys.version_info >= (3, 9) else {}
    try:
        # Twice for text in text, as a quoted annotation is under `from __future__ import
        # annotations`: Python 3.8 reads only the outer one at once.
        for _ in range(2):
            holder.__annotations__ = typing.get_type_hints(holder, names, **options)
        return holder.__annotations__["annotation"]
    except Exception as reason:
        hint = "import or define it at the top of the module, also outside `if TYPE_CHECKING`"
        if "for |" in str(reason):
            hint = "before Python 3.10 write typing.Optional[...] or typing.Union[...]"
        elif "subscriptable" in str(reason):
            hint = "before Python 3.9 write typing.List[...] and the like"
        elif not isinstance(reason, NameError):
            hint = "write an annotation such as str or Optional[str]"
        raise Unservable("it cannot be read (%s); %s" % (reason, hint))


def of_default(value):
    """Returns the annotation that the type of a default gives, or None."""
    if isinstance(value, (list, tuple)) and value:
        inner = of_default(value[0])
        if inner is None or any(of_default(item) is not inner for item in value):
            return None
        return typing.List[inner] if isinstance(value, list) else typing.Tuple[inner, ...]
    if isinstance(value, pathlib.Path):
        return pathlib.Path
    kind = _values.plain_type(value)
    return kind if kind in _SIMPLE or isinstance(value, enum.Enum) else None


def underlying(annotation):
    """Returns the type that a NewType or a named alias (`type X = …`) stands for, or None."""
    if type(annotation).__name__ == "TypeAliasType":
        return annotation.__value__
    return getattr(annotation, "__supertype__", None)


def _simple(annotation):
    try:
        found = _SIMPLE.get(annotation)
    except TypeError:
        # An annotation that is not hashable is not in the table.
        found = None
    if found is not None:
        return found
    if is_class(annotation) and name_of(annotation) == "PIL.Image.Image":
        return _PICTURE
    if _is_array(annotation):
        items = re.search(r"numpy\.((?:u?int|float|complex|bool)\w*)", repr(annotation))
        if items is not None and items.group(1) != "uint8":
            raise Unservable("pictures are of uint8; write numpy.ndarray, and convert it")
        return _ARRAY
    raise Unservable("%s; write %s" % (_reason(annotation), _instead(annotation)))


def _is_array(annotation):
    """Returns true for NumPy's array, also with the type of its items, as `NDArray[uint8]`."""
    kind = typing.get_origin(annotation) or annotation
    return is_class(kind) and name_of(kind) == "numpy.ndarray"


def is_class(annotation):
    """Returns true for a class; `list[int]` only looks like a class before Python 3.11."""
    return inspect.isclass(annotation) and typing.get_origin(annotation) is None


def is_typed_dict(annotation):
    is_dict = is_class(annotation) and issubclass(annotation, dict)
    return is_dict and hasattr(annotation, "__total__")


def _reason(annotation):
    if isinstance(annotation, types.ModuleType):
        return "it is a module"
    if (typing.get_origin(annotation) or annotation) in (list, tuple):
        return "it has no type for its items"
    return "it has no input type"


def _instead(annotation):
    if isinstance(annotation, types.ModuleType):
        name = annotation.__name__
        return "PIL.Image.Image" if name.startswith("PIL") else "a class of %s" % name
    if hasattr(annotation, "__dataclass_fields__"):
        return "dict, and convert it to %s" % annotation.__name__
    origin = typing.get_origin(annotation) or annotation
    name = name_of(origin)
    for pattern, instead in _INSTEAD:
        if re.fullmatch(pattern, name):
            return instead
    return _EVERYTHING


def name_of(kind):
    return "%s.%s" % (getattr(kind, "__module__", ""), getattr(kind, "__qualname__", kind))
