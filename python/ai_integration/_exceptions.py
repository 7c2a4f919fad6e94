"""Decides if the program goes on after an exception in its `with` block, and prints it once."""

import os
import sys

from . import _process

_VARIABLE = "AI_INTEGRATION_ON_EXCEPTION"
_POLICIES = ("auto", "stop", "continue")

# The number of requests in a row with an exception after which the process is replaced.
_MAX_FAILURES = 3

# Patterns for classes and texts of exceptions after which a process rarely recovers. `cuda:0` does
# not match: it is the name of a device, in messages about arguments. HIP, MPS and OOM match only
# as words in capitals.
_BROKEN = (
    r"(?i)out[ _]?of[ _]?memory|resource_?exhausted|cuda(?!:\d)|cudnn|cublas",
    r"(?<![A-Za-z])(HIP|MPS|OOM)(?![a-z])",
)

# The maximum number of exceptions in a chain of causes, and of characters in the text of each.
_MAX_CAUSES = 10
_MAX_TEXT = 10000

# An exception whose traceback was printed has this attribute: the number of the block that it left.
# A program may raise the same exception again in another block.
_SHOWN = "_ai_integration_shown"
_block_number = [0]
# The exception of the last failed batch, and the number of its members that may still fail with it
# when they run again one by one.
_batch_failure = [None, 0]  # type: list[object]

# A cache of the statements around a line, by its code object and line number.
_statements_by_line = {}  # type: dict[tuple[object, int], list[object]]


class Policy(object):
    """The reaction to exceptions that the setting asks for. It counts the exceptions in a row."""

    def __init__(self):
        self._name = os.environ.get(_VARIABLE) or "auto"
        if self._name not in _POLICIES:
            choices = " or ".join(_POLICIES)
            raise _process.BadSetting("%s is %r; use %s" % (_VARIABLE, self._name, choices))
        # True if the program goes on after an exception under `auto`.
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
        """Records that a request ended without an exception."""
        self._in_a_row = 0

    def reason_to_replace(self, kind, value):
        """Returns the reason to replace the process after this exception, or `None`."""
        self._in_a_row += 1
        if self._name != "auto" or not self.keeps_by_default:
            return None
        if _says_broken(kind, value):
            return "%s: %s" % (kind.__name__, _text_of(value)[:200])
        if self._in_a_row >= _MAX_FAILURES:
            self._in_a_row = 0
            return "%d requests in a row ended in an exception, the last in %s" % (
                _MAX_FAILURES,
                kind.__name__,
            )
        return None

    def reason_to_replace_after(self, kind, value):
        """Returns the same reason for a process that runs several requests at the same time.

        Such a process is never ended at once, because of the other requests.
        """
        if self._name == "stop" or (self._name == "auto" and not self.keeps_by_default):
            return "a request ended in an exception: %s" % kind.__name__
        return self.reason_to_replace(kind, value)


def forget(value):
    """Forgets that an exception was printed: the program may raise it again in another request."""
    if hasattr(value, _SHOWN):
        delattr(value, _SHOWN)


def begin_block():
    """Begins the next block, of which no exception was printed yet."""
    _block_number[0] += 1


def show(kind, value, trace, may_end, members=1):
    """Prints an exception's traceback once. Returns true if it was or will be printed.

    If the exception `may_end` the program, Python's hooks would print it again, and are kept from
    that. A prompt, or a hook of the program, prints it instead of this function. If a batch failed,
    its `members` run again one by one, and the same exception is then not printed again.
    """
    if _is_shown(value):
        return True
    if may_end:
        if not issubclass(kind, Exception):
            # Python handles it by itself, and the request's failure has no traceback of it.
            return False
        if _process.interactive() or not _is_pythons(sys.excepthook):
            return True
    if not _is_batch_failure((kind, _text_of(value)[:_MAX_TEXT]), members):
        import traceback

        traceback.print_exception(kind, value, trace)
    try:
        setattr(value, _SHOWN, _block_number[0])
    except Exception:
        # Some exceptions allow no attributes. Python prints these again.
        return True
    _keep_hooks_from_repeating()
    return True


def _is_batch_failure(exception, members):
    """Returns true if a batch has failed with the same exception before."""
    if members > 1:
        _batch_failure[:] = [exception, members]
        return False
    if exception != _batch_failure[0]:
        return False
    _batch_failure[1] -= 1
    if _batch_failure[1] == 0:
        _batch_failure[0] = None
    return True


def _keep_hooks_from_repeating():
    """Makes Python's hooks, on all threads, skip an exception that was printed already."""
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
    return getattr(value, _SHOWN, None) == _block_number[0]


def _is_pythons(hook):
    """Returns true if Python's own hook prints the exception that ends the program."""
    return hook is sys.__excepthook__ or hasattr(hook, _SHOWN)


def _says_broken(kind, value):
    """Returns true if an exception, or its cause, says that memory or a device has failed."""
    import re

    for _ in range(_MAX_CAUSES):
        if issubclass(kind, MemoryError):
            return True
        text = "%s.%s: %s" % (kind.__module__, kind.__name__, _text_of(value)[:_MAX_TEXT])
        if any(re.search(pattern, text) for pattern in _BROKEN):
            return True
        hides = getattr(value, "__suppress_context__", False)
        value = getattr(value, "__cause__", None) or (
            None if hides else getattr(value, "__context__", None)
        )
        if value is None:
            return False
        kind = type(value)
    return False


def _text_of(value):
    try:
        return str(value)
    except Exception:
        # It raised an exception, or Python 2 cannot encode the text.
        return ""


def _is_caught(kind, frame):
    """Returns true if the program itself catches the exception and goes on.

    Only the source shows that. `frame` runs the block. An exception that leaves the innermost loop
    around the block counts as one that ends the program.
    """
    while frame is not None:
        place = (frame.f_code, frame.f_lineno)
        if place not in _statements_by_line:
            _statements_by_line[place] = _statements_around(frame)
        for statement in reversed(_statements_by_line[place]):
            handlers = getattr(statement, "handlers", None)
            if handlers is None:
                # The statement is a loop, which the exception would leave.
                return False
            if any(_takes(handler.type, frame, kind) for handler in handlers):
                return True
        frame = frame.f_back
    return False


def _statements_around(frame):
    """Returns the loops and `try` statements around the frame's line, outer ones first."""
    import ast
    import linecache

    if frame.f_code.co_filename.startswith(os.path.dirname(os.__file__)):
        # Python's own code, such as `threading`, catches exceptions only to print them.
        return []
    linecache.checkcache(frame.f_code.co_filename)
    source = "".join(linecache.getlines(frame.f_code.co_filename, frame.f_globals))
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        # There is no source, or it is not the source of the code that runs.
        return []
    # A statement around a function's definition is not around the function's call.
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
        # An expression that fails here would also fail in the program, and catch nothing.
        return False
