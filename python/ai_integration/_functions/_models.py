"""Functions and classes as models: the method to call, the name and the description."""

import functools
import inspect
import re

from . import _docstrings, _outputs, _signature

# The methods of a class that can serve requests; the first that exists is called.
_METHODS = ("predict", "__call__")
# The borders of the words in names such as `OCRModel` and `detect_faces`.
_BETWEEN_WORDS = re.compile(
    r"(?<=[a-z])(?=[A-Z])|(?<=[0-9])(?=[A-Z][a-z])|(?<=[A-Z])(?=[A-Z][a-z])|_+"
)


class Model:
    """A function, a class, or an object of one, which is called for each request.

    `function` is called for a request, and `schema` is its inputs schema. `name` and `description`
    come from its name and docstring. The constructor does not call the model. It raises TypeError
    with all reasons if this cannot be a model.
    """

    def __init__(self, given):
        is_class = inspect.isclass(given)
        kind = given if is_class else type(given)
        method = None
        if is_class or not _is_function(given):
            method = next((name for name in _METHODS if _has(kind, name)), None)
        if method is None and (is_class or not callable(given)):
            raise TypeError(_no_model(given))
        self._class = given if is_class else None
        self._kind = kind
        self._method = method
        self._object = None if method is None or is_class else given
        self.function = given if method is None else getattr(given, method)
        self._has_setup = method is not None and hasattr(kind, "setup")
        # A partial function has neither a name nor a docstring of its own.
        inner = _signature.inner_of(self.function)
        self.description = _docstrings.summary(_signature.docstring_of(inner))
        if method is None:
            name = getattr(inner, "__name__", "")
            signature = _signature.signature_of(given)
        else:
            name = kind.__name__
            self.description = _docstrings.summary(_own_docstring(kind)) or self.description
            signature = _signature_of_method(kind, method)
        self.name = readable(name) or None
        self._returns = signature.return_annotation
        self._parameters = _signature.Parameters(self.function, signature)
        self.schema = self._parameters.schema
        mistakes = self._mistakes(kind) + self._parameters.mistakes
        if mistakes:
            what = name or "the function"
            raise TypeError("%s cannot be served:\n  %s" % (what, "\n  ".join(mistakes)))

    @property
    def is_async(self):
        """True if the function, or `setup`, is a coroutine or an async generator."""
        return self.is_called_on_loop or (self._has_setup and _is_async(self._kind.setup))

    @property
    def is_called_on_loop(self):
        """True if the function is a coroutine or an async generator; `setup` may be another."""
        return _is_async(self.function)

    def set_up(self):
        """Makes the object if the model is a class, and calls its `setup`.

        Returns what `setup` returns: an awaitable if it is async.
        """
        if self._class is not None:
            self._object = self._class()
            self.function = getattr(self._object, self._method)
        return self._object.setup() if self._has_setup else None

    def arguments(self, inputs):
        """Converts the inputs of a request to positional arguments and arguments by name."""
        return self._parameters.arguments(inputs)

    def examples(self, examples):
        """Converts examples of inputs for the schema; raises ValueError if they do not fit."""
        return self._parameters.examples(examples)

    def outputs(self, given):
        """Returns the author's outputs, completed by what the annotation of the result says."""
        is_complete = given is not None and (not isinstance(given, dict) or "content_type" in given)
        said = None if is_complete else _outputs.of(self.function, self._returns)
        return given if said is None else dict(said, **(given or {}))

    def _mistakes(self, kind):
        """Returns the reasons why the model cannot be called, without those of its parameters."""
        mistakes = []
        if self._has_setup:
            names = _required(_signature_of_method(kind, "setup"))
            mistakes += ["setup(%s): it gets no value; write a default" % name for name in names]
        if self._class is not None:
            instead = "it gets no value; write a default, or run(%s(...))" % kind.__name__
            names = _required(_signature_of_class(kind))
            mistakes += ["%s(%s): %s" % (kind.__name__, name, instead) for name in names]
        return mistakes


def readable(name):
    """Converts a name in code to words: `OCRModel` becomes `OCR model`."""
    if not name.isidentifier():
        # `<lambda>`
        return ""
    words = [word for word in _BETWEEN_WORDS.sub(" ", name).split(" ") if word]
    # Words with capitals after the first letter are names, so they stay.
    words = [word if any(map(str.isupper, word[1:])) else word.lower() for word in words]
    text = " ".join(words)
    return text[:1].upper() + text[1:]


def _is_function(given):
    """Returns true for a function, a partial function or a decorated function."""
    is_made_of_one = isinstance(given, functools.partial) or hasattr(given, "__wrapped__")
    return inspect.isroutine(given) or is_made_of_one


def _has(kind, name):
    """Returns true if a class has a method; its metaclass does not count."""
    return any(name in vars(base) for base in kind.__mro__)


def _signature_of_method(kind, name):
    """Returns the signature of a class's method, without `self`."""
    signature = _signature.signature_of(getattr(kind, name))
    given = inspect.getattr_static(kind, name)
    if isinstance(given, (classmethod, staticmethod)) or not hasattr(given, "__get__"):
        # Such a method gets no object as its first argument.
        return signature
    return signature.replace(parameters=list(signature.parameters.values())[1:])


def _signature_of_class(kind):
    """Returns the signature of a class, or an empty one for a class in C without a signature."""
    try:
        return _signature.signature_of(kind)
    except TypeError:
        return inspect.Signature()


def _own_docstring(kind):
    """Returns the docstring that the author wrote, not the one that a dataclass generates."""
    docstring = kind.__doc__
    if not isinstance(docstring, str) or docstring.startswith(kind.__name__ + "("):
        return None
    return inspect.cleandoc(docstring)


def _required(signature):
    """Returns the names of the parameters without a default."""
    return [
        one.name
        for one in signature.parameters.values()
        if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]


def _is_async(function):
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _no_model(given):
    if inspect.isclass(given):
        return "%s has neither predict nor __call__; write one of them" % given.__name__
    return (
        "run takes a function, or a class with predict or __call__, not an object of type %s; give"
        " the function itself, without calling it" % type(given).__name__
    )
