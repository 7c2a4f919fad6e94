"""Fixtures that every suite shares."""

import sys
import textwrap
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import support  # noqa: E402


@pytest.fixture
def program(tmp_path):
    """Writes a program of a model's author, and gives its path."""

    def write(source, name="entrypoint.py"):
        path = tmp_path / name
        path.write_text(textwrap.dedent(source))
        return path

    return write


@pytest.fixture(scope="session", autouse=True)
def installed():
    """The suites are about the installed package: without one nothing they say would be true."""
    if not Path(support.BINARY).is_file():
        pytest.exit("ai-integration is not installed beside %s; use `make test`" % support.PYTHON)


def pytest_collection_modifyitems(items):
    """Marks the tests of each module that reads the clock as `timed`."""
    for item in items:
        if hasattr(item.module, "time"):
            item.add_marker("timed")
