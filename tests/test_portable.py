"""The package as it works on systems other than Linux.

The engine is compiled without its code for Linux only, and Python gets neither /proc nor the
functions that macOS lacks. The tests still run on Linux, so they miss what only another compiler
would find.
"""

import base64
import hashlib
import json
import pickle
from pathlib import Path

import pytest
from compat import STYLES, model
from support import REPOSITORY, run, serve

BUILT = REPOSITORY / "target" / "portable" / "debug" / "ai-integration"
# Enough to go through memory files where there are any.
LARGE = bytes(range(256)) * 8192
MODEL = """
    import hashlib, os, subprocess, sys
    SCHEMA = {"text": {"type": "text"}, "file": {"type": "file", "required": False}}

    def infer(inputs):
        text, file = inputs["text"], inputs.get("file") or b""
        print("working on", text, flush=True)
        if text == "die":
            os._exit(3)
        if text == "raise":
            raise ValueError("on purpose")
        if text == "back":
            return {"content-type": "application/octet-stream", "data": file, "success": True}
        if text == "pieces":
            return {"content-type": "text/plain", "data": iter("abc"), "success": True}
        said = text.upper() + hashlib.sha256(file).hexdigest()
        return {"content-type": "text/plain", "data": said, "success": True}
"""
SAID = "SHOUT" + hashlib.sha256(LARGE).hexdigest()


@pytest.fixture(params=STYLES)
def written(request, program):
    return program(model(MODEL, request.param))


@pytest.fixture
def place():
    """Returns the variables that let a program run as on another system."""
    if not BUILT.is_file():
        pytest.skip("%s is not built; make %s does that" % (BUILT, BUILT.relative_to(REPOSITORY)))
    folder = Path(__file__).parent / "portable"
    return {"AI_INTEGRATION_BINARY": BUILT, "PYTHONPATH": folder}


def test_this_python_lacks_what_only_linux_has(program, place):
    path = program("import os; print(hasattr(os, 'memfd_create'), os.path.exists('/proc/self'))")
    assert run(path, **place).stdout.split() == [b"False", b"False"]


def test_the_engine_makes_no_memory_files(program, place):
    source = """
        import os
        SCHEMA = {"file": {"type": "file"}}

        def infer(inputs):
            held = os.popen("ls -l /proc/%d/fd" % os.getppid()).read()
            return {"content-type": "text/plain", "data": held, "success": True}
    """
    for variables, expected in [({}, True), (place, False)]:
        with serve(program(model(source)), **variables) as server:
            assert ("memfd:ai_integration" in server.post(file=LARGE).body.decode()) is expected


def test_the_one_shot_modes(written, place, tmp_path):
    (tmp_path / "large").write_bytes(LARGE)
    flags = ["--text", "shout", "--file", tmp_path / "large"]
    piped = {"text": "shout", "file": LARGE}
    for mode, words, stdin in [
        ("command_line", flags, b""),
        ("test_inputs_pickled_dict", [], pickle.dumps(piped, 2)),
    ]:
        done = run(written, *words, mode=mode, stdin=stdin, **place)
        assert done.returncode == 0, done.stderr
        # The mode for pickles prints its progress, and the result last.
        assert done.stdout.decode().strip().endswith(SAID)
        assert b"working on shout" in done.stderr
    text = json.dumps({"text": "shout", "file": base64.b64encode(LARGE).decode()}).encode()
    done = run(written, mode="test_inputs_dict_json", stdin=text, **place)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().strip().endswith(SAID)
    done = run(written, "--text", "raise", mode="command_line", **place)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"on purpose" in done.stderr
    assert run(written, mode="test_model_integration", **place).returncode == 0


def test_a_server(written, place):
    with serve(written, **place) as server:
        assert server.post(text="shout", file=LARGE).body.decode() == SAID
        assert server.post(text="back", file=LARGE).body == LARGE
        assert server.post(text="pieces").body == b"abc"
        assert "on purpose" in server.classic(text="raise")["err"]
        died = server.classic(text="die")["err"]
        assert "exit status 3" in died
        assert server.classic(text="shout", file=LARGE)["output"] == SAID
        server.wait_for_output("working on back")
        assert server.stop() == 0


def test_a_limit_of_memory_is_noticed(written, place):
    with serve(written, AI_INTEGRATION_MAX_RSS=2, **place) as server:
        assert server.classic(text="x")["output"].startswith("X")
        server.wait_for_output(r"uses \d+ MiB, more than 2 MiB")
        assert server.classic(text="y")["output"].startswith("Y")


def test_a_custom_mode(written, place, tmp_path):
    (tmp_path / "modes").mkdir()
    source = "def mine(inference_function): print(inference_function({'text': 'a'})['data'])\n"
    (tmp_path / "modes" / "mine.py").write_text(source + "MODULE_MODES = {'mine': mine}\n")
    done = run(written, mode="mine", AI_INTEGRATION_MODES_PATH=tmp_path / "modes", **place)
    assert done.returncode == 0, done.stderr
    assert b"\nA" in b"\n" + done.stdout


def test_a_pool_without_a_guard_is_reported(program, place):
    source = """
        import multiprocessing
        import ai_integration

        multiprocessing.set_start_method("spawn")
        while True:
            with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
                with multiprocessing.Pool(1) as pool:
                    said = pool.map(str.upper, [inputs["text"]])[0]
                result = {"content-type": "text/plain", "data": said, "success": True}
                ai_integration.send_result(result)
    """
    done = run(program(source), "--text", "a", mode="command_line", **place)
    assert done.returncode != 0
    assert b"__main__" in done.stderr
