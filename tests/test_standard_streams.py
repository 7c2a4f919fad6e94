"""Standard output has only the result, and a program works even if its streams are closed."""

import json
import os
import pickle
import socket
import subprocess
import textwrap
import time

import pytest
from compat import STYLES, model, picture
from support import (
    BINARY,
    PYTHON,
    Server,
    environment,
    eventually,
    free_port,
    run,
    serve,
    started,
)

both_styles = pytest.mark.parametrize("style", STYLES)
PNG = picture()

PICTURE = """
    import subprocess
    SCHEMA = {"image": {"type": "image"}}

    def infer(inputs):
        print("at work")
        return {"content-type": "image/png", "data": inputs["image"], "success": True}

    print("printed while loading")
    os.write(1, b"written while loading\\n")
    os.system("echo a shell while loading")
    subprocess.check_call(["echo", "a child while loading"])
"""
LOADED = ["printed", "written", "a shell", "a child"]


def loading(source, style, before=""):
    """Returns a program that prints between the import and its loop."""
    head = "import os\n" + before + "import ai_integration\n"
    return head + model(source, style)


# --- what is printed while the model is loaded ---


@both_styles
def test_what_is_printed_while_loading_is_kept_out_of_the_picture(program, tmp_path, style):
    path, photo = program(loading(PICTURE, style)), tmp_path / "photo.png"
    photo.write_bytes(PNG)
    # To a file, and through a pipe.
    with open(tmp_path / "out.png", "wb") as out:
        command = [PYTHON, str(path), "--image", str(photo)]
        variables = environment(MODE="command_line")
        subprocess.run(command, stdout=out, env=variables, timeout=60, check=True)
    assert (tmp_path / "out.png").read_bytes() == PNG
    done = run(path, "--image", photo, mode="command_line")
    assert (done.returncode, done.stdout) == (0, PNG)
    for words in LOADED:
        assert words + " while loading" in done.stderr.decode()


@both_styles
@pytest.mark.parametrize(
    "mode", ["test_single_image", "test_inputs_dict_json", "test_inputs_pickled_dict"]
)
def test_what_is_printed_while_loading_is_kept_out_of_the_report(program, style, mode):
    given = {
        "test_single_image": PNG,
        "test_inputs_dict_json": json.dumps({"image": "data:;base64,R0lGODlh"}).encode(),
        "test_inputs_pickled_dict": pickle.dumps({"image": PNG}),
    }
    done = run(program(loading(PICTURE, style)), mode=mode, stdin=given[mode])
    assert done.stdout.startswith(b"Got "), done
    assert b"while loading" not in done.stdout
    for words in LOADED:
        assert words + " while loading" in done.stderr.decode()


def test_what_is_printed_before_the_import_stays_where_it_is(program):
    path = program(loading(ECHO, "loop", 'print("before")\n'))
    done = run(path, "--text", "x", mode="command_line")
    assert done.stdout == b"before\nx\n"


ECHO = """
    SCHEMA = {"text": {"type": "text"}}

    def infer(inputs):
        return {"content-type": "text/plain", "data": inputs["text"], "success": True}
"""
HELPER = """
    import subprocess, sys
    code = "import ai_integration; print('the words of a helper')"
    words = subprocess.check_output([sys.executable, "-c", code]).decode().strip()
    if words != "the words of a helper":
        sys.exit("the helper said %r" % words)
"""


def test_a_helper_that_imports_the_package_prints_to_its_parent(program):
    source = "import ai_integration\n" + textwrap.dedent(HELPER) + model(ECHO)
    done = run(program(source), "--text", "x", mode="command_line")
    assert (done.returncode, done.stdout) == (0, b"x\n"), done.stderr


AGAIN = {
    # As programs do for LD_LIBRARY_PATH, which counts only from the start.
    "exec": "os.execv(sys.executable, [sys.executable] + sys.argv)",
    "child": "sys.exit(subprocess.call([sys.executable] + sys.argv))",
    "shell": "sys.exit(os.system(' '.join([sys.executable] + sys.argv)))",
}


@pytest.mark.parametrize("way", AGAIN)
def test_a_program_that_starts_itself_again_gives_its_result(program, tmp_path, way):
    source = """
        import ai_integration, os, subprocess, sys
        if not os.environ.get("AGAIN"):
            os.environ["AGAIN"] = "1"
            print("starting again")
            sys.stdout.flush()
    """
    source = textwrap.dedent(source) + "    %s\nprint('loading')\n" % AGAIN[way]
    path = program(source + model(ECHO))
    done = run(path, "--text", "x", mode="command_line")
    assert (done.returncode, done.stdout) == (0, b"x\n"), done.stderr
    with open(tmp_path / "out", "wb") as out:
        command = [PYTHON, str(path), "--text", "x"]
        variables = environment(MODE="command_line")
        subprocess.run(command, stdout=out, env=variables, timeout=60, check=True)
    assert (tmp_path / "out").read_bytes() == b"x\n"


# --- programs that a program becomes, starts, or leaves behind ---

# Seconds after which the process that is left behind ends, long after the program.
LASTING = 20
LEFT_BEHIND = {
    "a shell's": "os.system('sleep %d </dev/null >/dev/null 2>&1 &')" % LASTING,
    "a child": """subprocess.Popen(
    ["sleep", "%d"], stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, close_fds=False
)"""
    % LASTING,
    "a daemon": """
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    time.sleep(%d)
    os._exit(0)
os.wait()
"""
    % LASTING,
}


@both_styles
@pytest.mark.parametrize("way", LEFT_BEHIND)
def test_nobody_waits_for_what_the_program_leaves_behind(program, style, way):
    head = "import ai_integration, os, subprocess, time\nfrom subprocess import DEVNULL\n"
    path = program(head + LEFT_BEHIND[way] + "\n" + model(ECHO, style))
    before = time.monotonic()
    # It reads standard output to its end.
    done = run(path, "--text", "x", mode="command_line")
    assert (done.returncode, done.stdout) == (0, b"x\n"), done.stderr
    assert time.monotonic() - before < LASTING / 2


def test_a_forked_child_may_be_the_model(program):
    source = "import ai_integration, os, time\nif os.fork():\n    os._exit(0)\ntime.sleep(0.3)\n"
    done = run(program(source + model(ECHO)), "--text", "x", mode="command_line")
    assert done.stdout == b"x\n", done.stderr


def test_a_program_that_imports_the_package_anew_gives_its_result(program):
    source = """
        import ai_integration, sys
        for name in [name for name in sys.modules if name.startswith("ai_integration")]:
            del sys.modules[name]
    """
    done = run(program(textwrap.dedent(source) + model(ECHO)), "--text", "x", mode="command_line")
    assert (done.returncode, done.stdout) == (0, b"x\n"), done.stderr


# Ways to become a model.
BECOMING = {
    "another environment": "os.execle(words[0], *words, {'MODE': 'command_line'})",
    "a cleared environment": (
        "os.environ.clear(); os.environ['MODE'] = 'command_line'; os.execv(words[0], words)"
    ),
    "the search path": "os.execvp(words[0], words)",
    "the binary": "os.execl(BINARY, BINARY, 'run', *words[1:])",
}


@pytest.mark.parametrize("way", BECOMING)
def test_what_a_program_becomes_gives_its_result(program, way):
    child = program("import ai_integration\nprint('loading')\n" + model(ECHO), "child.py")
    source = "import ai_integration, os, sys\nBINARY = %r\n" % BINARY
    source += "words = [sys.executable, %r, '--text', 'x']\nprint('before')\n" % str(child)
    done = run(program(source + BECOMING[way]), mode="command_line")
    assert (done.returncode, done.stdout) == (0, b"x\n"), done.stderr


def test_a_program_that_failed_to_become_another_goes_on(program):
    source = """
        import ai_integration, os
        try:
            os.execv("/does/not/exist", ["program"])
        except OSError:
            os.system("echo a shell afterwards")
    """
    path = program(textwrap.dedent(source) + model(ECHO))
    done = run(path, "--text", "x", mode="command_line")
    assert (done.returncode, done.stdout) == (0, b"x\n"), done.stderr


STARTING = """
    import ai_integration, os, subprocess, sys

    words = [sys.executable, os.environ["CHILD"], "--text", "child"]
    how = os.environ.get("HOW")
    given = {"null": subprocess.DEVNULL, "pipe": subprocess.PIPE, "stderr": sys.stderr}
    done = subprocess.run(words, stdout=given.get(how))
    said = "" if done.stdout is None else done.stdout.decode()
    print("the child said %r" % said, file=sys.stderr)
    if how is None:
        sys.exit(done.returncode)
"""


def child_of(program):
    return program("import ai_integration\nprint('loading')\n" + model(ECHO), "child.py")


def test_what_is_written_after_the_result_of_a_child_is_not_in_its_place(program, tmp_path):
    path = program(STARTING)
    variables = environment(MODE="command_line", CHILD=child_of(program))
    with open(tmp_path / "out", "wb") as out:
        for words in (["echo", "head"], [PYTHON, path], ["echo", "foot"]):
            subprocess.run(words, stdout=out, env=variables, timeout=60, check=True)
    assert (tmp_path / "out").read_text() == "head\nchild\nfoot\n"


@pytest.mark.parametrize("how", ["null", "pipe", "stderr"])
def test_a_child_with_another_stdout_leaves_that_of_the_model_alone(program, how):
    path = program(textwrap.dedent(STARTING) + model(ECHO))
    variables = environment(MODE="command_line", CHILD=child_of(program), HOW=how)
    with open("/dev/null", "wb") as null:
        # With /dev/null, standard error may be the same file as the output of the child.
        for errors in (subprocess.PIPE, null):
            done = subprocess.run(
                [PYTHON, path, "--text", "own"],
                stdout=subprocess.PIPE,
                stderr=errors,
                env=variables,
                timeout=60,
                check=True,
            )
            assert done.stdout == b"own\n"
            if how == "pipe" and done.stderr is not None:
                assert "the child said 'child\\n'" in done.stderr.decode()


def test_a_model_inside_a_model_gives_its_result_and_nothing_else(program):
    source = """
        import subprocess, sys
        SCHEMA = {"text": {"type": "text"}}

        def infer(inputs):
            words = [sys.executable, os.environ["CHILD"], "--text", "inner"]
            inner = subprocess.check_output(words).decode()
            return {"content-type": "text/plain", "data": repr(inner), "success": True}
    """
    path = program(loading(source, "loop"))
    done = run(path, "--text", "x", mode="command_line", CHILD=child_of(program))
    assert done.stdout == b"'inner\\n'\n", done.stderr


@pytest.mark.parametrize("where", ["while loading", "in the loop"])
def test_a_helper_script_prints_to_its_parent(program, where):
    helper = program("import ai_integration\nprint('words of a helper')\n", "helper.py")
    call = "subprocess.check_output([sys.executable, %r]).decode()" % str(helper)
    source = "import ai_integration, subprocess, sys\nwords = %s\n" % call + model(ECHO)
    answer = call if where == "in the loop" else "words"
    done = run(
        program(source.replace('inputs["text"]', answer)), "--text", "x", mode="command_line"
    )
    assert done.stdout == b"words of a helper\n", done.stderr


@pytest.mark.parametrize("kind", ["program", "run"])
@pytest.mark.parametrize("writes", ["stdout", "a file"])
def test_a_result_that_cannot_reach_stdout_is_no_success(program, tmp_path, kind, writes):
    # A socket cannot be opened by another process.
    command = [PYTHON] if kind == "program" else [BINARY, "run"]
    words = [*command, str(child_of(program)), "--text", "x"]
    out = tmp_path / "out"
    if writes == "a file":
        words += ["--output", str(out)]
    path = program(
        "import ai_integration, subprocess, sys\nsys.exit(subprocess.call(%r))\n" % words
    )
    ours, theirs = socket.socketpair()
    with ours, theirs:
        done = subprocess.run(
            [PYTHON, path],
            stdout=theirs,
            stderr=subprocess.PIPE,
            env=environment(MODE="command_line"),
            timeout=60,
            check=False,
        )
        theirs.close()
        assert ours.recv(100) == b""
    if writes == "a file":
        assert (done.returncode, out.read_text()) == (0, "x")
    else:
        assert done.returncode != 0
        assert "a result cannot be written to standard output" in done.stderr.decode()
        assert "Import ai_integration later in the first program" in done.stderr.decode()


@both_styles
@pytest.mark.parametrize("more", ["", "os.dup2(log.fileno(), 1)"])
def test_a_file_in_the_place_of_the_kept_descriptor_stays_the_programs(
    program, tmp_path, style, more
):
    source = """
        import ai_integration, os
        os.closerange(3, 256)
        log = open(os.environ["LOG"], "w")
        %s
    """
    infer = "    log.write('line')\n    log.flush()\n    return"
    head = textwrap.dedent(source % more)
    path = program(head + model(ECHO, style).replace("    return", infer))
    done = run(path, "--text", "x", mode="command_line", LOG=tmp_path / "log")
    assert (tmp_path / "log").read_text() == "line"
    assert (done.stdout, done.returncode != 0) == (b"", True)
    assert "the program has closed descriptor" in done.stderr.decode()
    out = tmp_path / "out"
    done = run(path, "--text", "x", "-o", out, mode="command_line", LOG=tmp_path / "log")
    assert (done.returncode, out.read_text()) == (0, "x")


def test_tools_that_import_the_package_print_to_stdout(program, tmp_path):
    code = "import ai_integration; print('words of a tool')"
    assert run("-c", code, mode="command_line").stdout == b"words of a tool\n"
    # If the code of `-c` is a model itself, its standard output has only the result.
    done = run("-c", code + "\n" + model(ECHO, "loop"), "--text", "x", mode="command_line")
    assert (done.returncode, done.stdout) == (0, b"x\n")
    # A module of an installed package counts as a tool, and a module of the user as a model.
    for folder, expected in [("site-packages", b"words of a tool\n"), ("mine", b"")]:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "tool.py").write_text(code)
        done = run("-m", "tool", mode="command_line", PYTHONPATH=tmp_path / folder)
        assert (done.returncode, done.stdout) == (0, expected)


@pytest.mark.parametrize("words", [["-m", "ai_integration"], ["-m", "ai_integration.modes"]])
def test_the_packages_own_tools_print_to_stdout(words):
    more = ["modes"] if words[-1] == "ai_integration" else []
    done = run(words[0], words[1], *more, mode="command_line")
    assert done.returncode == 0
    assert done.stdout.startswith((b" * MODE=command_line", b"["))


def test_a_program_without_a_mode_prints_to_stdout_while_loading(program):
    done = run(program(loading(ECHO, "loop") + "\n"), "--text", "x")
    assert done.stdout.endswith(b"x\n")
    source = "import ai_integration\nprint('loading')\n" + model(ECHO)
    assert run(program(source), "--text", "x").stdout == b"loading\nx\n"


# --- without standard streams ---

CLOSED = [">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"]
# A model that reports its files below 3, and whose large result goes through a memory file.
HOLDING = """
    import os, subprocess
    SCHEMA = {"text": {"type": "text"}, "image": {"type": "image"}}

    def infer(inputs):
        print("at work")
        os.write(1, b"native words\\n")
        subprocess.check_call(["echo", "words of a child"])
        with open(os.environ["HELD"], "w") as report:
            for number in range(3):
                report.write(os.readlink("/proc/self/fd/%d" % number) + "\\n")
        data = inputs["text"] * 400000
        return {"content-type": "text/plain", "data": data, "success": True}
"""


def without(streams, command, stdin=None, **variables):
    """Runs a command with standard streams closed."""
    words = ["bash", "-c", 'exec "$@" ' + streams, "bash", *map(str, command)]
    return subprocess.run(
        words,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(**variables),
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "words",
    [["modes"], ["settings-reference"], ["python-names"], ["completions", "bash"], ["--help"]],
)
def test_the_command_does_not_mind_a_reader_that_leaves(words):
    """The reader closes the pipe early, as in `ai-integration modes | head -1`."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [BINARY, *words],
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=subprocess.PIPE,
            env=environment(),
            timeout=60,
            check=False,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def nothing_else_below_3(held):
    for file in held.read_text().splitlines():
        assert not file.startswith(("socket:", "/memfd:")), held.read_text()


@both_styles
@pytest.mark.parametrize("streams", CLOSED)
@pytest.mark.parametrize("command", [[PYTHON], [BINARY, "run"]], ids=["program", "run"])
def test_the_command_line_without_streams(program, tmp_path, style, streams, command):
    photo, out, held = (tmp_path / name for name in ("photo.png", "out", "held"))
    photo.write_bytes(PNG * 10000)
    words = [*command, program(model(HOLDING, style)), "--text", "x", "--image", photo]
    words += ["--output", out]
    done = without(streams, words, MODE="command_line", HELD=held)
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == b"x" * 400000
    nothing_else_below_3(held)


@both_styles
@pytest.mark.parametrize("streams", [">&-", "2>&-", ">&- 2>&-"])
@pytest.mark.parametrize(
    "mode", ["test_single_image", "test_inputs_dict_json", "test_inputs_pickled_dict"]
)
def test_the_pipes_without_streams(program, tmp_path, style, streams, mode):
    source = HOLDING.replace('inputs["text"]', 'inputs.get("text", "x")')
    stdin = {
        "test_single_image": PNG,
        "test_inputs_dict_json": b'{"text": "x", "image": "data:;base64,R0lGODlh"}',
        "test_inputs_pickled_dict": pickle.dumps({"text": "x", "image": PNG}),
    }[mode]
    held = tmp_path / "held"
    done = without(
        streams, [PYTHON, program(model(source, style))], stdin=stdin, MODE=mode, HELD=held
    )
    assert done.returncode == 0, done.stderr
    nothing_else_below_3(held)


@both_styles
@pytest.mark.parametrize("streams", CLOSED)
def test_the_self_test_without_streams(program, tmp_path, style, streams):
    words = [PYTHON, program(model(HOLDING, style))]
    held = tmp_path / "held"
    done = without(streams, words, MODE="test_model_integration", HELD=held)
    assert done.returncode == 0, done.stderr
    nothing_else_below_3(held)


@both_styles
@pytest.mark.parametrize("streams", ["<&-", ">&-", "<&- >&-"])
def test_a_server_without_streams(program, tmp_path, style, streams):
    # Standard error stays open: the log there names the server's address.
    command = ["bash", "-c", 'exec "$@" ' + streams, "bash", PYTHON]
    held = tmp_path / "held"
    with serve(program(model(HOLDING, style)), command=command, HELD=held) as server:
        assert server.post(text="x", image=PNG * 10000).body == b"x" * 400000
        nothing_else_below_3(held)


def test_a_server_without_any_stream(program, tmp_path):
    port, held = free_port(), tmp_path / "held"
    words = ["bash", "-c", 'exec "$@" <&- >&- 2>&-', "bash", PYTHON, program(model(HOLDING))]
    with started(words, env=environment(MODE="http", PORT=port, HELD=held)) as process:
        server = Server(process, [])
        server.url = "http://127.0.0.1:%d" % port

        def answers():
            try:
                return server.get("/readyz").status == 200
            except OSError:
                return False

        eventually(answers, "the server is ready")
        assert server.post(text="x", image=PNG * 10000).body == b"x" * 400000
        nothing_else_below_3(held)
        assert server.stop() == 0


def test_a_custom_mode_without_streams(program, tmp_path):
    (tmp_path / "modes").mkdir()
    (tmp_path / "modes" / "mine.py").write_text(
        textwrap.dedent("""
            import os

            def mine(inference_function=None):
                with open(os.environ["OUT"], "w") as out:
                    out.write(inference_function({"text": "x"})["data"])

            MODULE_MODES = {"mine": mine}
        """)
    )
    folders = {"AI_INTEGRATION_MODES_PATH": tmp_path / "modes", "OUT": tmp_path / "out"}
    done = without("<&- >&- 2>&-", [PYTHON, program(model(ECHO))], MODE="mine", **folders)
    assert done.returncode == 0
    assert (tmp_path / "out").read_text() == "x"


@both_styles
@pytest.mark.parametrize("command", [[PYTHON], [BINARY, "run"]], ids=["program", "run"])
@pytest.mark.parametrize("when", ["before", "between"])
def test_a_program_may_close_its_streams_itself(program, tmp_path, style, command, when):
    photo, out, held = (tmp_path / name for name in ("photo.png", "out", "held"))
    photo.write_bytes(PNG * 10000)
    close = "import ai_integration, os\nos.closerange(0, 3)\n"
    source = model(HOLDING, style)
    if when == "before":
        source = close + source
    else:
        source = source.replace('    print("at work")', "    os.closerange(0, 3)")
        source = source.replace("os.write(1, ", "len(").replace("subprocess.check_call(", "len(")
        source = source.replace("for number in range(3):", "for number in ():")
    words = [*command, program(source), "--text", "x", "--image", photo, "--output", out]
    done = without("", words, MODE="command_line", HELD=held)
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == b"x" * 400000
    nothing_else_below_3(held)


@pytest.mark.parametrize("streams", [">&-", "<&- >&-"])
def test_a_file_of_the_program_in_a_streams_place_stays_its_own(program, tmp_path, streams):
    log = tmp_path / "log"
    source = """
        import os
        logs = [os.open(%r, os.O_WRONLY | os.O_CREAT | os.O_APPEND) for _ in range(2)]
        print("nobody reads this")
        import ai_integration
    """ % str(log)
    infer = "    os.write(logs[0], b'one ')\n    os.write(logs[1], b'two ')\n    return"
    program_ = program(textwrap.dedent(source) + model(ECHO).replace("    return", infer))
    out = tmp_path / "out"
    done = without(streams, [PYTHON, program_, "--text", "x", "--output", out], MODE="command_line")
    assert done.returncode == 0, done.stderr
    assert (out.read_text(), log.read_text()) == ("x", "one two ")
    done = without(streams, [PYTHON, program_, "--text", "x"], MODE="command_line")
    assert done.returncode == 0, done.stderr
    # The second run had no standard output, and its result is not in the program's file either.
    assert log.read_text() == "one two one two "
