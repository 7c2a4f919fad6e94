"""Programs of Debian's that run beside a model."""

import contextlib
import shutil

import pytest
from support import environment, started, wait_until_listening


def program_of(name):
    """A program of Debian's, which `tests/install-packages` installs where it may."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if path is None:
        pytest.skip(name + " is not installed; tests/install-packages does that")
    return path


@contextlib.contextmanager
def listening(command, port, folder):
    """A proxy that has been started and takes connections."""
    log = folder / "proxy.log"
    with log.open("wb") as output:
        options = {"stdout": output, "stderr": output, "cwd": folder}
        options["env"] = environment(HOME=folder, XDG_DATA_HOME=folder, XDG_CONFIG_HOME=folder)
        with started(command, **options) as process:
            wait_until_listening(process, port, log)
            yield process
