"""Prevents a process that the program started from acting as the model.

`multiprocessing` and libraries built on it (joblib, `concurrent.futures`) run the program's file
again in each process that they start by `spawn` or `forkserver`. Without an
`if __name__ == "__main__":` such a process reaches the loop too. It must not serve. The model must
be told, because a pool would start such processes for ever, and the request that waits for the pool
would wait as long. So the process writes a note into a file of the model process, and sends it the
signal SIGURG; `_children` receives both.
"""

import os
import struct
import sys
import threading
import time

from . import _mode_names, _process

# The bytes of a note. The file's size is how often the model was told.
NOTE = 1024
# A note begins with whether its process was still running the program's file, so that each one like
# it fails, too, and with the `ticks` at which it was started. What there is to say follows.
_HEAD = struct.Struct("=?q")
# Stands for a start of which the process does not know when it was.
_UNKNOWN = 1 << 62
# Ignored by any process that does not ask for it, should the model be gone and its number taken.
BELL = "SIGURG"

# Seconds until a thread is refused, in which the model answers: the process may well go on without
# the thread, and its work be done.
_UNTIL_HEARD = 0.5

# A pool starts its processes again and again. So many may fail at once, each later one waits
# a little longer; in seconds.
_AT_ONCE = 16
_STEP = 0.05

# In the flags of /proc/PID/stat: forked from a process, and no program of its own since.
_FORKED = 0x40

_GUARD = """Put the loop, and whatever else only the model is to do, under a guard:

    if __name__ == "__main__":
        %s"""
_LOOPS = {
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


# What is said where it is not known which process came to which loop.
SOMEWHERE = (
    "a process that multiprocessing had started ran the program's file again and came to the loop. "
    + _GUARD % _LOOPS["get_next_input"]
)


class MissingGuard(RuntimeError):
    """A process that is not the model came to the loop; the program lacks a guard."""


# How often this process was refused, by its number: a forked child begins anew.
_refusals = {}
# Whether the model knows what became of this process.
_told = {}


def check(owner, function):
    """Raise an error unless this process may ask for requests.

    `owner` is the process that has asked for some before, if any; `function` is what was called.
    """
    pid = os.getpid()
    if _process.is_child_of_multiprocessing():
        count = _refusals[pid] = _refusals.get(pid, 0) + 1
        message = _called_again(function)
        if count == 1:
            watch_the_import()
            _tell(message)
            if not isinstance(threading.current_thread(), threading._MainThread):
                time.sleep(_UNTIL_HEARD)
        elif _process.is_importing_main():
            _leave()
        else:
            # Whoever waits for this process must not lose it, but need not hear of it all the time.
            time.sleep(min(_STEP * count, 5))
        raise MissingGuard(message)
    reason = _elsewhere(owner)
    if reason is not None:
        if pid in _refusals:
            # The program took no notice, and would go on for ever.
            _leave()
        _refusals[pid] = 1
        raise RuntimeError("%s was called in %s" % (function, reason))


def watch_the_import():
    """See to it that the model hears what ends this process while that runs the program again."""
    original = sys.excepthook
    if not _process.is_importing_main() or getattr(original, "tells_the_model", False):
        return

    def hook(kind, value, trace):
        pid = os.getpid()
        if not issubclass(kind, MissingGuard):
            last = "%s: %s" % (kind.__name__, value)
            count = _tell(
                "multiprocessing ran the program's file again in a process that it had started,"
                " which failed: %s. %s" % (last[:300], _GUARD % _LOOPS["get_next_input"])
            )
            if not count:
                original(kind, value, trace)
        elif not _told.get(pid):
            _process.warn(str(value))

    hook.tells_the_model = True
    sys.excepthook = hook


def read_note(note):
    """Reads a note: if the process was running the program's file, its start, its message."""
    at_start, started = _HEAD.unpack_from(note)
    return at_start, started, note[_HEAD.size :].rstrip(b"\0").decode("utf-8", "replace")


def ticks():
    """The time now as /proc counts it, in hundredths of a second since the machine was started.

    It is 0 where there is no such clock.
    """
    try:
        return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))  # novm
    except (AttributeError, EnvironmentError):
        return 0


def is_forked_from(parent):
    """Returns true if this process is a fork of a parent that still runs (Linux only).

    A daemon is not, since the process that it was forked from has ended.
    """
    try:
        flags = int(_fields_of_stat()[6])
        same = os.readlink("/proc/self/exe") == os.readlink("/proc/%d/exe" % parent)
    except (EnvironmentError, IndexError, ValueError):
        return False
    return bool(flags & _FORKED) and same


def _fields_of_stat():
    """The fields of this process's line in /proc, from the third one on."""
    with open("/proc/self/stat", "rb") as stat:
        return stat.read().rpartition(b")")[2].split()


def _tell(message):
    """Tell the model; how often it had been told before, `None` if it cannot be reached.

    The variable has the model's process, and where there is one the descriptor of its file and that
    file's number.
    """
    import signal

    at_start = _process.is_importing_main()
    place = os.environ.get(_process.MODEL_VARIABLE, "").split(":")
    count = None
    try:
        model = int(place[0])
        if len(place) == 3:
            count = _leave_note(model, int(place[1]), int(place[2]), _note(at_start, message))
        os.kill(model, getattr(signal, BELL))
    except (AttributeError, EnvironmentError, ValueError):
        # It has ended, or is out of reach.
        count = None
    _told[os.getpid()] = count is not None
    if count is not None and at_start:
        time.sleep(max(count - _AT_ONCE, 0) * _STEP)
    return count


def _note(at_start, message):
    try:
        started = int(_fields_of_stat()[19])
    except (EnvironmentError, IndexError, ValueError):
        started = _UNKNOWN
    return (_HEAD.pack(at_start, started) + message.encode("utf-8", "replace"))[:NOTE]


def _leave_note(model, descriptor, number, note):
    path = "/proc/%d/fd/%d" % (model, descriptor)
    file = os.open(path, os.O_RDWR | os.O_APPEND)
    try:
        about = os.fstat(file)
        if about.st_ino != number:
            return None
        os.write(file, note.ljust(NOTE, b"\0"))
        return about.st_size // NOTE
    finally:
        os.close(file)


def _called_again(function):
    """The error for the author: where the loop is, and where it must be."""
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


def _elsewhere(owner):
    """The reason why a process that multiprocessing did not start gets no requests."""
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
    one_shot = mode in _mode_names.BUILT_IN and mode not in _mode_names.SERVING
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
