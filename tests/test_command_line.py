"""Words on the command line: files and texts, values that look like flags, folders that the program
leaves, and who sees the words."""

import json
import os
import subprocess
import sys
import textwrap

import pytest
from compat import STYLES, model, picture
from support import BINARY, PYTHON, environment, run

both_styles = pytest.mark.parametrize("style", STYLES)
PNG = picture()
# The program itself, and `ai-integration run`.
COMMANDS = {"program": [PYTHON], "run": [BINARY, "run", "--mode", "command_line"]}
both_commands = pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)

ECHO = """
    import json
    SCHEMA = {
        "text": {"type": "text"},
        "text_style": {"type": "text", "required": False},
        "steps": {"type": "integer", "required": False},
        "extra": {"type": "json", "required": False},
        "photo": {"type": "image", "required": False},
        "fast": {"type": "boolean", "default": False},
    }

    def infer(inputs):
        seen = dict(inputs, photo=len(inputs.get("photo", b"")))
        return {"content-type": "application/json", "data": json.dumps(seen), "success": True}
"""


def seen(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def refused(done, *words):
    errors = done.stderr.decode()
    assert (done.returncode, done.stdout) == (2, b""), errors
    assert "Traceback" not in errors
    for word in words:
        assert word in errors, errors
    return errors


def typed(path, words, folder, command=(PYTHON,), **variables):
    """Runs a program as if it was typed in this folder."""
    return subprocess.run(
        [*command, str(path), *map(str, words)],
        cwd=folder,
        env=environment(MODE="command_line", **variables),
        capture_output=True,
        timeout=60,
        check=False,
    )


# --- folders ---

WAYS = {
    "import first": "import ai_integration, os\nos.chdir({folder!r})\n",
    "chdir first": "import os\nos.chdir({folder!r})\nimport ai_integration\n",
}


@both_styles
@both_commands
@pytest.mark.parametrize("way", WAYS)
def test_paths_count_from_where_the_command_was_typed(program, tmp_path, style, command, way):
    if way == "chdir first" and sys.version_info < (3, 9):
        pytest.skip("Python does not tell where a script was started")
    user, weights = tmp_path / "user", tmp_path / "weights"
    for folder in (user, weights):
        folder.mkdir()
    (user / "photo.png").write_bytes(PNG)
    (user / "words.txt").write_text("from the file")
    (weights / "words.txt").write_text("another file")
    program(WAYS[way].format(folder=str(weights)) + model(ECHO, style))
    words = ["--photo", "photo.png", "--text", "words.txt", "--output", "out.json"]
    done = typed("../entrypoint.py", words, user, command)
    assert done.returncode == 0, done.stderr
    given = json.loads((user / "out.json").read_text())
    assert (given["photo"], given["text"]) == (len(PNG), "from the file")
    assert sorted(os.listdir(weights)) == ["words.txt"]


def test_a_folder_that_is_gone_is_no_reason_to_fail(program, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    path = program("import os\nos.rmdir(%r)\n" % str(gone) + model(ECHO))
    assert seen(typed(path, ["--text", "x"], gone))["text"] == "x"


# --- who sees the words ---

PARSING = """
    import argparse, sys
    known = argparse.ArgumentParser()
    known.add_argument("--seed", default="none")
    seed = known.parse_args().seed
    SCHEMA = {"text": {"type": "text"}}

    def infer(inputs):
        seen = [inputs["text"], seed, sys.argv[1:]]
        return {"content-type": "text/plain", "data": repr(seen), "success": True}
"""


@both_styles
@pytest.mark.parametrize("flags", [["--mode", "command_line"], []], ids=["named", "default"])
@pytest.mark.parametrize("interpreter", [[], [PYTHON, "-O"]], ids=["script", "interpreter"])
def test_a_library_that_reads_arguments_does_not_see_those_of_the_mode(
    program, style, flags, interpreter
):
    command = [BINARY, "run", *flags, *interpreter]
    done = run(program(model(PARSING, style)), "--text", "hi", command=command)
    assert done.returncode == 0, done.stderr
    assert done.stdout == b"['hi', 'none', []]\n"


def test_in_other_modes_arguments_are_the_programs_own(program):
    command = [BINARY, "run", "--mode", "test_inputs_dict_json"]
    path = program(model(PARSING))
    done = run(path, "--seed", "7", command=command, stdin=b'{"text": "hi"}')
    assert done.stdout.decode().splitlines()[-1] == "['hi', '7', ['--seed', '7']]"


def test_a_program_that_is_started_by_itself_sees_all_of_its_arguments(program):
    source = textwrap.dedent("""
        import sys
        SCHEMA = {"text": {"type": "text"}}

        def infer(inputs):
            return {"content-type": "text/plain", "data": repr(sys.argv[1:]), "success": True}
    """)
    done = run(program(model(source)), "--text", "hi", mode="command_line")
    assert done.stdout == b"['--text', 'hi']\n"
