"""Turns a serving program into the engine, which starts the program again as the model process.

A program under a self-test becomes the engine too, so that the engine decides the exit status. The
standard container entrypoint, `python entrypoint.py`, stays as it is: the engine takes over this
very process (as PID 1 in a container), so it outlives the model and can restart it. This happens
while the package is imported, before anything large is loaded, and only if the program can be
started again exactly as it was.
"""

import atexit
import os
import sys
import threading

from . import _binary, _guard, _process, _standard_streams

# Modules of debuggers and test runners, which run another program in their own process.
_OBSERVERS = ("debugpy", "pydevd", "pytest")
# Servers that load applications and serve them. Such an application may use this package.
_SERVERS = ("celery", "daphne", "granian", "gunicorn", "hypercorn", "uvicorn", "uwsgi")
# Finds the names of the loop. `run` must come from this package, because others have a `run` too.
_LOOP_NAMES = (
    r"get_next_input|start_loop|\bai_integration\.(?:run|requests)\b"
    r"|\bfrom\s+ai_integration\s+import\b(?:[^\n(]|\([^)]*\))*?\b(?:run|requests)\b"
    r"|\bimport\s+ai_integration\s+as\s+(\w+)\b(?=[\s\S]*\b\1\.(?:run|requests)\b)"
)
# The number of bytes of a program's file that are searched for these names.
_SEARCHED_BYTES = 1 << 20


def attempt():
    """Becomes the engine if the program can be started again; otherwise returns."""
    subcommand = _process.asks_for_supervision()
    if subcommand is None or not _is_plain_process():
        return
    # On a platform other programs may import this package too, such as for its client.
    if _process.may_be_on_a_platform() and subcommand == "run" and not _is_a_loop():
        return
    command = restart_command()
    if command is None:
        return
    binary = _binary.find()
    if binary is None:
        # The first request reports the missing binary, with the places that were searched.
        return
    _become(binary, [binary, subcommand, "--"] + command)


def is_a_program():
    """Returns true if this process runs a user's program that may be a model."""
    if not _is_plain_process():
        return False
    command = _command_line()
    kind, program = (None, None) if command is None else _program_of(command)
    if kind is None or _loads_others(kind, program):
        return False
    main_file = getattr(sys.modules.get("__main__"), "__file__", None)
    if kind == "module":
        # `python -m PACKAGE` imports the package before it knows the file of the program.
        top = sys.modules.get(program.split(".")[0])
        return not _is_installed(main_file or getattr(top, "__file__", None) or "")
    if kind == "code":
        # A user may also type such code to look at this package, while `MODE` is set for another
        # program.
        return _names_the_loop(program)
    return not _process.is_started_by_a_model() or _has_the_loop(main_file or program)


def _is_a_loop():
    """Returns true if the program that this process runs names the functions of the loop."""
    command = _command_line()
    kind, program = (None, None) if command is None else _program_of(command)
    main_file = getattr(sys.modules.get("__main__"), "__file__", None)
    if main_file is None and kind == "module":
        # `python -m PACKAGE` imports the package before it knows the file of the program.
        return True
    return getattr(sys, "frozen", False) or _has_the_loop(main_file or program or "")


def restart_command():
    """Returns the command that starts the program exactly as it was started, or `None`.

    Call it before the program has ended, because Python then forgets the program's file.
    """
    if getattr(sys, "frozen", False):
        # PyInstaller: the program is its own interpreter.
        return [sys.executable] + sys.argv[1:]
    command = _command_line()
    return command if command is not None and _can_restart(command) else None


def restart(command):
    """Runs the exit handlers, then starts the program again in this process."""
    # Private, but the same in every version of Python. No public function runs the handlers.
    atexit._run_exitfuncs()
    _process.unmark_inside()
    _become(command[0], command)


def _become(path, command):
    """Replaces this program by a command, in the folder in which the program was started."""
    _standard_streams.flush_output()
    _restore_signals()
    try:
        os.chdir(_process.STARTED_IN or "")
    except EnvironmentError:
        # The folder is gone. The program was found without it, so its path does not depend on it.
        pass
    os.execv(path, command)


def _is_plain_process():
    if sys.flags.inspect or sys.flags.interactive or _is_observed():
        return False
    # A forked copy of a program is not the program that the user started.
    if _guard.is_forked_from(os.getppid()):
        return False
    return isinstance(threading.current_thread(), threading._MainThread)


def _is_observed():
    """Returns true if a debugger or a test runner runs this program, and would lose it."""
    if sys.gettrace() is not None or any(name in sys.modules for name in _OBSERVERS):
        return True
    monitoring = getattr(sys, "monitoring", None)
    return monitoring is not None and monitoring.get_tool(monitoring.DEBUGGER_ID) is not None


def _command_line():
    """Returns the command that started this process, with the interpreter's own path in front."""
    if not sys.executable:
        return None
    original = getattr(sys, "orig_argv", None) or _kernel_arguments() or _rebuilt_arguments()
    return [sys.executable] + list(original[1:]) if original else None


def _kernel_arguments():
    try:
        with open("/proc/self/cmdline", "rb") as listing:
            words = listing.read().split(b"\0")[:-1]
    except (IOError, OSError):
        return None
    decode = getattr(os, "fsdecode", str)
    return [decode(word) for word in words]


def _rebuilt_arguments():
    """Rebuilds the command as far as possible, if neither Python nor the kernel has it."""
    import subprocess

    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        name = spec.name
        if name.endswith(".__main__"):
            name = name[: -len(".__main__")]
        program = ["-m", name]
    elif getattr(main, "__package__", None) is None:
        program = [sys.argv[0]]
    else:
        return None
    return [sys.executable] + subprocess._args_from_interpreter_flags() + program + sys.argv[1:]


def _can_restart(command):
    """Returns true if `command` runs the same program in the folder where it was started."""
    kind, program = _program_of(command)
    main_file = getattr(sys.modules.get("__main__"), "__file__", None)
    if kind is None or _loads_others(kind, program):
        return False
    if kind == "script":
        # A folder or archive runs the __main__.py inside it.
        if main_file is None:
            return False
        folder = _process.STARTED_IN or ""
        program, main_file = os.path.join(folder, program), os.path.join(folder, main_file)
        return _same_file(program, main_file) or _same_file(program, os.path.dirname(main_file))
    if kind == "module":
        # Python finds a module of its start folder only if the program has not changed the folder.
        if main_file is None:
            return True
        if not os.path.isabs(main_file):
            return os.path.exists(main_file)
        start = sys.path[0] if sys.path else ""
        beside = bool(start) and main_file.startswith(os.path.join(start, ""))
        return not beside or start == os.getcwd()
    # The code of `python -c` can run again if the folder is the same, which only a shell's `PWD`
    # shows. In a serving mode it does not run again: a user may also type such code to look at this
    # package, while `MODE` is set for another program.
    return _process.is_tested() and _same_file(os.environ.get("PWD", ""), os.curdir)


def _loads_others(kind, program):
    """Returns true if the program is a server that loads applications, or this package itself."""
    if kind == "module" and program.split(".")[0] == __name__.split(".")[0]:
        return True
    return kind in ("script", "module") and os.path.basename(program).split(".")[0] in _SERVERS


def _program_of(command):
    """Returns the kind and the name, or text, of the program on an interpreter's command line.

    Returns `("script", path)`, `("module", name)`, `("code", text)` or else `(None, None)`.
    """
    words = iter(command[1:])
    for word in words:
        if not word.startswith("-"):
            return "script", word
        if word == "-":
            break
        if word.startswith("--"):
            if word == "--check-hash-based-pycs":
                next(words, None)
            continue
        for end, letter in enumerate(word[1:], 2):
            if letter == "c":
                return "code", word[end:] or next(words, "")
            if letter == "m":
                return "module", word[end:] or next(words, "")
            if letter in "QWX":
                # The option's value is the rest of the word, or else the next one.
                if not word[end:]:
                    next(words, None)
                break
    return None, None


def _is_installed(file):
    """Returns true if a file belongs to Python or to an installed package."""
    folders = file.split(os.sep)
    library = os.path.join(os.path.dirname(os.__file__), "")
    return "site-packages" in folders or "dist-packages" in folders or file.startswith(library)


def _has_the_loop(file):
    """Returns true if a program's file names the functions of the loop."""
    try:
        with open(file, "rb") as source:
            return _names_the_loop(source.read(_SEARCHED_BYTES).decode("latin-1"))
    except EnvironmentError:
        return False


def _names_the_loop(source):
    import re

    return re.search(_LOOP_NAMES, source) is not None


def _same_file(one, other):
    try:
        return os.path.samefile(one, other)
    except (IOError, OSError):
        return False


def _restore_signals():
    """Resets the signals that Python ignores, because they would stay ignored across exec."""
    import signal

    for name in ("SIGPIPE", "SIGXFSZ"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
