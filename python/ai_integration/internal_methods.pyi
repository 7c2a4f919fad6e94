"""Names under which older programs look for `start_loop`, and functions that call modes."""

from typing import Any, Callable, Dict, List, Mapping

from .public_interface import start_loop as _start_loop  # noqa: F401

def get_args_supported_by_function(x: Callable[..., Any]) -> List[str]:
    """Returns the names of the arguments that the function `x` takes by position or by name."""

def getValidKwargs(func: Callable[..., Any], args: Mapping[str, Any]) -> Dict[str, Any]:
    """Returns those of the `args` that `func` names; prints a warning about each of the others."""
