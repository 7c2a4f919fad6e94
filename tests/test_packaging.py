"""Programs that are packed into one file or folder, with this package inside."""

import os
import shutil
import subprocess
import sys
import zipapp
from pathlib import Path

import ai_integration
import pytest
from compat import STYLES, model
from environments import python_with
from support import BINARY, PYTHON, environment, run, serve

PACKAGE = Path(ai_integration.__file__).parent
MODEL = """
    import os
    SCHEMA = {"text": {"type": "text"}}

    def infer(inputs):
        if inputs["text"] == "die":
            os._exit(3)
        if inputs["text"] == "client":
            import ai_integration
            inputs["text"] = repr(ai_integration.AsyncClient("http://localhost"))
        return {"content-type": "text/plain", "data": inputs["text"] + "!", "success": True}
"""


def no_binary_around():
    """An interpreter that has no binary beside it, and variables under which none is found."""
    base = os.path.realpath(PYTHON)
    if Path(base).with_name("ai-integration").exists():
        pytest.skip("the base interpreter has the binary beside it")
    return base, {"PATH": "/nonexistent"}


def serves_and_starts_again(path, **how):
    """Checks that a packed program serves, and goes on serving after its model has died."""
    with serve(path, **how) as server:
        assert server.classic(text="a")["output"] == "a!"
        assert "exit status 3" in server.classic(text="die")["err"]
        assert server.classic(text="b")["output"] == "b!"
        assert server.stop() == 0


@pytest.fixture(params=STYLES)
def archive(request, tmp_path):
    """A program and the package in an archive of zipapp."""
    folder = tmp_path / "program"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, folder / "ai_integration", ignore=ignored)
    (folder / "__main__.py").write_text(model(MODEL, request.param))
    zipapp.create_archive(folder, tmp_path / "program.pyz")
    shutil.rmtree(folder)
    return tmp_path / "program.pyz"


class TestZipapp:
    @pytest.mark.parametrize("stdin", [None, b'{"text": "a"}'])
    def test_the_one_shot_modes(self, archive, stdin):
        mode = "command_line" if stdin is None else "test_inputs_dict_json"
        words = [] if stdin else ["--text", "a"]
        done = run(archive, *words, mode=mode, stdin=stdin or b"")
        assert done.returncode == 0, done.stderr
        assert done.stdout.endswith(b"a!\n")

    def test_http(self, archive):
        serves_and_starts_again(archive)

    def test_the_engine_is_found_on_the_path_and_beside_the_archive(self, archive, tmp_path):
        base, nowhere = no_binary_around()
        words = ["--text", "a"]
        path = {"PATH": os.path.dirname(BINARY)}
        done = run(archive, *words, python=base, mode="command_line", **path)
        assert (done.returncode, done.stdout) == (0, b"a!\n"), done.stderr
        os.symlink(BINARY, tmp_path / "ai-integration")
        done = run(archive, *words, python=base, mode="command_line", **nowhere)
        assert (done.returncode, done.stdout) == (0, b"a!\n"), done.stderr
        serves_and_starts_again(archive, python=base, **nowhere)

    @pytest.mark.parametrize("mode", ["command_line", "http"])
    def test_without_an_engine_the_error_names_a_way_out(self, archive, tmp_path, mode):
        base, nowhere = no_binary_around()
        done = run(archive, "--text", "a", python=base, mode=mode, **nowhere)
        assert (done.returncode, done.stdout) == (1, b"")
        errors = done.stderr.decode()
        assert "the ai-integration binary was not found" in errors
        assert str(tmp_path / "ai-integration") in errors
        assert "beside the archive" in errors
        assert "AI_INTEGRATION_BINARY" in errors
        assert "Traceback" not in errors

    def test_a_custom_mode(self, archive, tmp_path):
        (tmp_path / "modes").mkdir()
        source = "def mine(inference_function): print(inference_function({'text': 'a'})['data'])\n"
        (tmp_path / "modes" / "mine.py").write_text(source + "MODULE_MODES = {'mine': mine}\n")
        done = run(archive, mode="mine", AI_INTEGRATION_MODES_PATH=tmp_path / "modes")
        assert (done.returncode, done.stdout) == (0, b"a!\n"), done.stderr


# This function is the model if the variable is set.
FUNCTION = """
import os
import ai_integration

def shout(text: str):
    return text + "?"

if "FUNCTION" in os.environ:
    ai_integration.run(shout)
"""
# Makes both bundles from one analysis of the program, which takes most of the time.
SPECIFICATION = """
looked_at = Analysis([{program!r}])
archive = PYZ(looked_at.pure)
EXE(archive, looked_at.scripts, looked_at.binaries, looked_at.datas, [], name="one-file")
program = EXE(archive, looked_at.scripts, [], exclude_binaries=True, name="program")
COLLECT(program, looked_at.binaries, looked_at.datas, name="one-folder")
"""


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """A program as PyInstaller makes one file and one folder of it."""
    folder = tmp_path_factory.mktemp("bundles")
    (folder / "entrypoint.py").write_text(FUNCTION + model(MODEL))
    # The bundle must not contain the packages that only the tests need.
    beside = folder / "packages"
    shutil.copytree(PACKAGE, beside / "ai_integration")
    for about in PACKAGE.parent.glob("ai_integration-*.dist-info"):
        shutil.copytree(about, beside / about.name)
    (folder / "both.spec").write_text(SPECIFICATION.format(program=str(folder / "entrypoint.py")))
    python = python_with("pyinstaller", ["pyinstaller==6.22.3"])
    done = subprocess.run(
        [python, "-m", "PyInstaller", "--log-level", "WARN", "both.spec"],
        cwd=folder,
        env=environment(PYTHONPATH=beside, AI_INTEGRATION_BINARY=BINARY),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode()
    return {
        "one file": folder / "dist" / "one-file",
        "one folder": folder / "dist" / "one-folder" / "program",
    }


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="PyInstaller packs CPython only")
class TestPyInstaller:
    @pytest.mark.parametrize("kind", ["one file", "one folder"])
    def test_the_bundle_brings_its_engine(self, bundles, kind):
        nowhere = {"PATH": "/nonexistent"}
        path = bundles[kind]
        done = run(path, "--text", "a", command=[], mode="command_line", **nowhere)
        assert (done.returncode, done.stdout) == (0, b"a!\n"), done.stderr
        done = run(path, "--text", "a", command=[], mode="command_line", FUNCTION=1, **nowhere)
        assert (done.returncode, done.stdout) == (0, b"a?\n"), done.stderr
        serves_and_starts_again(path, command=[], **nowhere)

    def test_the_bundle_brings_the_client_of_servers(self, bundles):
        done = run(bundles["one folder"], "--text", "client", command=[], mode="command_line")
        assert done.stdout == b"AsyncClient('http://localhost/')!\n", done.stderr

    def test_without_an_engine_the_error_names_a_way_out(self, bundles, tmp_path):
        folder = tmp_path / "moved"
        shutil.copytree(bundles["one folder"].parent, folder, symlinks=True)
        (folder / "_internal" / "ai-integration").unlink()
        for mode in ["command_line", "http"]:
            done = run(
                folder / "program", "--text", "a", command=[], mode=mode, PATH="/nonexistent"
            )
            assert (done.returncode, done.stdout) == (1, b"")
            errors = done.stderr.decode()
            assert "the ai-integration binary was not found" in errors
            assert "--add-binary" in errors
            assert "AI_INTEGRATION_BINARY" in errors
            assert "Traceback" not in errors
