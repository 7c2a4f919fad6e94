"""Decides if the program goes on after an exception in its `with` block, and who sees it."""

import os
import sys

from . import _process

_VARIABLE = "AI_INTEGRATION_ON_EXCEPTION"
_POLICIES = ("auto", "stop", "continue")

# So many requests in a row that ended in an exception make a new start worth its time.
_IN_A_ROW = 3

# Classes and texts of exceptions after which a process rarely recovers. `cuda:0` is only the name
# of a device, in messages about arguments, and HIP and MPS are words only as they are.
_BROKEN = (
    r"(?i)out[ _]?of[ _]?memory|resource_?exhausted|cuda(?!:\d)|cudnn|cublas",
    r"(?<![A-Za-z])(HIP|MPS|OOM)(?![a-z])",
)

# Causes of causes that are looked at, and how much of the text of each.
_DEPTH = 10
_TEXT = 10000

# An exception whose traceback was printed has this attribute: the number of the block that it left.
# A program may raise the same one again in another.
_SHOWN = "_ai_integration_shown"
_block = [0]
# What the last batch failed with, and how many of its members may yet fail with it by themselves.
_of_batch = [None, 0]  # type: list[object]

# The statements around a line of code, by both: they are looked for once.
_around = {}  # type: dict[tuple[object, int], list[object]]


class Policy(object):
    """The reaction to exceptions that the setting asks for, and how many there were in a row."""

    def __init__(self):
        self._name = os.environ.get(_VARIABLE) or "auto"
        if self._name not in _POLICIES:
            choices = " or ".join(_POLICIES)
            raise _process.BadSetting("%s is %r; use %s" % (_VARIABLE, self._name, choices))
        # Whether `auto` keeps the program.
        self.keeps_by_default = False
        self._in_a_row = 0

    def keeps(self, kind, trace):
        """Returns true if the program goes on after an exception with this traceback."""
        if not issubclass(kind, Exception):
            return False
        if self._name == "auto":
            return self.keeps_by_default and not _is_caught(kind, trace.tb_frame)
        return self._name == "continue"

    def succeeded(self):
        """A request ended without an exception."""
        self._in_a_row = 0

    def reason_to_replace(self, kind, value):
        """The reason to replace the process after this exception, or `None`."""
        self._in_a_row += 1
        if self._name != "auto" or not self.keeps_by_default:
            return None
        if _says_broken(kind, value):
            return "%s: %s" % (kind.__name__, _text(value)[:200])
        if self._in_a_row >= _IN_A_ROW:
            self._in_a_row = 0
            return "%d requests in a row ended in an exception, the last in %s" % (
                _IN_A_ROW,
                kind.__name__,
            )
        return None


def begin_block():
    """Count a block, of which no exception was shown yet."""
    _block[0] += 1


def show(kind, value, trace, may_end, members=1):
    """Print an exception's traceback, once, and return whether it was or will be printed.

    Where it `may_end` the program, Python would print it again in the end, and is kept from that. A
    prompt and a hook of the program's own show it in their way, and are left to it. Of a batch the
    `members` run again by themselves, and the one that failed it does so once more.
    """
    if _is_shown(value):
        return True
    if may_end:
        if not issubclass(kind, Exception):
            # The answer has no traceback of it.
            return False
        if _process.interactive() or not _is_pythons(sys.excepthook):
            return True
    if not _is_of_batch((kind, _text(value)[:_TEXT]), members):
        import traceback

        traceback.print_exception(kind, value, trace)
    try:
        setattr(value, _SHOWN, _block[0])
    except Exception:
        # Some exceptions take no attributes; these are printed again.
        return True
    _keep_hooks_from_repeating()
    return True


def _is_of_batch(what, members):
    """Returns true if a batch has failed with the same exception before."""
    if members > 1:
        _of_batch[:] = [what, members]
        return False
    if what != _of_batch[0]:
        return False
    _of_batch[1] -= 1
    if _of_batch[1] == 0:
        _of_batch[0] = None
    return True


def _keep_hooks_from_repeating():
    """Keep Python's own last words from an exception that was printed, on any thread."""
    hook = sys.excepthook
    if _is_pythons(hook) and not hasattr(hook, _SHOWN):

        def excepthook(kind, value, trace):
            if not _is_shown(value):
                hook(kind, value, trace)

        setattr(excepthook, _SHOWN, True)
        sys.excepthook = excepthook
    threading = sys.modules.get("threading")
    thread_hook = getattr(threading, "excepthook", None)
    if getattr(thread_hook, "__module__", None) in ("_thread", "threading"):

        def thread_excepthook(arguments):
            if not _is_shown(arguments.exc_value):
                thread_hook(arguments)

        threading.excepthook = thread_excepthook  # novm


def _is_shown(value):
    return getattr(value, _SHOWN, None) == _block[0]


def _is_pythons(hook):
    """Returns true if Python's own hook prints the exception that ends the program."""
    return hook is sys.__excepthook__ or hasattr(hook, _SHOWN)


def _says_broken(kind, value):
    """Returns true if an exception, or its cause, says that memory or a device has failed."""
    import re

    for _ in range(_DEPTH):
        if issubclass(kind, MemoryError):
            return True
        told = "%s.%s: %s" % (kind.__module__, kind.__name__, _text(value)[:_TEXT])
        if any(re.search(pattern, told) for pattern in _BROKEN):
            return True
        hides = getattr(value, "__suppress_context__", False)
        value = getattr(value, "__cause__", None) or (
            None if hides else getattr(value, "__context__", None)
        )
        if value is None:
            return False
        kind = type(value)
    return False


def _text(value):
    try:
        return str(value)
    except Exception:
        # Also a text that Python 2 cannot encode.
        return ""


def _is_caught(kind, frame):
    """Returns true if the program itself catches the exception and goes on.

    Python does not tell; the source does. `frame` runs the block. An exception that nothing catches
    before it leaves the innermost loop around the block would end the program.
    """
    while frame is not None:
        place = (frame.f_code, frame.f_lineno)
        if place not in _around:
            _around[place] = _statements_around(frame)
        for statement in reversed(_around[place]):
            handlers = getattr(statement, "handlers", None)
            if handlers is None:
                # A loop, which the exception would leave.
                return False
            if any(_takes(handler.type, frame, kind) for handler in handlers):
                return True
        frame = frame.f_back
    return False


def _statements_around(frame):
    """The loops and `try` bodies in which the frame's line stands, outer ones first."""
    import ast
    import linecache

    if frame.f_code.co_filename.startswith(os.path.dirname(os.__file__)):
        # Python's own code, such as that which runs a thread, catches to report only.
        return []
    linecache.checkcache(frame.f_code.co_filename)
    source = "".join(linecache.getlines(frame.f_code.co_filename, frame.f_globals))
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        # No source, or not the one that runs.
        return []
    # What is around a function's definition is not around its call.
    begin = 0 if frame.f_code.co_name == "<module>" else frame.f_code.co_firstlineno
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, (ast.For, ast.While)) and not getattr(node, "handlers", None):
            continue
        lines = [getattr(part, "lineno", 0) for child in node.body for part in ast.walk(child)]
        if begin <= node.lineno and node.body[0].lineno <= frame.f_lineno <= max(lines):
            found.append(node)
    return sorted(found, key=lambda node: node.lineno)


def _takes(expression, frame, kind):
    """Returns true if an `except` clause with this expression catches this kind."""
    if expression is None:
        return True
    import ast

    code = compile(ast.Expression(expression), "<except>", "eval")
    try:
        return issubclass(kind, eval(code, frame.f_globals, frame.f_locals))
    except Exception:
        # What cannot be told now would not be caught either.
        return False
