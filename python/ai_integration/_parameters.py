"""Reads the parameters of authors' functions, and selects their arguments by name."""

import functools
import inspect


def named_by(function, arguments):
    """Returns the `arguments` that `function` names, or all if it takes any keyword."""
    names, takes_any = _parameters_of(function)
    bound = getattr(function, "keywords", None) or {}
    return {
        name: value
        for name, value in arguments.items()
        if (takes_any or name in names) and name not in bound
    }


def takes_names_only(function):
    """Returns true if `function` cannot be called with a single positional argument."""
    signature_of = getattr(inspect, "signature", None)
    if signature_of is None:
        return False
    try:
        signature = signature_of(function)
    except (TypeError, ValueError):
        # A function in native code may have no signature.
        return False
    try:
        signature.bind(None)
    except TypeError:
        return True
    return False


def _parameters_of(function):
    signature_of = getattr(inspect, "signature", None)
    if signature_of is not None:
        parameters = signature_of(function).parameters.values()
        by_name = [one.name for one in parameters if one.kind in (1, 3)]
        return by_name, any(one.kind == 4 for one in parameters)
    while isinstance(function, functools.partial):
        function = function.func
    if not inspect.isroutine(function):
        function = function.__call__
    names, _, keywords, _ = inspect.getargspec(function)
    return names, keywords is not None
