"""Runs the engine as a child of the program: for one-shot modes, notebooks and prompts."""

import atexit
import os
import re
import socket
import subprocess
import sys
import time

from . import _binary, _leaving, _process, _standard_streams

# Finds a descriptor in an argument that a shell's process substitution made (`--image <(...)`).
_DESCRIPTOR = re.compile(r"(?:^|=|^-o)/(?:dev|proc/self)/fd/([0-9]{1,9})$")

# Seconds that a program which ends by itself waits for the engine to write the last results.
_END_TIMEOUT = 30.0


def start(engine_class):
    """Starts the binary as a child and returns the engine on the other end of the link."""
    binary = _binary.find()
    if binary is None:
        _process.warn(_binary.not_found())
        _leaving.leave(1)
    interactive = _process.interactive()
    _standard_streams.fill()
    ours, theirs = socket.socketpair()
    _process.close_on_exec(ours.fileno())
    descriptor = theirs.fileno()
    # In Python 2 a child inherits every descriptor, in Python 3 only those of `pass_fds`.
    options = {} if str is bytes else {"pass_fds": [descriptor] + _named_descriptors()}
    command = [binary, "attached", "--link", str(descriptor)]
    command += ["--program", sys.argv[0] or "python", "--"]
    if not interactive:
        command += sys.argv[1:]
    if interactive and _process.may_be_on_a_platform():
        # At a prompt a person wants a result, and not a server.
        options["env"] = dict(os.environ, **{_process.PLATFORM_VARIABLE: "none"})
    _standard_streams.flush_output()
    streams = _standard_streams.for_the_engine()
    options.update(streams)
    try:
        popen = subprocess.Popen(command, cwd=_folder(), **options)
    except EnvironmentError as reason:
        _process.warn("%s cannot be started: %s" % (binary, reason))
        _leaving.leave(1)
    finally:
        theirs.close()
        _standard_streams.release(streams)
    _process.mark_inside()
    if not interactive:
        # The text that the model prints must never mix into a result.
        _standard_streams.print_to_stderr()
    child = Child(popen)
    link = engine_class.link_class(ours)
    atexit.register(_end, link, child)
    if _process.is_tested() and not _process.is_prompt():
        child.report_at_the_end()
    return engine_class(link, child)


def _named_descriptors():
    """Returns the descriptors that arguments name and that this program has inherited."""
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
        self._final_status = None

    def wait(self):
        """Waits for the engine's end and returns its exit status, as a shell would report it."""
        status = self._popen.wait()
        return 128 - status if status < 0 else status

    def report_at_the_end(self):
        """Makes this process exit with the status of a failed engine, however the program ends."""
        self._final_status = _FinalStatus()

    def wait_or_terminate(self):
        """Waits for the engine's end, and terminates the engine after a timeout."""
        for _ in range(int(_END_TIMEOUT / 0.01)):
            if self._popen.poll() is not None:
                break
            time.sleep(0.01)
        else:
            _process.warn("the engine did not end within %d seconds; stopping it" % _END_TIMEOUT)
            self._popen.terminate()
        if self._final_status is not None:
            self._final_status.status = self.wait()


class _FinalStatus(object):
    """Ends the process with `status` at its very end, when Python deletes this object.

    An exit handler cannot change the status of a process, and if it ended the process itself, later
    handlers would not run.
    """

    def __init__(self):
        self.status = 0
        self._pid = os.getpid()

    def __del__(self, getpid=os.getpid, leave=os._exit):
        # Python may have cleared the modules by now, so the functions are default arguments.
        if self.status and self._pid == getpid():
            leave(self.status)


def _end(link, child):
    """Lets the engine finish its output before the program ends."""
    if child.pid == os.getpid():
        link.close()
        child.wait_or_terminate()


def _folder():
    """Returns the folder for relative paths, or `None` if it cannot be entered."""
    folder = _process.STARTED_IN
    return folder if folder is not None and os.access(folder, os.X_OK) else None
