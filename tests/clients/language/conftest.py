"""One server for each model, for all tests."""

import contextlib

import language
import pytest


@pytest.fixture(scope="session")
def addresses():
    """The address of each model, by its name."""
    names = ("chat", "prompt", "embedding", "sound", "speech", "picture")
    with contextlib.ExitStack() as stack:
        yield {name: language.address(stack.enter_context(language.served(name))) for name in names}
