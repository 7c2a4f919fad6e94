import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import pytest  # noqa: E402
from scene import rows, table  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def report():
    """A table of all faults in the end, for whoever looks at the output (-s)."""
    yield
    if rows:
        print("\n" + table())
