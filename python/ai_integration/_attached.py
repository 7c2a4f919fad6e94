"""Runs the engine as a child of the program: for one-shot modes, notebooks and prompts."""

import atexit
import os
import re
import socket
import subprocess
import sys
import time

from . import _binary, _leaving, _process, _standard_streams
from ._engine import Engine
from ._link import Link

# How a word names a descriptor, as process substitution of shells does (`--image <(...)`).
_DESCRIPTOR = re.compile(r"(?:^|=|^-o)/(?:dev|proc/self)/fd/([0-9]{1,9})$")

# How long a program that ends by itself waits for the engine to write what it still has.
_PATIENCE = 30.0


def start():
    """Start the binary as a child and return the `Engine` on the other end of the link."""
    binary = _binary.find()
    if binary is None:
        _process.warn(_binary.not_found())
        _leaving.leave(1)
    interactive = _process.interactive()
    _standard_streams.fill()
    ours, theirs = socket.socketpair()
    _process.close_on_exec(ours.fileno())
    descriptor = theirs.fileno()
    # Python 2 lets every descriptor through; Python 3 only those which it is told about.
    options = {} if str is bytes else {"pass_fds": [descriptor] + _named()}
    command = [binary, "attached", "--link", str(descriptor)]
    command += ["--program", sys.argv[0] or "python", "--"]
    if not interactive:
        command += sys.argv[1:]
    _process.flush_output()
    streams = _standard_streams.of_the_engine()
    options.update(streams)
    try:
        popen = subprocess.Popen(command, cwd=_folder(), **options)
    except EnvironmentError as reason:
        _process.warn("%s cannot be started: %s" % (binary, reason))
        _leaving.leave(1)
    finally:
        theirs.close()
        _standard_streams.let_go(streams)
    _process.mark_inside()
    if not interactive:
        # What the model prints must never mix into a result.
        _standard_streams.print_to_stderr()
    child = Child(popen)
    link = Link(ours)
    atexit.register(_end, link, child)
    if _process.is_tested() and not _process.is_prompt():
        child.tell_at_the_end()
    return Engine(link, child)


def _named():
    """The descriptors that a word names and that this program was started with."""
    matches = [_DESCRIPTOR.search(word) for word in sys.argv[1:]]
    numbers = {int(match.group(1)) for match in matches if match}
    return sorted(number for number in numbers if number > 2 and _is_inherited(number))


def _is_inherited(descriptor):
    """Returns true if a descriptor is open and was not opened by this program itself."""
    try:
        return os.get_inheritable(descriptor)  # novm
    except (EnvironmentError, OverflowError):
        return False


class Child(object):
    """The engine process that this program started."""

    def __init__(self, popen):
        self.pid = os.getpid()
        self._popen = popen
        self._fate = None

    def wait(self):
        """Wait for the engine's end and return its exit status, as a shell would count it."""
        status = self._popen.wait()
        return 128 - status if status < 0 else status

    def tell_at_the_end(self):
        """Make the engine's failure that of this process, where the program's own end hides it."""
        self._fate = _Fate()

    def wait_or_terminate(self):
        """Wait for the engine's end, but not for ever."""
        for _ in range(int(_PATIENCE / 0.01)):
            if self._popen.poll() is not None:
                break
            time.sleep(0.01)
        else:
            _process.warn("the engine did not end within %d seconds; stopping it" % _PATIENCE)
            self._popen.terminate()
        if self._fate is not None:
            self._fate.status = self.wait()


class _Fate(object):
    """The exit status of a process that has come to its very end: only then is this object let go.

    No exit handler can change the status, and leaving inside one would keep others from running.
    """

    def __init__(self):
        self.status = 0
        self._pid = os.getpid()

    def __del__(self, getpid=os.getpid, leave=os._exit):
        # Python takes its modules apart by now, hence the arguments.
        if self.status and self._pid == getpid():
            leave(self.status)


def _end(link, child):
    """Let the engine finish its output before the program's own end."""
    if child.pid == os.getpid():
        link.close()
        child.wait_or_terminate()


def _folder():
    """The folder from which relative paths count; `None` where it cannot be entered."""
    folder = _process.STARTED_IN
    return folder if folder is not None and os.access(folder, os.X_OK) else None
