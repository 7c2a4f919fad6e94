import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import pytest  # noqa: E402
from scene import rows, table  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def report():
    """Prints a table of all faults at the end, which `-s` shows."""
    yield
    if rows:
        print("\n" + table())
