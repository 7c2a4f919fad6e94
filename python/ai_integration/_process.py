"""The kind of this process: the engine's worker, an interactive session or a program."""

import os
import stat
import sys

from . import _mode_names

LINK_VARIABLE = "AI_INTEGRATION_LINK"

# Set for everything that a worker starts. `MODE` is inherited too, and a helper program which
# merely imports this package must not turn into a second server because of it.
_INSIDE_VARIABLE = "_AI_INTEGRATION_INSIDE"

# Where a process of multiprocessing finds the model that started it; see `_guard`.
MODEL_VARIABLE = "_AI_INTEGRATION_MODEL"

# Tells a model that this program starts where the result is to go; see `_standard_streams`.
STDOUT_VARIABLE = "_AI_INTEGRATION_STDOUT"

# What an ancestor that is a model put there, and the mode that it has.
MODE_OF_ANCESTOR = os.environ.get(_INSIDE_VARIABLE)
# The process that imported this package; a forked child has another number.
STARTED_AS = os.getpid()

_HAD_FILE = hasattr(sys.modules.get("__main__"), "__file__")

# `multiprocessing`, and a copy of it that pickles more.
MULTIPROCESSING = ("multiprocessing", "multiprocess")


def _folder_of_the_start():
    """The folder in which the program was started; `None` where that cannot be told.

    A program may have left it before it imports this package. Where a script's path was typed as
    one from that folder, Python has put the folder in front of it (3.9 or newer).
    """
    script = getattr(sys.modules.get("__main__"), "__file__", None) or ""
    typed = os.path.join("", *getattr(sys, "argv", [])[:1])
    if typed and script != typed and script.endswith(os.sep + typed):
        return script[: -len(typed)]
    try:
        return os.getcwd()
    except EnvironmentError:
        return None


STARTED_IN = _folder_of_the_start()

_link = None
_has_link = False
# Why the inherited link cannot be used.
_link_problem = None


class BadSetting(ValueError):
    """A setting has a value that cannot be used; the user is told, without a traceback."""


def take_link():
    """Take the inherited link out of the environment; whether this process is a worker.

    A link that cannot be used is none of a program which merely imports this package: something
    that the model started inherits the variable without the link. The first request reports it.
    """
    global _has_link, _link, _link_problem
    if not is_child_of_multiprocessing():
        # What this program starts is no concern of the model that started it.
        os.environ.pop(MODEL_VARIABLE, None)
    number = os.environ.pop(LINK_VARIABLE, None)
    if number is None:
        return False
    mark_inside()
    if is_child_of_multiprocessing():
        return False
    try:
        link = int(number)
        if stat.S_ISSOCK(os.fstat(link).st_mode):
            close_on_exec(link)
            _link, _has_link = link, True
        else:
            _link_problem = "%s names descriptor %s, which is not the engine's link" % (
                LINK_VARIABLE,
                number,
            )
    except (ValueError, OverflowError):
        _link_problem = "%s is %r, not a descriptor's number" % (LINK_VARIABLE, number)
    except (IOError, OSError):
        _link_problem = "%s names descriptor %s, which is not open" % (LINK_VARIABLE, number)
    return _has_link


def link_descriptor():
    """The inherited link's descriptor, handed out once; `None` when there is none (any more)."""
    global _link
    if _link_problem is not None:
        raise RuntimeError(
            "%s: whatever started this program closed it. Let the engine start the program"
            " directly." % _link_problem
        )
    descriptor, _link = _link, None
    return descriptor


def has_link():
    """Returns true if the engine started this process, or the one that it was forked from."""
    return _has_link


def close_on_exec(descriptor):
    """Keep `descriptor` from the programs which this one starts."""
    import fcntl

    flags = fcntl.fcntl(descriptor, fcntl.F_GETFD)
    fcntl.fcntl(descriptor, fcntl.F_SETFD, flags | fcntl.FD_CLOEXEC)


def mark_inside():
    """Remember, for the programs which this one starts, that an engine is already there."""
    os.environ[_INSIDE_VARIABLE] = os.environ.get("MODE") or ""


def unmark_inside():
    """Undo `mark_inside`, for what is started in the place of this program."""
    os.environ.pop(_INSIDE_VARIABLE, None)
    if MODE_OF_ANCESTOR is not None:
        os.environ[_INSIDE_VARIABLE] = MODE_OF_ANCESTOR


def asks_for_supervision():
    """The engine's subcommand when the engine is to start this program, else `None`."""
    if _INSIDE_VARIABLE in os.environ:
        return None
    mode = os.environ.get("MODE")
    if mode in _mode_names.SUPERVISED:
        return "run"
    # Hosting platforms start a container with the one argument `serve`.
    if mode is None and getattr(sys, "argv", [])[1:2] == ["serve"]:
        return "serve"
    return None


def is_tested():
    """Returns true if the mode is a self-test, so that the engine decides the exit status."""
    mode = os.environ.get("MODE")
    return mode in _mode_names.SUPERVISED and mode not in _mode_names.SERVING


def asks_for_a_result():
    """Returns true if `MODE` names a mode that writes its result to standard output."""
    mode = os.environ.get("MODE")
    is_one_shot = mode in _mode_names.BUILT_IN and mode not in _mode_names.SUPERVISED
    return is_one_shot and not interactive()


def is_started_by_a_model():
    """Returns true if a program that keeps standard output for its result started this one."""
    keeper = os.environ.get(STDOUT_VARIABLE, "").split(":")[0]
    # What a program has become is the program itself.
    is_kept = keeper not in ("", str(os.getpid()))
    return is_kept or os.environ.get("MODE") == MODE_OF_ANCESTOR


def is_child_of_multiprocessing():
    """Returns true if `multiprocessing`, or a library built on it, started this process."""
    return is_importing_main() or any(
        getattr(current, "_parent_pid", None) is not None for current in _current_processes()
    )


def is_importing_main():
    """Returns true if such a process is still running the program's file, before its work."""
    return any(getattr(current, "_inheriting", False) for current in _current_processes())


def _current_processes():
    modules = [sys.modules.get(name + ".process") for name in MULTIPROCESSING]
    return [module.current_process() for module in modules if module is not None]


def is_ours(frame):
    """Returns true if a frame runs code of this package."""
    return (frame.f_globals.get("__name__") or "").split(".")[0] == __name__.split(".")[0]


def interactive():
    """Returns true if the program is typed in: a notebook, a prompt, a script from stdin."""
    if "ipykernel" in sys.modules:
        return True
    if hasattr(sys.modules.get("__main__"), "__file__") or sys.argv[:1] in (["-c"], ["-m"]):
        return False
    # Python forgets the file once the program has ended; its threads may go on.
    return not _HAD_FILE or hasattr(sys, "ps1")


def is_prompt():
    """Returns true if a person can type more after a mode has ended."""
    return "ipykernel" in sys.modules or hasattr(sys, "ps1")


def line_buffer_output():
    """Let each printed line out at once, also where stdout is a pipe."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        try:
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(line_buffering=True)
            elif str is bytes and stream is getattr(sys, "__%s__" % name):
                setattr(sys, name, os.fdopen(stream.fileno(), "w", 1))
        except Exception:
            # A replaced or closed stream keeps its own buffering; that is no reason to stop.
            pass


def flush_output():
    """Write out what is printed but still buffered."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            # Closed, replaced or gone: nothing of it is left to save.
            pass


def warn(message):
    """Print a warning on stderr, for the person who runs the program."""
    try:
        sys.stderr.write("ai_integration: %s\n" % message)
        sys.stderr.flush()
    except Exception:
        # There is no stderr to write to.
        pass
