"""The standard streams: stdout is kept for the result, and their descriptors for them alone.

In a one-shot mode standard output belongs to the engine, which writes the result there. So from the
import of this package on, what the program, its native code and its children print goes to standard
error (`keep_stdout`). What the process becomes (`os.execv`) has standard output as it was. A model
that it starts, and gives no other standard output, writes its result to the one that is kept.

A program may be started without some of the streams, or close them. Whatever is opened next takes
their descriptors, and what is printed by native code then goes there. So neither the link nor a
memory file may have one of these (`fill`, `beyond`).
"""

import functools
import os
import stat
import sys

from . import _process

_NAMES = ("stdin", "stdout", "stderr")

_CLOSED = (
    "a result cannot be written to standard output, which is kept for it from the import of"
    " ai_integration on: the program has closed descriptor %d, where it was. Import ai_integration"
    " after that, or write the result to a file (--output FILE)"
)
_OUT_OF_REACH = (
    "a result cannot be written to standard output: the program that started this one keeps it, and"
    " it cannot be opened from here. Let that one import ai_integration later, or become this one"
    " (os.execv), or write the result to a file (--output FILE)"
)

# A file that takes nothing.
_FULL = "/dev/full"

# The process that keeps standard output, its descriptor, that file's identity and what `_shown`
# gave of the file in its place, if it is kept.
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
    os.close(descriptor)
    return moved


def keep_stdout():
    """Keep standard output for the result; what is printed from here on goes to standard error."""
    fill()
    if _is_missing("stdout") or _keeper() is not None:
        # There is nothing to keep, or the one that started this program keeps it.
        return
    _process.flush_output()
    kept = _copy(1)
    _take_its_place()
    _kept.update(process=os.getpid(), descriptor=kept, file=_identity(kept), instead=_shown())
    _let_others_append(kept)
    numbers = (os.getpid(), kept) + _kept["file"] + _kept["instead"]
    os.environ[_process.STDOUT_VARIABLE] = ":".join("%d" % number for number in numbers)
    # All of the functions by which a program becomes another one call these.
    os.execv, os.execve = _giving_back(os.execv), _giving_back(os.execve)
    os.dup2 = _letting_go_too(os.dup2)


def print_to_stderr():
    """From here on, what is printed on standard output goes to standard error."""
    if _is_missing("stdout"):
        return
    if _is_missing("stderr"):
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_APPEND)
        os.dup2(nowhere, 1)
        os.close(nowhere)
    else:
        os.dup2(2, 1)
    _process.line_buffer_output()


def of_the_engine():
    """The standard streams of the engine, as arguments of `Popen`; close them with `let_go`."""
    stdout = _found()
    streams = {name: os.open(os.devnull, os.O_RDWR) for name in _NAMES if _is_missing(name)}
    if stdout is not None:
        streams["stdout"] = stdout
    return streams


def check_engine():
    """Refuse a result that an engine started this program for and would write to standard error."""
    engine = "/proc/%d/" % os.getppid()
    try:
        status = os.stat(engine + "fd/1")
        with open(engine + "fdinfo/1") as about:
            flags = int(about.read().split("flags:")[1].split()[0], 8)
        with open(engine + "cmdline") as command:
            has_file = "\0-o" in command.read().replace("\0--o", "\0-o")
    except (EnvironmentError, IndexError, ValueError):
        return
    file = (status.st_dev, status.st_ino)
    keeper = _keeper(file + (flags & os.O_APPEND,))
    if keeper is not None and keeper[2] != file and not has_file:
        raise _process.BadSetting(_OUT_OF_REACH)


def let_go(streams):
    """Close what `of_the_engine` gave, which the engine has now."""
    for descriptor in streams.values():
        os.close(descriptor)
    _kept.clear()
    os.environ.pop(_process.STDOUT_VARIABLE, None)


def _found():
    """A descriptor of the standard output that is kept; `None` where none is kept elsewhere."""
    keeper = (_kept["process"], _kept["descriptor"], _kept["file"]) if _kept else _keeper()
    if keeper is None:
        return None
    process, descriptor, file = keeper
    # A copy of this package that was imported before may keep it, or what this was forked from.
    if (_kept or process == os.getpid()) and _identity(descriptor) == file:
        _write_in_place(descriptor)
        return descriptor
    if file == _identity(1):
        return None
    if process == os.getpid():
        return _nowhere(_CLOSED % descriptor)
    opened = _opened(process, descriptor)
    if opened is not None and _identity(opened) != file:
        os.close(opened)
        opened = None
    return _nowhere(_OUT_OF_REACH) if opened is None else opened


def _nowhere(reason):
    """A descriptor of a file that takes nothing, so that only a result for it fails."""
    try:
        full = os.open(_FULL, os.O_WRONLY)
    except EnvironmentError:
        raise _process.BadSetting(reason)
    _process.warn(reason)
    return full


def _keeper(shown=None):
    """The process that keeps the program's standard output, or `None`.

    It returns the process, its descriptor and that file. `shown` is the result of `_shown`.
    """
    try:
        numbers = tuple(map(int, os.environ.get(_process.STDOUT_VARIABLE, "").split(":")))
    except ValueError:
        return None
    # Else the program was given another one.
    is_inherited = len(numbers) == 7 and numbers[4:] == (shown or _shown())
    return (numbers[0], numbers[1], numbers[2:4]) if is_inherited else None


def _shown():
    """Tells apart what standard output may be: its file, and whether it is only appended to."""
    file = _identity(1)
    return None if file is None else file + (_flags(1) & os.O_APPEND,)


def _is_there():
    """Returns true if the kept descriptor still belongs to the same file."""
    return _identity(_kept["descriptor"]) == _kept["file"]


def _take_its_place():
    """Let standard output be the file of standard error, opened anew where that can be done.

    So a model that is given the null device, or this program's standard error, is told from one
    that is given nothing.
    """
    print_to_stderr()
    if not _is_missing("stderr") and not stat.S_ISREG(os.fstat(2).st_mode):
        anew = _opened(os.getpid(), 2)
        if anew is not None:
            os.dup2(anew, 1)
            os.close(anew)


def _let_others_append(descriptor):
    """Let the next writer of this file append to the output of a model that this program starts.

    That model opens the file again, and has an offset in it of its own.
    """
    if stat.S_ISREG(os.fstat(descriptor).st_mode) and not _flags(descriptor) & os.O_APPEND:
        place = os.lseek(descriptor, 0, os.SEEK_CUR)
        if place == os.fstat(descriptor).st_size:
            _set_flags(descriptor, _flags(descriptor) | os.O_APPEND)
            _kept["is_appended_to"] = True


def _write_in_place(descriptor):
    """Undo `_let_others_append`."""
    if _kept.pop("is_appended_to", False):
        os.lseek(descriptor, 0, os.SEEK_END)
        _set_flags(descriptor, _flags(descriptor) & ~os.O_APPEND)


def _giving_back(function):
    """Let what this process becomes have the standard output that is kept."""

    @functools.wraps(function)
    def become(*arguments, **more):
        is_kept = _kept.get("process") == os.getpid() and _is_there()
        if not is_kept or _shown() != _kept["instead"]:
            return function(*arguments, **more)
        _process.flush_output()
        _write_in_place(_kept["descriptor"])
        instead = _copy(1)
        os.dup2(_kept["descriptor"], 1)
        try:
            return function(*arguments, **more)
        finally:
            # It failed, and the program goes on.
            os.dup2(instead, 1)
            os.close(instead)
            _let_others_append(_kept["descriptor"])

    return become


def _letting_go_too(function):
    """Let a forked child that lets go of standard output, as daemons do, let go of the kept one."""

    @functools.wraps(function)
    def replace(*arguments, **more):
        replaced = function(*arguments, **more)
        is_copy = _kept and _kept["process"] != os.getpid() and _is_there()
        # What starts the engine in Python 2 is such a child too.
        if is_copy and _shown() != _kept["instead"] and _identity(1) != _kept["file"]:
            os.close(_kept["descriptor"])
            _kept.clear()
        return replaced

    return replace


def _opened(process, descriptor):
    """A file that another process has open; `None` where that cannot be had."""
    path = "/proc/%d/fd/%d" % (process, descriptor)
    try:
        # A pipe that nobody reads must not be waited for.
        opened = beyond(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOCTTY | os.O_NONBLOCK))
        _set_flags(opened, os.O_APPEND)
        return opened
    except EnvironmentError:
        return None


def _is_missing(name):
    """Returns true if the program was started without this stream; another file may have its
    descriptor."""
    # Python 2 has an object for it even so.
    return getattr(sys, "__%s__" % name) is None


def _copy(descriptor):
    import fcntl

    copy = fcntl.fcntl(descriptor, fcntl.F_DUPFD, len(_NAMES))
    # A daemon that the program starts must not keep whoever reads the result waiting.
    _process.close_on_exec(copy)
    return copy


def _flags(descriptor):
    import fcntl

    return fcntl.fcntl(descriptor, fcntl.F_GETFL)


def _set_flags(descriptor, flags):
    import fcntl

    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)


def _identity(descriptor):
    """The device and number of a file; `None` where the descriptor is closed."""
    try:
        status = os.fstat(descriptor)
    except EnvironmentError:
        return None
    return status.st_dev, status.st_ino
