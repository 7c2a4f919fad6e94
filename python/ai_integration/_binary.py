"""Finds the installed native binary `ai-integration`."""

import os
import sys

NAME = "ai-integration"
VARIABLE = "AI_INTEGRATION_BINARY"

# The folder that the package is in, or the archive of zipapp.
_PARENT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def find():
    """Returns the binary's path, or `None`."""
    for place in _places():
        if os.path.isfile(place) and os.access(place, os.X_OK):
            return place
    return None


def not_found():
    """Returns the error for the user if `find` found nothing."""
    way_out = (
        "Install the package again for this Python (python -m pip install --force-reinstall"
        " ai-integration)"
    )
    if getattr(sys, "frozen", False):
        way_out = "Put it beside the program (PyInstaller: --add-binary PATH:.)"
    elif os.path.isfile(_PARENT):
        way_out = "Install the package for this Python too, put the binary beside the archive"
    return "the %s binary was not found. Looked at:\n%s\n%s, or set %s to the binary's path." % (
        NAME,
        "\n".join("  " + place for place in _places()),
        way_out,
        VARIABLE,
    )


def _places():
    """Yields the paths to try, best first; nearly always the first one is enough."""
    chosen = os.environ.get(VARIABLE)
    if chosen:
        # If the chosen binary is missing, no other version may run in its place.
        yield os.path.abspath(chosen)
        return
    seen = set()
    for folder in _folders():
        folder = os.path.abspath(folder)
        if folder not in seen:
            seen.add(folder)
            yield os.path.join(folder, NAME)


def _folders():
    if sys.executable:
        yield os.path.dirname(sys.executable)
    import sysconfig

    yield sysconfig.get_path("scripts")
    import site

    yield os.path.join(site.getuserbase(), "bin")
    # `pip install --target` puts bin beside the package; `--prefix` and `--root` put it three
    # levels above lib/pythonX.Y/site-packages.
    yield os.path.join(_PARENT, "bin")
    yield os.path.join(_PARENT, os.pardir, os.pardir, os.pardir, "bin")
    # A bundle of PyInstaller has it in the same folder as the package, an archive beside it.
    yield os.path.dirname(_PARENT) if os.path.isfile(_PARENT) else _PARENT
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        if folder:
            yield folder
