"""Makes an inputs schema from the parameters of a function, and arguments from the inputs."""

import functools
import inspect
import sys

from . import _annotations, _docstrings, _values
from ._input import Input

_EMPTY = inspect.Parameter.empty


class Parameters:
    """The parameters of a function as its inputs.

    `schema` is the inputs schema. `mistakes` has a text for each parameter that cannot be an input.
    """

    def __init__(self, function, signature):
        self.schema = {}
        self.mistakes = []
        self._parameters = []
        self._takes_more = False
        inner = inner_of(function)
        names = getattr(inspect.unwrap(inner), "__globals__", {})
        descriptions = _docstrings.parameters(docstring_of(inner))
        bound = function.keywords if isinstance(function, functools.partial) else {}
        for parameter in signature.parameters.values():
            if parameter.kind is parameter.VAR_KEYWORD:
                self._takes_more = True
            elif parameter.name not in bound:
                self._add(parameter, names, descriptions.get(parameter.name))

    def arguments(self, inputs):
        """Converts the inputs of a request to positional arguments and arguments by name.

        Raises `InvalidInputs` with all inputs that cannot be arguments.
        """
        by_position, by_name, wrong = [], {}, []
        for parameter in self._parameters:
            if inputs.get(parameter.name) is not None:
                value = parameter.read(inputs[parameter.name], wrong)
            elif parameter.default is not _EMPTY:
                value = parameter.default
            else:
                # The pipe modes and custom modes do not check the inputs against the schema.
                wrong.append((parameter.name, "missing"))
                continue
            if parameter.is_positional:
                by_position.append(value)
            else:
                by_name[parameter.name] = value
        if self._takes_more:
            by_name.update((name, inputs[name]) for name in inputs if name not in self.schema)
        if wrong:
            raise InvalidInputs(wrong)
        return by_position, by_name

    def examples(self, examples):
        """Converts examples for the inputs schema; ValueError with all values that do not fit."""
        if not isinstance(examples, (list, tuple)) or not all(
            isinstance(e, dict) for e in examples
        ):
            raise TypeError("examples is not a list of dicts of inputs")
        parameters = {parameter.name: parameter for parameter in self._parameters}
        written, mistakes = [], []
        for number, example in enumerate(examples):
            written.append({})
            for name, value in example.items():
                try:
                    if name in parameters and value is not None:
                        value = parameters[name].write(value)
                    elif name not in parameters and not self._takes_more:
                        raise ValueError("there is no such parameter")
                    written[-1][name] = value
                except ValueError as reason:
                    mistakes.append("examples[%d], %s: %s" % (number, name, reason))
        if mistakes:
            raise ValueError("\n".join(mistakes))
        return written

    def _add(self, parameter, names, description):
        annotation = parameter.annotation
        try:
            if parameter.kind is parameter.VAR_POSITIONAL:
                raise _annotations.Unservable(
                    "a request names its inputs; write %s: list[...]" % parameter.name
                )
            if annotation is _EMPTY:
                annotation = _of_unannotated(parameter)
            annotation = _annotations.resolved(annotation, names)
            said = _annotations.Annotation(annotation)
            entry = _entry(parameter, said)
        except (_annotations.Unservable, TypeError, ValueError) as reason:
            shown = "" if annotation is _EMPTY else " (%s)" % _annotations.shown(annotation)
            self.mistakes.append("%s%s: %s" % (parameter.name, shown, reason))
            return
        if description is not None:
            entry.setdefault("description", description)
        self.schema[parameter.name] = entry
        self._parameters.append(_Parameter(parameter, said))


class InvalidInputs(Exception):
    """Inputs that cannot be arguments: `fields` are pairs of a name and what is wrong."""

    def __init__(self, fields):
        super().__init__("; ".join("%s: %s" % field for field in fields))
        self.fields = fields


class _Parameter:
    """A parameter that is an input."""

    def __init__(self, parameter, said):
        self.name = parameter.name
        self.is_positional = parameter.kind is parameter.POSITIONAL_ONLY
        self.default = parameter.default
        if self.default is _EMPTY and said.is_optional:
            self.default = None
        self._said = said

    def read(self, value, wrong):
        """Returns the argument for a value; adds mistakes to `wrong`."""
        return self._said.read(self.name, value, wrong)

    def write(self, value):
        """Converts a value for the inputs schema; raises ValueError if it does not fit."""
        return self._said.write(value)


def signature_of(function):
    """Returns the signature of a function; annotations may stay unevaluated.

    Raises TypeError if there is no signature, as for many functions in C.
    """
    options = {}
    if sys.version_info >= (3, 14):
        import annotationlib  # novm

        options["annotation_format"] = annotationlib.Format.FORWARDREF  # novm
    try:
        return inspect.signature(function, **options)
    except ValueError as reason:
        raise TypeError("%s; write a function around it, with annotations" % reason)


def docstring_of(function):
    """Returns the docstring of a function, but not the general one of `type.__call__`."""
    docstring = inspect.getdoc(function)
    return None if docstring == inspect.getdoc(type.__call__) else docstring


def inner_of(function):
    """Returns the function inside a partial function."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _of_unannotated(parameter):
    """Returns the annotation for a parameter without one, from its default."""
    annotation, reason = None, "it has no annotation"
    if parameter.default is not _EMPTY and parameter.default is not None:
        annotation = _annotations.of_default(parameter.default)
        reason += ", and its type does not follow from the default"
    if annotation is None:
        raise _annotations.Unservable(
            "%s; write %s: str, or another type" % (reason, parameter.name)
        )
    return annotation


def _entry(parameter, said):
    """Returns the entry of the inputs schema."""
    entry = said.schema()
    default = parameter.default
    if isinstance(default, Input):
        raise _annotations.Unservable(
            "its default is an Input; write %s: Annotated[..., Input(...)], and = before the value"
            % parameter.name
        )
    if default is not _EMPTY or said.is_optional:
        entry["required"] = False
    if default is not _EMPTY and default is not None and not said.kind.is_file:
        try:
            written = said.write(default)
            # A value that JSON changes would not be the same default.
            if said.kind.write is not _values.json or written == default:
                entry["default"] = written
        except _values.Unexpressible:
            # The schema then has no default; the function uses its own.
            pass
    return entry
