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


# --- paths and texts ---

PATHS = [
    "/no/such/file.txt",
    "/tmp/no-such-file",
    "notes.txt",
    "data/notes.md",
    "./notes",
    "../notes",
    "~/notes",
    "C:\\Users\\me\\notes.txt",
    "./my notes.txt",
]
TEXTS = [
    "hello",
    "and/or",
    "w/o",
    "1/2/2026",
    "24/7",
    "no/such/file",
    "image/jpeg",
    "result.png",
    "https://example.com/notes.txt",
    "example.com/robots.txt",
    "me@example.md",
    "/9j/4AAQSkZJRgABAQEAYABgAAD/2wBDAAgGBgcGBQ==",
    "/imagine a cat",
    "^/tmp/.*\\.txt$",
    ".*\\.json",
    "s/one/two/",
    "Please read notes.txt",
    '{"file": "notes.txt"}',
    "...",
    "",
]


@both_styles
@both_commands
def test_a_path_that_leads_nowhere_is_refused_with_the_way_to_pass_it(program, style, command):
    path = program(model(ECHO, style))
    done = run(path, "--text", "/no/such/file.txt", mode="command_line", command=command)
    errors = refused(done, "--text /no/such/file.txt", "No such file")
    way_out = "--option text=/no/such/file.txt"
    assert way_out in errors
    assert errors.count("\n") == 1
    words = way_out.split()
    done = run(path, *words, mode="command_line", command=command)
    assert seen(done)["text"] == "/no/such/file.txt"


def many(program, words):
    """Runs the model once for each word."""
    path = program(model(ECHO))
    return [run(path, "--text", word, mode="command_line") for word in words]


def test_words_that_look_like_paths_are_refused(program):
    for word, done in zip(PATHS, many(program, PATHS)):
        refused(done, word, "--option text=" + word)


def test_words_that_merely_have_slashes_or_dots_are_text(program):
    for word, done in zip(TEXTS, many(program, TEXTS)):
        assert seen(done)["text"] == word


def test_a_folder_is_no_text_either(program, tmp_path):
    refused(run(program(model(ECHO)), "--text", tmp_path, mode="command_line"), "--option text=")


def test_a_path_to_json_that_leads_nowhere_is_refused(program):
    words = ["--text", "x", "--extra", "no/such/file.json"]
    refused(run(program(model(ECHO)), *words, mode="command_line"), "--option extra=no/such/")


def test_a_file_that_is_there_is_read(program, tmp_path):
    (tmp_path / "notes.txt").write_text("from the file")
    done = run(program(model(ECHO)), "--text", tmp_path / "notes.txt", mode="command_line")
    assert seen(done)["text"] == "from the file"


def test_other_missing_inputs_are_still_named_beside_an_option(program):
    source = ECHO.replace('"photo": {"type": "image", "required": False}', '"photo": "image"')
    done = run(program(model(source)), "--option", "text=x", mode="command_line")
    assert "--text" not in refused(done, "--photo").split("Usage")[0]


# --- values and flags ---

VALUES = ["- item", "-x", "--", "--steps", "--bold-claim", "-1", "-", "--help"]


@both_styles
@both_commands
def test_a_value_may_begin_like_a_flag(program, style, command):
    path = program(model(ECHO, style))
    for value in VALUES:
        stdin = b"from the pipe" if value == "-" else b""
        done = run(path, "--text", value, mode="command_line", command=command, stdin=stdin)
        assert seen(done)["text"] == (stdin.decode() or value)


def test_a_file_may_have_the_name_of_a_flag(program, tmp_path):
    (tmp_path / "-photo.png").write_bytes(PNG)
    words = ["--text", "x", "--photo", "-photo.png", "--output", "--result.json"]
    done = typed(program(model(ECHO)), words, tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "--result.json").read_text())["photo"] == len(PNG)


@both_styles
@both_commands
def test_flags_may_be_abbreviated(program, style, command):
    path = program(model(ECHO, style))
    words = ["--text", "x", "--text-s", "oil", "--st=5", "--fa", "--ex", "[1]"]
    given = seen(run(path, *words, mode="command_line", command=command))
    assert (given["text"], given["text_style"]) == ("x", "oil")
    assert (given["steps"], given["fast"], given["extra"]) == (5, True, [1])


@pytest.mark.parametrize("flag", ["--te", "--f0", "--o", "--"])
def test_an_abbreviation_of_several_flags_or_of_none_is_refused(program, flag):
    refused(run(program(model(ECHO)), "--text", "x", flag, "y", mode="command_line"))


@both_styles
@both_commands
def test_of_a_flag_that_is_given_twice_the_last_one_counts(program, tmp_path, style, command):
    words = ["--text", "one", "--steps=1", "--fast", "--output", tmp_path / "first"]
    words += ["--text=two", "--steps", "2", "--fast=no", "--output", tmp_path / "last"]
    done = run(program(model(ECHO, style)), *words, mode="command_line", command=command)
    assert done.returncode == 0, done.stderr
    given = json.loads((tmp_path / "last").read_text())
    assert (given["text"], given["steps"], given["fast"]) == ("two", 2, False)
    assert not (tmp_path / "first").exists()


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
