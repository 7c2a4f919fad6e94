"""One server for each model, for all tests."""

import contextlib

import language
import pytest


class Addresses(dict):
    """The address of each model, by its name. A model is served from its first use on."""

    def __init__(self, stack):
        super().__init__()
        self.stack = stack

    def __missing__(self, model):
        server = self.stack.enter_context(language.served(model))
        return self.setdefault(model, language.address(server))


@pytest.fixture(scope="session")
def addresses():
    with contextlib.ExitStack() as stack:
        yield Addresses(stack)
