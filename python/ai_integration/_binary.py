"""Where the native `ai-integration` binary is installed."""

import os
import sys

NAME = "ai-integration"
VARIABLE = "AI_INTEGRATION_BINARY"


def find():
    """The binary's path, or `None`."""
    for place in _places():
        if os.path.isfile(place) and os.access(place, os.X_OK):
            return place
    return None


def not_found():
    """What to tell the user when `find` found nothing."""
    return (
        "the %s binary was not found. Looked at:\n%s\n"
        "Install the package again for this Python (python -m pip install --force-reinstall"
        " ai-integration), or set %s to the binary's path."
        % (NAME, "\n".join("  " + place for place in _places()), VARIABLE)
    )


def _places():
    """Paths to try, best first; a generator, since the first one is nearly always right."""
    chosen = os.environ.get(VARIABLE)
    if chosen:
        # An explicit choice that is wrong must not be answered by some other version.
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
    parent = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    yield os.path.join(parent, "bin")
    yield os.path.join(parent, os.pardir, os.pardir, os.pardir, "bin")
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        if folder:
            yield folder
