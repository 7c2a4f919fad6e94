"""The folder for modes of your own.

Put a Python file beside this one and let it declare `MODULE_MODES`, a dict from a mode's name to
its function; `MODE=name` then runs it. A mode function takes any of `inference_function`,
`inputs_schema` and `visualizer_config` by name, and a `hint` attribute describes it to users.

`__all__` names the files in this folder. They are imported only when they are needed.
"""

import os

from . import testing_modes  # noqa: F401


def files_in(folder):
    """Returns the names of the modules in `folder` that may declare modes, in order."""
    return sorted(
        name[:-3] for name in os.listdir(folder) if name.endswith(".py") and name[0] not in "_."
    )


def _own():
    try:
        return files_in(os.path.dirname(os.path.abspath(__file__)))
    except EnvironmentError:
        # Inside an archive, of zipapp or PyInstaller.
        import pkgutil

        return sorted(name for _, name, _ in pkgutil.iter_modules(__path__) if name[0] != "_")


__all__ = _own()
