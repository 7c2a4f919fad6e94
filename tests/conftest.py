"""Fixtures that every suite shares."""

import sys
import textwrap
import types
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import support  # noqa: E402


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
    """Marks the tests that read the clock, themselves or by a function of their module, as `timed`.

    They measure, so they run with nothing beside them; all others share the processors.
    """
    for item in items:
        if _reads_clock(item.function.__code__, item.module, set()):
            item.add_marker("timed")


def _reads_clock(code, module, seen):
    if code in seen:
        return False
    seen.add(code)
    if {"monotonic", "perf_counter", "process_time"} & set(code.co_names):
        return True
    used = [getattr(module, name, None) for name in code.co_names]
    return any(
        _reads_clock(inner, module, seen)
        for inner in [
            *(one for one in code.co_consts if isinstance(one, types.CodeType)),
            *(
                one.__code__
                for one in used
                if isinstance(one, types.FunctionType) and one.__module__ == module.__name__
            ),
        ]
    )
