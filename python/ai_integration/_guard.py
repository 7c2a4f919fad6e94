"""Prevents a process that the program started from acting as the model.

`multiprocessing` and libraries built on it (joblib, `concurrent.futures`) run the program's file
again in each process that they start by `spawn` or `forkserver`. Without an
`if __name__ == "__main__":` such a process reaches the loop too. It must not serve. The model must
know of it, because a pool would start such processes for ever, and the request would wait for the
pool for ever. So the process writes a note into a file of the model process, and sends SIGURG to
the model process; `_children` receives both.
"""

import os
import struct
import sys
import threading
import time

from . import _names, _process

# The size of a note in bytes. The size of the file gives the number of notes.
NOTE_SIZE = 1024
# A note begins with a flag and the time, in `ticks`, at which its process started. Its message
# follows. The flag is true if the process was still running the program's file: then each process
# of the same pool fails too.
_HEAD = struct.Struct("=?q")
# The start of a process that cannot find out its start. It is later than any other.
_UNKNOWN_START = 1 << 62
# Processes ignore this signal by default. So it does no harm if the model has ended, and another
# process has its number.
SIGNAL_NAME = "SIGURG"

# Seconds before a thread is refused, so that the model fails the request first. The process may go
# on without the thread and finish its work.
_THREAD_DELAY = 0.5

# A pool starts its processes again and again. This many of them fail without a delay.
_WITHOUT_DELAY = 16
# Seconds by which the delay grows with each further process.
_DELAY_STEP = 0.05

# The flag in /proc/PID/stat of a process that was forked, and has not run another program since.
_FORKED = 0x40

_GUARD = """Put the loop, and all other code that only the model must run, under a guard:

    if __name__ == "__main__":
        %s"""
_LOOPS = {
    "requests": "asyncio.run(main())",
    "run": "ai_integration.run(...)",
    "start_loop": "start_loop(...)",
    "get_next_input": (
        "while True:\n            with ai_integration.get_next_input(...) as inputs:"
        "\n                ..."
    ),
    "get_next_inputs": (
        "while True:\n            with ai_integration.get_next_inputs(...) as batch:"
        "\n                ..."
    ),
}


# The message if a signal comes without a note, so that the process and its loop are unknown.
WITHOUT_A_NOTE = (
    "a process that multiprocessing had started ran the program's file again and reached the loop. "
    + _GUARD % _LOOPS["get_next_input"]
)


class MissingGuard(RuntimeError):
    """A process that is not the model reached the loop, because the program lacks a guard."""


# The number of refusals, by process number: a forked child starts at zero.
_refusals = {}
# True if the model has got a note of this process, by process number.
_reported = {}


def check(owner, function):
    """Raises an error unless this process may ask for requests.

    `owner` is the process that asked for the first request, if any. `function` is the name of the
    called function.
    """
    pid = os.getpid()
    if _process.is_child_of_multiprocessing():
        count = _refusals[pid] = _refusals.get(pid, 0) + 1
        message = _missing_guard(function)
        if count == 1:
            watch_the_import()
            _report(message)
            if not isinstance(threading.current_thread(), threading._MainThread):
                time.sleep(_THREAD_DELAY)
        elif _process.is_importing_main():
            _leave()
        else:
            # The model may wait for this process, so it goes on. One note is enough; each further
            # call waits longer.
            time.sleep(min(_DELAY_STEP * count, 5))
        raise MissingGuard(message)
    reason = _reason_to_refuse(owner)
    if reason is not None:
        if pid in _refusals:
            # The program caught the first error, and would go on for ever.
            _leave()
        _refusals[pid] = 1
        raise RuntimeError("%s was called in %s" % (function, reason))


def watch_the_import():
    """Reports to the model an exception that ends this process while it runs the file again."""
    original = sys.excepthook
    if not _process.is_importing_main() or getattr(original, "reports_to_the_model", False):
        return

    def hook(kind, value, trace):
        pid = os.getpid()
        if not issubclass(kind, MissingGuard):
            error = "%s: %s" % (kind.__name__, value)
            count = _report(
                "multiprocessing ran the program's file again in a process that it had started,"
                " and the file failed: %s. %s" % (error[:300], _GUARD % _LOOPS["get_next_input"])
            )
            if not count:
                original(kind, value, trace)
        elif not _reported.get(pid):
            _process.warn(str(value))

    hook.reports_to_the_model = True
    sys.excepthook = hook


def read_note(note):
    """Returns the flag, the start time and the message of a note."""
    at_start, started = _HEAD.unpack_from(note)
    return at_start, started, note[_HEAD.size :].rstrip(b"\0").decode("utf-8", "replace")


def ticks():
    """Returns the time since the machine was started, in the clock ticks of /proc (10 ms).

    Returns 0 if there is no such clock.
    """
    try:
        return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))  # novm
    except (AttributeError, EnvironmentError):
        return 0


def is_forked_from(parent):
    """Returns true if this process is a fork of a parent that still runs (Linux only).

    A daemon is not, because the process that it was forked from has ended.
    """
    try:
        flags = int(_fields_of_stat()[6])
        same = os.readlink("/proc/self/exe") == os.readlink("/proc/%d/exe" % parent)
    except (EnvironmentError, IndexError, ValueError):
        return False
    return bool(flags & _FORKED) and same


def _fields_of_stat():
    """Returns the fields of this process's line in /proc, from the third one on."""
    with open("/proc/self/stat", "rb") as stat:
        return stat.read().rpartition(b")")[2].split()


def _report(message):
    """Reports to the model. Returns the number of earlier notes, or `None` if it got no note.

    The variable holds the process number of the model. If the model has a file of notes, the file's
    descriptor and inode number follow.
    """
    import signal

    at_start = _process.is_importing_main()
    place = os.environ.get(_process.MODEL_VARIABLE, "").split(":")
    count = None
    try:
        model = int(place[0])
        if len(place) == 3:
            count = _write_note(model, int(place[1]), int(place[2]), _note(at_start, message))
        os.kill(model, getattr(signal, SIGNAL_NAME))
    except (AttributeError, EnvironmentError, ValueError):
        # The model has ended, or this process cannot reach it.
        count = None
    _reported[os.getpid()] = count is not None
    if count is not None and at_start:
        time.sleep(max(count - _WITHOUT_DELAY, 0) * _DELAY_STEP)
    return count


def _note(at_start, message):
    try:
        started = int(_fields_of_stat()[19])
    except (EnvironmentError, IndexError, ValueError):
        started = _UNKNOWN_START
    return (_HEAD.pack(at_start, started) + message.encode("utf-8", "replace"))[:NOTE_SIZE]


def _write_note(model, descriptor, number, note):
    path = "/proc/%d/fd/%d" % (model, descriptor)
    file = os.open(path, os.O_RDWR | os.O_APPEND)
    try:
        about = os.fstat(file)
        if about.st_ino != number:
            return None
        os.write(file, note.ljust(NOTE_SIZE, b"\0"))
        return about.st_size // NOTE_SIZE
    finally:
        os.close(file)


def _missing_guard(function):
    """Returns the error for the author: it says where the loop is, and where it must be."""
    frame = sys._getframe(1)
    while frame.f_back is not None and _process.is_ours(frame):
        if frame.f_code.co_name in ("run", "start_loop"):
            function = frame.f_code.co_name
        frame = frame.f_back
    return (
        "%s, line %d, called %s in a process that multiprocessing had started. Such a process runs"
        " the program's file again, and is not the model. %s"
        % (
            os.path.basename(frame.f_code.co_filename),
            frame.f_lineno,
            function,
            _GUARD % _LOOPS[function],
        )
    )


def _reason_to_refuse(owner):
    """Returns why this process gets no requests, or `None` if it may ask for them.

    Call it only for a process that multiprocessing did not start.
    """
    forked = "a forked child; requests belong to process %d, "
    if owner is not None:
        return forked % owner + "which asked for the first one"
    started, parent = _process.STARTED_AS, os.getppid()
    if started != os.getpid() and (started == parent or _process.has_link()):
        return forked % started + "which is the program itself"
    if is_forked_from(parent):
        return forked % parent + "which is the program itself"
    mode = os.environ.get("MODE")
    inherited = mode is not None and mode == _process.MODE_OF_ANCESTOR
    one_shot = mode in _names.MODES and mode not in _names.SERVING_MODES
    if inherited and not one_shot and not _process.has_link():
        return (
            "a program that a model started, which inherited the model's MODE=%s but is no second"
            " model. Start it with another MODE, such as MODE=command_line, or by"
            " `ai-integration run`" % mode
        )
    return None


def _leave():
    from . import _leaving

    _leaving.leave(1)
