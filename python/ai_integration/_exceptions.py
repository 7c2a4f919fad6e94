"""What becomes of the program when an exception leaves its `with` block."""

import os

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
        """Whether the program goes on after an exception of this kind, with this traceback."""
        if not issubclass(kind, Exception):
            return False
        if self._name == "auto":
            return self.keeps_by_default and not _is_caught(kind, trace.tb_frame)
        return self._name == "continue"

    def succeeded(self):
        """A request ended without an exception."""
        self._in_a_row = 0

    def reason_to_replace(self, kind, value):
        """Why the process should be replaced after this exception, or `None`."""
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


def _says_broken(kind, value):
    """Whether an exception, or what it came from, says that memory or a device has failed."""
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
    """Whether the program itself catches the exception around the block, and loops on.

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
    """Whether an `except` clause with this expression takes exceptions of this kind."""
    if expression is None:
        return True
    import ast

    code = compile(ast.Expression(expression), "<except>", "eval")
    try:
        return issubclass(kind, eval(code, frame.f_globals, frame.f_locals))
    except Exception:
        # What cannot be told now would not be caught either.
        return False
