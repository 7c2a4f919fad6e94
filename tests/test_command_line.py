"""Arguments on the command line: files and texts, values that look like flags, programs that change
their folder, and the arguments that the program sees."""

import json
import os
import subprocess
import sys
import textwrap

import pytest
from compat import STYLES, model, picture
from support import BINARY, PYTHON, REPOSITORY, environment, run

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
    """Runs a program as if the command was typed in this folder."""
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


@pytest.mark.parametrize("flag", ["--te", "--f0", "--"])
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
def test_relative_paths_are_those_of_the_folder_of_the_command(
    program, tmp_path, style, command, way
):
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


# --- the arguments that the program sees ---

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


# --- where results go ---

TEXT = """
    SCHEMA = {"text": {"type": "text"}}

    def infer(inputs):
        open("worked", "w").close()
        return {"content-type": "text/plain", "data": inputs["text"], "success": True}
"""


def shell(script, folder, **variables):
    """Runs words of bash in a folder; `model` there runs the program in it."""
    python = "%s entrypoint.py" % PYTHON
    return subprocess.run(
        ["bash", "-c", 'model() { %s "$@"; }\n%s' % (python, script)],
        cwd=str(folder),
        env=environment(MODE="command_line", **variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )


@both_commands
@pytest.mark.parametrize("through", ["a link", "a link to a link", "a link to nothing"])
def test_a_result_goes_through_links(program, tmp_path, command, through):
    kept = tmp_path / "kept"
    kept.mkdir()
    if through != "a link to nothing":
        (kept / "file").write_text("old and longer than the new one")
    link = tmp_path / "link"
    if through == "a link to a link":
        (kept / "link").symlink_to("file")
        link.symlink_to("kept/link")
    else:
        link.symlink_to("kept/file")
    done = typed(program(model(TEXT)), ["--text", "new", "-o", "link"], tmp_path, command)
    assert done.returncode == 0, done.stderr
    assert link.is_symlink()
    assert (kept / "file").read_text() == "new"


def test_a_link_in_a_circle_is_refused_before_the_model_runs(program, tmp_path):
    (tmp_path / "link").symlink_to("link")
    done = typed(program(model(TEXT)), ["--text", "x", "-o", "link"], tmp_path)
    refused(done, "cannot be written to link")
    assert not (tmp_path / "worked").exists()


def test_a_file_keeps_its_mode_and_its_owner(program, tmp_path):
    file = tmp_path / "file"
    file.write_text("old")
    file.chmod(0o600)
    if os.getuid() == 0:
        os.chown(str(file), 12345, 12346)
    before = file.stat()
    done = typed(program(model(TEXT)), ["--text", "new", "-o", "file"], tmp_path)
    assert done.returncode == 0, done.stderr
    after = file.stat()
    assert file.read_text() == "new"
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )


def test_all_names_of_a_file_have_the_result(program, tmp_path):
    (tmp_path / "one").write_text("old and longer than the new one")
    os.link(str(tmp_path / "one"), str(tmp_path / "other"))
    done = typed(program(model(TEXT)), ["--text", "new", "-o", "one"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "one").read_text() == (tmp_path / "other").read_text() == "new"


MOUNTED = """
    mount --bind here there && exec "$@"
"""


def test_a_file_that_is_mounted_is_written_in_place(program, tmp_path):
    (tmp_path / "here").write_text("old and longer than the new one")
    (tmp_path / "there").touch()
    try:
        can = typed("true", [], tmp_path, ["unshare", "-rm", "bash", "-ec", MOUNTED, "-"])
    except OSError:
        pytest.skip("there is no unshare")
    if can.returncode != 0:
        pytest.skip("nothing can be mounted")
    command = ["unshare", "-rm", "bash", "-ec", MOUNTED, "-", PYTHON]
    done = typed(program(model(TEXT)), ["--text", "new", "-o", "there"], tmp_path, command)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "here").read_text() == "new"


def as_nobody(folder):
    """Makes a command another user's, for whom the folder is not to be written."""
    folder.chmod(0o555)
    if os.getuid() != 0:
        return []
    # Root may write anywhere, unless it has no capabilities.
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"]


def is_held(prefix, folder):
    done = subprocess.run([*prefix, "touch", str(folder / "try")], check=False, capture_output=True)
    return done.returncode != 0 and b"ermission denied" in done.stderr


def test_a_file_in_a_folder_that_cannot_be_written_is_written_in_place(program, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir()
    (locked / "file").write_text("old and longer than the new one")
    prefix = as_nobody(locked)
    if not is_held(prefix, locked):
        pytest.skip("every folder can be written")
    path = program(model(TEXT))
    command = [*prefix, PYTHON]
    done = typed(path, ["--text", "new", "-o", "locked/file"], tmp_path, command)
    assert done.returncode == 0, done.stderr
    assert (locked / "file").read_text() == "new"
    os.remove(str(tmp_path / "worked"))
    done = typed(path, ["--text", "new", "-o", "locked/new"], tmp_path, command)
    refused(done, "locked/new", "ermission denied")
    assert not (tmp_path / "worked").exists()


@both_commands
@pytest.mark.parametrize("output", ["missing/file", "folder", "folder/", "new/", "/dev/fd/77"])
def test_what_cannot_be_written_is_refused_before_the_model_runs(
    program, tmp_path, command, output
):
    (tmp_path / "folder").mkdir()
    done = typed(program(model(TEXT)), ["--text", "x", "--output", output], tmp_path, command)
    refused(done, "cannot be written")
    assert not (tmp_path / "worked").exists()


@pytest.mark.parametrize("name", ["/dev/fd/1", "/proc/self/fd/1", "link", "linked/1"])
def test_a_result_goes_to_standard_output_by_any_of_its_names(program, tmp_path, name):
    program(model(TEXT))
    # The test makes links of its own. If the command replaced a link, it must not be one of the
    # machine's, and the test would fail.
    (tmp_path / "link").symlink_to("/proc/self/fd/1")
    (tmp_path / "linked").symlink_to("/proc/self/fd")
    script = "{ echo before; model --text new --output %s; echo after; } > file" % name
    done = shell(script, tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "file").read_text().split("after") == ["before\nnew", "\n"]
    assert (tmp_path / "link").is_symlink()


def test_a_result_is_appended_to_an_open_descriptor(program, tmp_path):
    program(model(TEXT))
    (tmp_path / "link").symlink_to("/proc/self/fd/9")
    for name in ("/dev/fd/9", "link"):
        script = "exec 9> file; echo before >&9; model --text new --output=%s" % name
        if name == "link":
            script = script.replace("model ", "%s run entrypoint.py " % BINARY)
        done = shell(script, tmp_path)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "file").read_text() == "before\nnew"
    assert (tmp_path / "link").is_symlink()


LIST = """
    SCHEMA = {"text": {"type": "text"}}

    def infer(inputs):
        items = [b"one", b"two"]
        return {"content-type": "image/png", "data": items, "success": True}
"""


def test_the_files_of_a_list_go_through_links_too(program, tmp_path):
    (tmp_path / "kept").write_bytes(b"old and longer")
    (tmp_path / "kept").chmod(0o600)
    (tmp_path / "out-1.png").symlink_to("kept")
    (tmp_path / "one").touch()
    os.link(str(tmp_path / "one"), str(tmp_path / "out-2.png"))
    done = typed(program(model(LIST)), ["--text", "x", "-o", "out.png"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out-1.png").is_symlink()
    assert (tmp_path / "kept").read_bytes() == b"one"
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "one").read_bytes() == b"two"
    assert not [name for name in os.listdir(str(tmp_path)) if name.startswith(".ai-")]


@pytest.mark.parametrize("script", ["model --text x -o /dev/full", "model --text x > /dev/full"])
def test_a_result_that_cannot_be_written_has_the_documented_status(program, tmp_path, script):
    program(model(TEXT))
    done = shell(script, tmp_path)
    refused(done, "cannot be written", "No space left")
    table = (REPOSITORY / "docs" / "container-format.md").read_text()
    row = [line for line in table.splitlines() if line.startswith("| 2 |")]
    assert "the result cannot be written" in row[0]


# --- process substitution ---


@both_styles
@both_commands
def test_process_substitution(program, tmp_path, style, command):
    program(model(ECHO, style))
    (tmp_path / "photo").write_bytes(PNG)
    command = " ".join([*command, "entrypoint.py"])
    script = (
        "%s --text <(printf x) --photo=<(cat photo) --output >(cat > out; echo > done)" % command
    )
    done = shell(script + "; until [ -e done ]; do sleep 0.1; done", tmp_path)
    assert done.returncode == 0, done.stderr
    given = json.loads((tmp_path / "out").read_text())
    assert (given["text"], given["photo"]) == ("x", len(PNG))


def test_a_descriptor_of_the_programs_own_is_not_given_away(program, tmp_path):
    source = "import os\nos.dup2(os.open(__file__, os.O_RDONLY), 77, False)\n" + model(TEXT)
    path = program(source)
    refused(typed(path, ["--text", "/dev/fd/77"], tmp_path), "--text /dev/fd/77", "cannot be read")


# --- options, names and abbreviations ---

LISTS = """
    import json
    SCHEMA = {
        "tags": {"type": "text", "list": True},
        "sizes": {"type": "integer", "list": True, "required": False},
        "steps": {"type": "integer", "default": 1},
    }

    def infer(inputs):
        return {"content-type": "application/json", "data": json.dumps(inputs), "success": True}
"""


@both_commands
@pytest.mark.parametrize(
    "words",
    [
        "--option tags=a --option tags=b --option tags=c",
        "--tags a --option tags=b --tags c",
        "--option tags=a --tags b c",
        "--option tags[]=a --option tags[]=b --tags=c",
    ],
)
def test_repeated_flags_give_the_items_of_a_list_in_order(program, command, words):
    path = program(model(LISTS))
    done = run(path, *words.split(), mode="command_line", command=command)
    assert seen(done)["tags"] == ["a", "b", "c"]


def test_a_list_may_still_be_one_option(program):
    words = ["--tags=a", "--option", "sizes=[1, 2]"]
    assert seen(run(program(model(LISTS)), *words, mode="command_line"))["sizes"] == [1, 2]


@pytest.mark.parametrize(
    "words",
    [
        "--option steps=2 --option steps=3",
        "--option steps=2 --steps 3",
        "--steps 2 --option steps=3",
    ],
)
def test_of_an_option_that_is_given_twice_the_last_one_counts(program, words):
    done = run(program(model(LISTS)), "--tags=a", *words.split(), mode="command_line")
    assert seen(done)["steps"] == 3


@both_styles
@both_commands
def test_a_path_need_not_be_utf_8(program, tmp_path, style, command):
    path = str(program(model(ECHO, style)))
    folder = os.fsencode(str(tmp_path))
    for name, content in [(b"\xff.txt", b"from the file"), (b"\xff.png", PNG)]:
        with open(os.path.join(folder, name), "wb") as file:
            file.write(content)
    words = [b"--text", b"\xff.txt", b"--photo=\xff.png", b"--output", b"\xfe.json"]
    done = subprocess.run(
        [*command, path, *words],
        cwd=str(tmp_path),
        env=environment(MODE="command_line"),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with open(os.path.join(folder, b"\xfe.json")) as file:
        given = json.load(file)
    assert (given["text"], given["photo"]) == ("from the file", len(PNG))


def test_a_word_that_is_no_text_is_refused_with_its_flag(program):
    path = program(model(ECHO))
    for words in (["--text", "\udcff"], ["--text", "x", "--steps", "\udcff"]):
        refused(run(path, *words, mode="command_line"), words[-2])


@both_commands
@pytest.mark.parametrize("flag", ["--o", "--ou", "--out"])
def test_output_may_be_abbreviated(program, tmp_path, command, flag):
    path = program(model(TEXT))
    done = typed(path, ["--text", "x", flag, "file"], tmp_path, command)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "file").read_text() == "x"


def test_an_abbreviation_of_several_flags_names_them(program):
    path = program(model(ECHO.replace('"text_style"', '"texture"').replace('"steps"', '"overlap"')))
    errors = refused(run(path, "--tex", "x", mode="command_line"), "--text", "--texture")
    assert "--photo" not in errors
    words = ["--text", "x", "--o", "3"]
    refused(run(path, *words, mode="command_line"), "--output", "--option", "--overlap")


# --- programs behind others ---


@pytest.mark.parametrize(
    "words",
    [
        "{python} -mentrypoint",
        "{python} -um entrypoint",
        "env A=1 {python} entrypoint.py --",
        "env nice -n 1 {python} -X dev entrypoint.py --",
        "{python} -m cProfile -o profile entrypoint.py --",
        "{python} -m cProfile -m entrypoint --",
        "./start.sh {python} entrypoint.py --",
    ],
)
def test_words_are_inputs_behind_the_script_or_two_dashes(program, tmp_path, words):
    path = program(model(PARSING))
    start = tmp_path / "start.sh"
    start.write_text('#!/bin/sh\nexec "$@"\n')
    start.chmod(0o755)
    words = words.format(python=PYTHON).split()
    command = [BINARY, "run", "--mode", "command_line", *words]
    done = typed("--text", ["hi"], path.parent, command)
    assert done.returncode == 0, done.stderr
    assert done.stdout == b"['hi', 'none', []]\n"


def test_a_launcher_keeps_its_words_where_no_dashes_end_them(program, tmp_path):
    program(model(TEXT))
    command = [BINARY, "run", "--mode", "command_line", "env", "A=1"]
    done = typed(PYTHON, ["entrypoint.py", "--text", "hi"], tmp_path, command)
    refused(done, "A=1")
