"""The folder for modes of your own.

Put a Python file beside this one and let it declare `MODULE_MODES`, a dict from a mode's name to
its function; `MODE=name` then runs it. A mode function takes any of `inference_function`,
`inputs_schema` and `visualizer_config` by name, and a `hint` attribute describes it to users.

`__all__` names the files in this folder. They are imported only when they are needed.
"""

from typing import List

from . import testing_modes as testing_modes

__all__: List[str]

def files_in(folder: str) -> List[str]:
    """Returns the names of the modules in `folder` that may declare modes, in order."""
