"""A model that is a function or a class: its inputs are told by its signature.

`_models` looks at what was given, `_signature` at its parameters, `_annotations` at the annotation
of one, and `_docstrings` at what is said of them. `_run` is the loop, and `_returned` makes results
of what comes back. These files are for Python 3.8 and newer, and loaded on first use.
"""

from ._input import Input
from ._returned import Result
from ._run import run

__all__ = ["Input", "Result", "run"]
