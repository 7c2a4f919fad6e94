"""The standard streams: stdout is kept for the result, and their descriptors for them alone.

In a one-shot mode standard output belongs to the engine, which writes the result there. So from the
import of this package on, what the program, its native code and its children print goes to standard
error (`keep_stdout`).

A program may be started without some of the streams, or close them. Whatever is opened next takes
their descriptors, and what is printed by native code then goes there. So neither the link nor a
memory file may have one of them (`fill`, `beyond`).
"""

import os
import sys

from . import _process

_NAMES = ("stdin", "stdout", "stderr")

# Tells a program that takes the place of this one (`os.execv`), or is started by it, where the
# result goes: the process that keeps standard output and its descriptor there, the device and inode
# of that file, and those of the file that took its place.
_VARIABLE = "_AI_INTEGRATION_STDOUT"

# The descriptor of the standard output that is kept, if it is.
_kept = {}


def fill():
    """Open the null device for each standard descriptor that is closed."""
    for number in range(len(_NAMES)):
        if _identity(number) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
            elif hasattr(os, "set_inheritable"):
                os.set_inheritable(number, True)  # novm


def beyond(descriptor):
    """A descriptor of the same file, in the place of this one, that is no standard stream's."""
    if descriptor >= len(_NAMES):
        return descriptor
    moved = _copy(descriptor)
    _process.close_on_exec(moved)
    os.close(descriptor)
    return moved


def keep_stdout():
    """Keep standard output for the result; what is printed from here on goes to standard error."""
    fill()
    if _VARIABLE in os.environ or _is_missing("stdout"):
        # The process that started this one keeps it, or there is none.
        return
    _process.flush_output()
    # It stays open on `exec`: the program that takes this one's place needs it, too.
    kept = _kept["stdout"] = _copy(1)
    print_to_stderr()
    numbers = (os.getpid(), kept) + _identity(kept) + _identity(1)
    os.environ[_VARIABLE] = ":".join("%d" % number for number in numbers)


def print_to_stderr():
    """From here on, what is printed on standard output goes to standard error."""
    if _is_missing("stdout"):
        return
    if _is_missing("stderr"):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)
    else:
        os.dup2(2, 1)
    _process.line_buffer_output()


def of_the_engine():
    """The standard streams of the engine, as arguments of `Popen`; close them with `let_go`."""
    streams = {name: os.open(os.devnull, os.O_RDWR) for name in _NAMES if _is_missing(name)}
    stdout = _found()
    if stdout is not None:
        streams["stdout"] = stdout
    return streams


def let_go(streams):
    """Close what `of_the_engine` gave, which the engine has now."""
    for descriptor in streams.values():
        os.close(descriptor)
    _kept.clear()
    os.environ.pop(_VARIABLE, None)


def _found():
    """A descriptor of the standard output that is kept; `None` where none is kept elsewhere."""
    if _kept:
        return _kept["stdout"]
    numbers = os.environ.get(_VARIABLE, "").split(":")
    try:
        keeper, kept = int(numbers[0]), int(numbers[1])
        original, instead = tuple(map(int, numbers[2:4])), tuple(map(int, numbers[4:6]))
    except (IndexError, ValueError):
        return None
    if _identity(1) != instead:
        # Whoever started this program gave it another one.
        return None
    descriptor = kept if keeper == os.getpid() else _opened(keeper, kept)
    return descriptor if descriptor is not None and _identity(descriptor) == original else None


def _opened(process, descriptor):
    """A file that another process has open; `None` where that cannot be had."""
    import fcntl

    path = "/proc/%d/fd/%d" % (process, descriptor)
    try:
        # A pipe that nobody reads must not be waited for.
        opened = beyond(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK))
        fcntl.fcntl(opened, fcntl.F_SETFL, os.O_APPEND)
        return opened
    except EnvironmentError:
        return None


def _is_missing(name):
    """Whether the program was started without this stream: another file may have its descriptor."""
    # Python 2 has an object for it even so.
    return getattr(sys, "__%s__" % name) is None


def _copy(descriptor):
    import fcntl

    return fcntl.fcntl(descriptor, fcntl.F_DUPFD, len(_NAMES))


def _identity(descriptor):
    """The device and inode of a file; `None` where the descriptor is closed."""
    try:
        status = os.fstat(descriptor)
    except EnvironmentError:
        return None
    return status.st_dev, status.st_ino
