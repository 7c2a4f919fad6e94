"""A model that is a function or a class: its signature defines its inputs.

`_models` reads the function or class, `_signature` its parameters, `_annotations` the annotation of
a parameter, and `_docstrings` the descriptions. `_run` is the loop, and `_returned` makes results
of the returned values. These files need Python 3.8, and are loaded on first use.
"""

from ._input import Input
from ._returned import Result
from ._run import run

__all__ = ["Input", "Result", "run"]
