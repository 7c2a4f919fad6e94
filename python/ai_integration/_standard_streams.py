"""Keeps standard output for the result, and the standard descriptors for the standard streams.

In a one-shot mode the engine writes the result to standard output. So when this package is
imported, it saves standard output, and redirects all that the program, its native code and its
children print to standard error (`save_stdout`). A program that replaces this one (`os.execv`) gets
the saved standard output back. A model that this program starts, without another standard output,
writes its result to the saved one.

A program may be started without some of the standard streams, or may close them. The next file that
is opened gets the free descriptor, and native code then prints into that file. So neither the link
nor a memory file may have a standard descriptor (`fill`, `beyond`).
"""

import functools
import os
import stat
import sys

from . import _process

_NAMES = ("stdin", "stdout", "stderr")

_CLOSED = (
    "a result cannot be written to standard output: ai_integration saved it when it was imported,"
    " but the program has closed descriptor %d, the saved copy. Import ai_integration after the"
    " program closes descriptors, or write the result to a file (--output FILE)"
)
_OUT_OF_REACH = (
    "a result cannot be written to standard output: the program that started this one has saved it"
    " for a result, and this program cannot open it. Import ai_integration later in the first"
    " program, or replace that program by this one (os.execv), or write the result to a file"
    " (--output FILE)"
)

# Every write to this file fails.
_FULL = "/dev/full"

# If standard output is saved: the process that saved it, its descriptor there, the identity of its
# file, and the result of `_stdout_state` for the file that replaced it.
_saved = {}


def fill():
    """Opens the null device for each standard descriptor that is closed."""
    for number in range(len(_NAMES)):
        if _identity(number) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
            elif hasattr(os, "set_inheritable"):
                os.set_inheritable(number, True)  # novm


def beyond(descriptor):
    """Returns `descriptor`, unless it is a standard one: then moves its file to another one."""
    if descriptor >= len(_NAMES):
        return descriptor
    moved = _copy(descriptor)
    os.close(descriptor)
    return moved


def save_stdout():
    """Saves standard output for the result. From now on, printed text goes to standard error."""
    fill()
    if _is_missing("stdout") or _find_saver() is not None:
        # There is no standard output, or the program that started this one has saved it.
        return
    _process.flush_output()
    saved = _copy(1)
    _replace_stdout()
    _saved.update(
        process=os.getpid(), descriptor=saved, file=_identity(saved), replacement=_stdout_state()
    )
    _let_others_append(saved)
    numbers = (os.getpid(), saved) + _saved["file"] + _saved["replacement"]
    os.environ[_process.STDOUT_VARIABLE] = ":".join("%d" % number for number in numbers)
    # All `os.exec*` functions call one of these two.
    os.execv, os.execve = _restoring_stdout(os.execv), _restoring_stdout(os.execve)
    os.dup2 = _closing_the_saved_one(os.dup2)


def print_to_stderr():
    """Redirects standard output to standard error."""
    if _is_missing("stdout"):
        return
    if _is_missing("stderr"):
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_APPEND)
        os.dup2(nowhere, 1)
        os.close(nowhere)
    else:
        os.dup2(2, 1)
    _process.line_buffer_output()


def flush_output():
    """Writes text that was printed but is still buffered, before the engine writes its own.

    A client that understands only the engine's messages must not read the text, so it goes to
    standard error then.
    """
    if not _process.is_piped() or _is_missing("stdout"):
        _process.flush_output()
        return
    stdout = _copy(1)
    print_to_stderr()
    _process.flush_output()
    os.dup2(stdout, 1)
    os.close(stdout)


def for_the_engine():
    """Returns the engine's standard streams, as arguments of `Popen`; close them with `release`."""
    stdout = _saved_stdout()
    streams = {name: os.open(os.devnull, os.O_RDWR) for name in _NAMES if _is_missing(name)}
    if stdout is not None:
        streams["stdout"] = stdout
    return streams


def check_engine():
    """Raises an error if the engine that started this program would write the result to stderr."""
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
    saver = _find_saver(file + (flags & os.O_APPEND,))
    if saver is not None and saver[2] != file and not has_file:
        raise _process.BadSetting(_OUT_OF_REACH)


def release(streams):
    """Closes the streams of `for_the_engine`, which the engine has inherited."""
    for descriptor in streams.values():
        os.close(descriptor)
    _saved.clear()
    os.environ.pop(_process.STDOUT_VARIABLE, None)


def _saved_stdout():
    """Returns a descriptor of the saved standard output, or `None` if none is saved elsewhere."""
    saver = (_saved["process"], _saved["descriptor"], _saved["file"]) if _saved else _find_saver()
    if saver is None:
        return None
    process, descriptor, file = saver
    # The parent of this forked process may have saved it, or an earlier import of this package.
    if (_saved or process == os.getpid()) and _identity(descriptor) == file:
        _stop_appending(descriptor)
        return descriptor
    if file == _identity(1):
        return None
    if process == os.getpid():
        return _failing_stdout(_CLOSED % descriptor)
    opened = _opened(process, descriptor)
    if opened is not None and _identity(opened) != file:
        os.close(opened)
        opened = None
    return _failing_stdout(_OUT_OF_REACH) if opened is None else opened


def _failing_stdout(reason):
    """Returns a descriptor to which every write fails, so that only a result for it fails."""
    try:
        full = os.open(_FULL, os.O_WRONLY)
    except EnvironmentError:
        raise _process.BadSetting(reason)
    _process.warn(reason)
    return full


def _find_saver(state=None):
    """Returns the process that saved standard output, its descriptor and its file, or `None`.

    `state` is the result of `_stdout_state`.
    """
    try:
        numbers = tuple(map(int, os.environ.get(_process.STDOUT_VARIABLE, "").split(":")))
    except ValueError:
        return None
    # Otherwise this program was given another standard output.
    is_inherited = len(numbers) == 7 and numbers[4:] == (state or _stdout_state())
    return (numbers[0], numbers[1], numbers[2:4]) if is_inherited else None


def _stdout_state():
    """Returns the identity of standard output's file, and its append flag."""
    file = _identity(1)
    return None if file is None else file + (_flags(1) & os.O_APPEND,)


def _is_still_open():
    """Returns true if the saved descriptor still belongs to the same file."""
    return _identity(_saved["descriptor"]) == _saved["file"]


def _replace_stdout():
    """Makes standard output the file of standard error, opened again if that is possible.

    Its append flag then shows that a model has inherited this standard output, and was not given
    the null device or this program's standard error.
    """
    print_to_stderr()
    if not _is_missing("stderr") and not stat.S_ISREG(os.fstat(2).st_mode):
        reopened = _opened(os.getpid(), 2)
        if reopened is not None:
            os.dup2(reopened, 1)
            os.close(reopened)


def _let_others_append(descriptor):
    """Makes later writes through this descriptor follow the output of a model that is started.

    The model opens the file again, so its writes do not move this descriptor's offset.
    """
    if stat.S_ISREG(os.fstat(descriptor).st_mode) and not _flags(descriptor) & os.O_APPEND:
        place = os.lseek(descriptor, 0, os.SEEK_CUR)
        if place == os.fstat(descriptor).st_size:
            _set_flags(descriptor, _flags(descriptor) | os.O_APPEND)
            _saved["is_appended_to"] = True


def _stop_appending(descriptor):
    """Undoes `_let_others_append`."""
    if _saved.pop("is_appended_to", False):
        os.lseek(descriptor, 0, os.SEEK_END)
        _set_flags(descriptor, _flags(descriptor) & ~os.O_APPEND)


def _restoring_stdout(function):
    """Wraps an exec function, so that the new program gets the saved standard output."""

    @functools.wraps(function)
    def execute(*arguments, **more):
        is_saved = _saved.get("process") == os.getpid() and _is_still_open()
        if not is_saved or _stdout_state() != _saved["replacement"]:
            return function(*arguments, **more)
        _process.flush_output()
        _stop_appending(_saved["descriptor"])
        replacement = _copy(1)
        os.dup2(_saved["descriptor"], 1)
        try:
            return function(*arguments, **more)
        finally:
            # The exec failed, and the program goes on.
            os.dup2(replacement, 1)
            os.close(replacement)
            _let_others_append(_saved["descriptor"])

    return execute


def _closing_the_saved_one(function):
    """Wraps `os.dup2` for forked children that replace standard output, as daemons do.

    Such a child closes the saved one too.
    """

    @functools.wraps(function)
    def replace(*arguments, **more):
        replaced = function(*arguments, **more)
        is_copy = _saved and _saved["process"] != os.getpid() and _is_still_open()
        # In Python 2, the child that becomes the engine calls this too: it gets the saved file.
        if is_copy and _stdout_state() != _saved["replacement"] and _identity(1) != _saved["file"]:
            os.close(_saved["descriptor"])
            _saved.clear()
        return replaced

    return replace


def _opened(process, descriptor):
    """Opens a file that a process has open. Returns `None` if that fails."""
    path = "/proc/%d/fd/%d" % (process, descriptor)
    try:
        # Opening a pipe without a reader must not block.
        opened = beyond(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOCTTY | os.O_NONBLOCK))
        _set_flags(opened, os.O_APPEND)
        return opened
    except EnvironmentError:
        return None


def _is_missing(name):
    """Returns true if the program was started without this stream.

    Another file may have the stream's descriptor. Python 2 has an object even for such a stream.
    """
    return getattr(sys, "__%s__" % name) is None


def _copy(descriptor):
    import fcntl

    copy = fcntl.fcntl(descriptor, fcntl.F_DUPFD, len(_NAMES))
    # A daemon that the program starts must not hold the file open: the reader would wait for it.
    _process.close_on_exec(copy)
    return copy


def _flags(descriptor):
    import fcntl

    return fcntl.fcntl(descriptor, fcntl.F_GETFL)


def _set_flags(descriptor, flags):
    import fcntl

    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)


def _identity(descriptor):
    """Returns the device and inode number of a file, or `None` if the descriptor is closed."""
    try:
        status = os.fstat(descriptor)
    except EnvironmentError:
        return None
    return status.st_dev, status.st_ino
