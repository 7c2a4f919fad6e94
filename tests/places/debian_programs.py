"""Programs of Debian's that run beside a model."""

import contextlib
import shutil
import socket

import pytest
from support import environment, eventually, started


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


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

            def is_there():
                assert process.poll() is None, log.read_text()
                with contextlib.suppress(ConnectionRefusedError):
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    return True

            eventually(is_there, "the proxy listens")
            yield process
