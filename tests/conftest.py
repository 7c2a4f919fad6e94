"""Fixtures that every suite shares."""

import signal
import sys
import textwrap
import types
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import support  # noqa: E402

# A shell that runs the tests in the background makes them ignore these signals, and programs that
# they start would inherit that.
for number in (signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(number) is signal.SIG_IGN:
        default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, default)


@pytest.fixture
def program(tmp_path):
    """Writes the program of a model, and returns its path."""

    def write(source, name="entrypoint.py"):
        path = tmp_path / name
        path.write_text(textwrap.dedent(source))
        return path

    return write


@pytest.fixture(scope="session", autouse=True)
def installed():
    """Fails if the package is not installed, because the suites test the installed package."""
    if not Path(support.BINARY).is_file():
        pytest.exit("ai-integration is not installed beside %s; use `make test`" % support.PYTHON)


def pytest_collection_modifyitems(items):
    """Marks the tests that read the clock, themselves or by what they use, as `timed`.

    They measure, so they run with nothing beside them; all others share the processors.
    """
    for item in items:
        if _reads_clock(item.function, item.module, set()):
            item.add_marker("timed")


def _reads_clock(used, module, seen):
    """Returns true if a function or class of the tests, or one that it uses, reads the clock.

    `support` waits by the clock, but measures nothing.
    """
    if isinstance(used, type):
        return any(_reads_clock(one, module, seen) for one in vars(used).values())
    code = getattr(used, "__code__", used)
    if not isinstance(code, types.CodeType) or code in seen:
        return False
    seen.add(code)
    if {"monotonic", "perf_counter", "process_time"} & set(code.co_names):
        return True
    if any(_reads_clock(one, module, seen) for one in code.co_consts):
        return True
    for name in code.co_names:
        one = getattr(module, name, None)
        home = sys.modules.get(getattr(one, "__module__", None))
        if home is not support and _is_of_the_tests(home) and _reads_clock(one, home, seen):
            return True
    return False


def _is_of_the_tests(module):
    return Path(__file__).parent in Path(getattr(module, "__file__", None) or "/").parents
