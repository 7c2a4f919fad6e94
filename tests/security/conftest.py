import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent))

import support  # noqa: E402
from support import eventually, serve  # noqa: E402

# Returns the number of its calls, which no refused request may change.
MODEL = """
    import ai_integration
    schema = {
        "text": {"type": "text", "required": False},
        "json": {"type": "json", "required": False},
        "number": {"type": "number", "required": False},
        "integer": {"type": "integer", "required": False},
        "image": {"type": "image", "required": False},
    }
    calls = 0
    while True:
        with ai_integration.get_next_input(inputs_schema=schema) as inputs:
            calls += 1
            text = str(calls) if inputs.get("text") == "calls" else repr(sorted(inputs.items()))
            ai_integration.send_result(
                {"content-type": "text/plain", "data": text, "success": True})
"""


@pytest.fixture(scope="module")
def module_program(tmp_path_factory):
    import textwrap

    path = tmp_path_factory.mktemp("model") / "entrypoint.py"
    path.write_text(textwrap.dedent(MODEL))
    return path


@pytest.fixture(scope="module")
def server(module_program):
    """Runs one server for a module: no test may affect the next one."""
    with serve(module_program, HOST="127.0.0.1", AI_INTEGRATION_MAX_BODY=4 << 20) as server:
        yield server


@pytest.fixture
def untouched(server):
    """Asserts that no request of the test reached the model, and that the server still serves."""

    def calls():
        return int(server.post(text="calls", headers={"Host": "localhost"}).body)

    before = calls()
    yield
    assert calls() == before + 1
    eventually(lambda: server.get("/readyz").status == 200, "the server is ready")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")

    def make(name):
        support.certificate(folder, name)
        return folder

    return make
