"""What this process is: the engine's worker, an interactive session or a plain program."""

import os
import sys

from . import _mode_names

LINK_VARIABLE = "AI_INTEGRATION_LINK"

# Set for everything that a worker starts. `MODE` is inherited too, and a helper program which
# merely imports this package must not turn into a second server because of it.
_INSIDE_VARIABLE = "_AI_INTEGRATION_INSIDE"

_link = None


class BadSetting(ValueError):
    """A setting has a value that cannot be used; the user is told, without a traceback."""


def take_link():
    """Take the inherited link out of the environment; whether this process is a worker."""
    global _link
    number = os.environ.pop(LINK_VARIABLE, None)
    if number is not None:
        try:
            _link = int(number)
            close_on_exec(_link)
        except (ValueError, OverflowError):
            raise RuntimeError("%s is %r, not a descriptor's number" % (LINK_VARIABLE, number))
        except (IOError, OSError):
            raise RuntimeError(
                "%s names descriptor %s, which is not open: whatever started this program closed"
                " it. Let the engine start the program directly." % (LINK_VARIABLE, number)
            )
        mark_inside()
    return _link is not None


def link_descriptor():
    """The inherited link's descriptor, handed out once; `None` when there is none (any more)."""
    global _link
    descriptor, _link = _link, None
    return descriptor


def close_on_exec(descriptor):
    """Keep `descriptor` from the programs which this one starts."""
    import fcntl

    flags = fcntl.fcntl(descriptor, fcntl.F_GETFD)
    fcntl.fcntl(descriptor, fcntl.F_SETFD, flags | fcntl.FD_CLOEXEC)


def mark_inside():
    """Remember, for the programs which this one starts, that an engine is already there."""
    os.environ[_INSIDE_VARIABLE] = "1"


def asks_to_serve():
    """The engine's subcommand when this program is meant to serve by itself, else `None`."""
    if _INSIDE_VARIABLE in os.environ:
        return None
    mode = os.environ.get("MODE")
    if mode in _mode_names.SERVING:
        return "run"
    # Hosting platforms start a container with the one argument `serve`.
    if mode is None and getattr(sys, "argv", [])[1:2] == ["serve"]:
        return "serve"
    return None


def interactive():
    """Whether a person types the program in: a notebook, a prompt, a script from stdin."""
    if "ipykernel" in sys.modules:
        return True
    main = sys.modules.get("__main__")
    return not hasattr(main, "__file__") and sys.argv[:1] not in (["-c"], ["-m"])


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
    """Tell whoever runs the program, on stderr."""
    try:
        sys.stderr.write("ai_integration: %s\n" % message)
        sys.stderr.flush()
    except Exception:
        # Without a stderr there is nobody to tell.
        pass
