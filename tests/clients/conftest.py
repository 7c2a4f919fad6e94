"""One server of each kind, for all tests."""

import calls
import pytest


@pytest.fixture(scope="session")
def ours():
    with calls.served() as server:
        yield calls.place_of(server)


@pytest.fixture(scope="session")
def theirs(tmp_path_factory):
    with calls.mlserver(tmp_path_factory.mktemp("mlserver")) as place:
        yield place
