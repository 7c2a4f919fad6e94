"""Names under which older programs look for `start_loop`, and functions that call modes."""

from .public_interface import start_loop as _start_loop  # noqa: F401


def get_args_supported_by_function(x):
    """Returns the names of the arguments that the function `x` takes by position or by name."""
    import inspect

    # Python 2 has only `getargspec`.
    specification = getattr(inspect, "getfullargspec", None) or inspect.getargspec
    return specification(x).args


def getValidKwargs(func, args):
    """Returns those of the `args` that `func` names; prints a warning about each of the others."""
    supported = get_args_supported_by_function(func)
    for name in args:
        if name not in supported:
            print("Warning, not passing this argument to the mode function:" + name)
    return {name: args[name] for name in args if name in supported}
