"""Finds out what this process is: a model process, an interactive session or another program."""

import os
import stat
import sys

from . import _names

LINK_VARIABLE = "AI_INTEGRATION_LINK"
_CONCURRENCY_VARIABLE = "AI_INTEGRATION_CONCURRENCY"
_MAX_CONCURRENCY = 1024

# Set for all programs that the model process starts. These inherit `MODE` too, and a program that
# only imports this package must not become a second server.
_INSIDE_VARIABLE = "_AI_INTEGRATION_INSIDE"

# Chooses the hosting platform, or "none".
PLATFORM_VARIABLE = "AI_INTEGRATION_PLATFORM"

# Names the model process for a process that multiprocessing started there; see `_guard`.
MODEL_VARIABLE = "_AI_INTEGRATION_MODEL"

# Names the file of the result for a model that this program starts; see `_standard_streams`.
STDOUT_VARIABLE = "_AI_INTEGRATION_STDOUT"

# The mode of the model that started this process, directly or not; `None` without such a model.
MODE_OF_ANCESTOR = os.environ.get(_INSIDE_VARIABLE)
# The number of the process that imported this package; a forked child has another one.
STARTED_AS = os.getpid()

_HAD_FILE = hasattr(sys.modules.get("__main__"), "__file__")

# The standard library's module, and a package that replaces it and can pickle more.
MULTIPROCESSING = ("multiprocessing", "multiprocess")


def _start_folder():
    """Returns the folder in which the program was started, or `None` if it is unknown.

    A program may change its folder before it imports this package. If the user typed the script's
    path relative to the first folder, Python 3.9 or newer has put that folder in front of the path.
    """
    script = getattr(sys.modules.get("__main__"), "__file__", None) or ""
    typed = os.path.join("", *getattr(sys, "argv", [])[:1])
    if typed and script != typed and script.endswith(os.sep + typed):
        return script[: -len(typed)]
    try:
        return os.getcwd()
    except EnvironmentError:
        return None


STARTED_IN = _start_folder()

_link = None
_has_link = False
# The reason why the inherited link cannot be used.
_link_problem = None


class BadSetting(ValueError):
    """A setting has a value that cannot be used. The user sees the message without a traceback."""


def take_link():
    """Takes the inherited link from the environment. Returns true if this is the model process.

    A program that the model started may inherit the variable without the link. This is no error if
    the program only imports this package, so only the first request reports a link that cannot be
    used.
    """
    global _has_link, _link, _link_problem
    if not is_child_of_multiprocessing():
        # Processes that this program starts must not report to the model that started this one.
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
    """Returns the inherited link's descriptor once; `None` at later calls, or without a link."""
    global _link
    if _link_problem is not None:
        raise RuntimeError(
            "%s. The program that started this one did not pass on the engine's link. Let the"
            " engine start this program directly." % _link_problem
        )
    descriptor, _link = _link, None
    return descriptor


def has_link():
    """Returns true if the engine started this process, or the process that it was forked from."""
    return _has_link


def concurrency(given):
    """Returns the number of requests to run at the same time: the setting's, or else `given`."""
    if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= _MAX_CONCURRENCY:
        raise ValueError(
            "concurrency is %r; it is a whole number from 1 to %d" % (given, _MAX_CONCURRENCY)
        )
    setting = os.environ.get(_CONCURRENCY_VARIABLE)
    if not setting:
        return given
    try:
        number = int(setting)
    except ValueError:
        number = 0
    if not 1 <= number <= _MAX_CONCURRENCY:
        raise BadSetting(
            "%s is %r; it is a whole number from 1 to %d"
            % (_CONCURRENCY_VARIABLE, setting, _MAX_CONCURRENCY)
        )
    return number


def close_on_exec(descriptor):
    """Keeps programs that this one starts from inheriting `descriptor`."""
    import fcntl

    flags = fcntl.fcntl(descriptor, fcntl.F_GETFD)
    fcntl.fcntl(descriptor, fcntl.F_SETFD, flags | fcntl.FD_CLOEXEC)


def mark_inside():
    """Lets programs that this one starts know that an engine is already there."""
    os.environ[_INSIDE_VARIABLE] = os.environ.get("MODE") or ""


def unmark_inside():
    """Undoes `mark_inside`, for a program that replaces this one."""
    os.environ.pop(_INSIDE_VARIABLE, None)
    if MODE_OF_ANCESTOR is not None:
        os.environ[_INSIDE_VARIABLE] = MODE_OF_ANCESTOR


def asks_for_supervision():
    """Returns the engine's subcommand if the engine must start this program, else `None`."""
    if _INSIDE_VARIABLE in os.environ:
        return None
    mode = os.environ.get("MODE")
    if mode in _names.SUPERVISED_MODES:
        return "run"
    # Hosting platforms start a container with the one argument `serve`.
    if mode is None and getattr(sys, "argv", [])[1:2] == ["serve"]:
        return "serve"
    return "run" if may_be_on_a_platform() else None


def may_be_on_a_platform():
    """Returns true if no mode is set, and a hosting platform that chooses one may run this program.

    The engine decides: a platform's variable may be there for another reason.
    """
    if os.environ.get("MODE", "").strip():
        return False
    for name, value in _names.PLATFORM_VARIABLES:
        given = os.environ.get(name, "").strip().lower()
        if name == PLATFORM_VARIABLE and given == "none":
            return False
        if given and (value is None or given == value.lower()):
            return True
    return False


def is_tested():
    """Returns true if the mode is a self-test, so that the engine decides the exit status."""
    mode = os.environ.get("MODE")
    return mode in _names.SUPERVISED_MODES and mode not in _names.SERVING_MODES


def is_piped():
    """Returns true if `MODE` names a serving mode whose client reads standard output."""
    return os.environ.get("MODE") in _names.PIPED_MODES


def asks_for_a_result():
    """Returns true if `MODE` names a mode that writes its result to standard output."""
    mode = os.environ.get("MODE")
    is_one_shot = mode in _names.MODES and mode not in _names.SUPERVISED_MODES
    return is_one_shot and not interactive()


def is_started_by_a_model():
    """Returns true if a program that saved standard output for its result started this one."""
    saver = os.environ.get(STDOUT_VARIABLE, "").split(":")[0]
    # If this process saved it, an earlier program of this process did, before `os.execv`.
    is_saved = saver not in ("", str(os.getpid()))
    return is_saved or os.environ.get("MODE") == MODE_OF_ANCESTOR


def is_child_of_multiprocessing():
    """Returns true if `multiprocessing`, or a library built on it, started this process."""
    return is_importing_main() or any(
        getattr(current, "_parent_pid", None) is not None for current in _current_processes()
    )


def is_importing_main():
    """Returns true if such a child still runs the program's file: its work has not begun."""
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
    # Python forgets the file when the program's code has ended; the program's threads may go on.
    return not _HAD_FILE or hasattr(sys, "ps1")


def is_prompt():
    """Returns true if a person can type more after a mode has ended."""
    return "ipykernel" in sys.modules or hasattr(sys, "ps1")


def line_buffer_output():
    """Makes stdout and stderr write each line at once, also if they are pipes."""
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
    """Writes text that was printed but is still buffered."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            # The stream is closed, replaced or missing: it has no text that can be written.
            pass


def warn(message):
    """Prints a warning on stderr, for the person who runs the program."""
    try:
        sys.stderr.write("ai_integration: %s\n" % message)
        sys.stderr.flush()
    except Exception:
        # There is no stderr to write to.
        pass
