"""A program starts the mode that `MODE` names: by itself, by the command, by a hosting
platform's word, from a prompt. The processes that it starts are never mistaken for it."""

import json
import os
import re
import select
import shutil
import socket
import subprocess
import textwrap
import urllib.request
from pathlib import Path

import ai_integration
import pytest
from compat import STYLES, model
from support import BINARY, PYTHON, children, environment, eventually, run, serve, started

ECHO = """
    import json, os, sys
    SCHEMA = {"text": {"type": "text"}}

    def infer(inputs):
        seen = {"pid": os.getpid(), "parent": os.getppid(), "argv": sys.argv,
                "text": inputs["text"], "link": os.environ.get("AI_INTEGRATION_LINK"),
                "flags": [sys.flags.optimize, sys.flags.dev_mode, sys.flags.utf8_mode],
                "warnings": sys.warnoptions, "name": __name__}
        return {"content-type": "application/json", "data": seen, "success": True}
"""


def listening(process):
    """Returns the address that a started server logs on standard error."""
    told = b""
    while b"listening on" not in told or not told.endswith(b"\n"):
        assert select.select([process.stderr], [], [], 10)[0], told
        piece = os.read(process.stderr.fileno(), 65536)
        assert piece, told
        told += piece
    return re.search(rb"listening on (http://[^/]+)/", told).group(1).decode()


def executable(pid):
    return os.readlink("/proc/%d/exe" % pid)


@pytest.mark.parametrize("style", STYLES)
def test_a_serving_program_becomes_the_engine_under_its_own_process_id(program, style):
    path = program(model(ECHO, style))
    with serve(path) as server:
        assert "did not start this program" not in server.output()
        # No shell or launcher in between: the very process that was started.
        assert executable(server.process.pid) == os.path.realpath(BINARY)
        seen = server.post(text="x").json()
        assert seen["parent"] == server.process.pid
        assert list(children(server.process.pid)) == [seen["pid"]]
        assert executable(seen["pid"]) == os.path.realpath(PYTHON)
        assert seen["link"] is None
        assert seen["name"] == "__main__"


def test_a_one_shot_program_stays_itself_with_the_engine_as_its_child(program):
    path = program(model(ECHO))
    with started([PYTHON, path, "--text", "x"], env=environment(MODE="command_line")) as process:
        seen = json.loads(process.communicate(timeout=30)[0])
    assert seen["pid"] == process.pid
    assert seen["argv"] == [str(path), "--text", "x"]


def test_what_comes_before_the_import_runs_once_more_and_what_follows_only_in_the_worker(
    program, tmp_path
):
    source = """
        import os
        with open(os.environ["TRACE"], "a") as trace:
            trace.write("before ")
        import ai_integration
        with open(os.environ["TRACE"], "a") as trace:
            trace.write("after ")
    """
    trace = tmp_path / "trace"
    with serve(program(textwrap.dedent(source) + model(ECHO)), TRACE=trace) as server:
        assert server.post(text="x").status == 200
    assert trace.read_text() == "before before after "


@pytest.mark.parametrize(
    ("flags", "seen"),
    [
        (["-O"], {"flags": [1, False, 0]}),
        (["-OO", "-X", "utf8"], {"flags": [2, False, 1]}),
        (["-X", "dev"], {"flags": [0, True, 0]}),
        (["-Wignore", "-W", "error::UserWarning"], {"warnings": ["ignore", "error::UserWarning"]}),
    ],
)
def test_the_interpreters_flags_are_kept(program, flags, seen):
    with serve(program(model(ECHO)), command=[PYTHON, *flags]) as server:
        answer = server.post(text="x").json()
    for name, value in seen.items():
        assert answer[name] == value


def test_the_programs_arguments_are_kept(program):
    path = program(model(ECHO))
    words = ["--an", "argument with spaces", "", "ü", "--"]
    with serve(path, *words) as server:
        assert server.post(text="x").json()["argv"] == [str(path), *words]


@pytest.mark.parametrize("module", ["pkg", "pkg.serving"])
def test_a_package_or_module_is_started_with_m(tmp_path, module):
    folder = tmp_path / "pkg"
    folder.mkdir()
    (folder / "__init__.py").touch()
    relative = "from . import ware\n"
    (folder / "ware.py").touch()
    name = "__main__.py" if module == "pkg" else "serving.py"
    (folder / name).write_text(relative + model(ECHO))
    with serve(module, command=[PYTHON, "-m"], cwd=tmp_path) as server:
        assert executable(server.process.pid) == os.path.realpath(BINARY)
        assert server.post(text="hi").json()["text"] == "hi"
    done = subprocess.run(
        [PYTHON, "-m", module, "--text", "hi"],
        env=environment(MODE="command_line"),
        cwd=tmp_path,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert json.loads(done.stdout)["text"] == "hi"


def test_a_script_is_found_by_a_relative_path(program):
    path = program(model(ECHO))
    with serve(path.name, cwd=path.parent) as server:
        assert server.post(text="hi").json()["argv"] == [path.name]


def test_a_folder_with_a_main_file_is_started_like_a_script(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "__main__.py").write_text(model(ECHO))
    with serve(folder) as server:
        assert executable(server.process.pid) == os.path.realpath(BINARY)
        assert server.post(text="hi").json()["text"] == "hi"


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("port", [None, 0])
def test_the_argument_serve_means_http_on_port_8080(program, style, port):
    if port is None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", 8080))
            except OSError:
                pytest.skip("port 8080 is taken by something else on this machine")
    with serve(program(model(ECHO, style)), "serve", MODE=None, PORT=port) as server:
        assert server.post(text="hi").json()["text"] == "hi"
        if port is None:
            assert server.url.endswith(":8080")
        else:
            assert not server.url.endswith(":8080")


def test_the_argument_serve_yields_to_a_mode(program):
    done = run(program(model(ECHO)), "serve", mode="command_line")
    assert done.returncode == 2
    assert "serve" in done.stderr.decode()


class TestCommand:
    """The `ai-integration` command."""

    def run(self, *words, **more):
        return run(words[0], *words[1:], command=[BINARY], **more)

    @pytest.mark.parametrize("style", STYLES)
    def test_run_serves_a_program(self, program, style):
        path = program(model(ECHO, style))
        with serve(path, command=[BINARY, "run", "--mode", "http"], MODE=None) as server:
            seen = server.post(text="hi").json()
            assert (seen["text"], seen["parent"]) == ("hi", server.process.pid)

    def test_a_flag_wins_over_the_environment(self, program):
        command = [BINARY, "run", "--mode", "http", "--port", "0", "--max-body", "50000"]
        more = {"MODE": "command_line", "PORT": "1", "AI_INTEGRATION_MAX_BODY": "7"}
        with serve(program(model(ECHO)), command=command, **more) as server:
            assert server.post(text="x" * 100).status == 200
            assert server.post(text="x" * 60000).status == 413

    @pytest.mark.parametrize("style", STYLES)
    @pytest.mark.parametrize("mode", ["command_line", None])
    def test_run_carries_out_the_command_line(self, program, style, mode):
        path = program(model(ECHO, style))
        flags = [] if mode is None else ["--mode", mode]
        done = self.run("run", *flags, path, "--text", "hi")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["text"] == "hi"
        assert ("MODE=http" in done.stderr.decode()) == (mode is None)

    @pytest.mark.parametrize("style", STYLES)
    def test_run_keeps_what_the_model_prints_out_of_the_result(self, program, style):
        source = 'print("loading")\n' + model(
            ECHO.replace("seen =", 'print("at work"); seen ='), style
        )
        done = self.run("run", "--mode", "command_line", program(source), "--text", "hi")
        assert json.loads(done.stdout)["text"] == "hi"
        assert "loading\n" in done.stderr.decode()
        assert "at work\n" in done.stderr.decode()

    def test_run_carries_out_a_pipe_mode_and_the_self_test(self, program):
        path = program(model(ECHO))
        done = self.run("run", "--mode", "test_inputs_dict_json", path, stdin=b'{"text": "hi"}')
        assert done.returncode == 0
        assert b'"text":"hi"' in done.stdout
        done = self.run("run", "--mode", "test_model_integration", path)
        assert done.returncode == 0
        assert b"All 5 tries went well" in done.stdout

    @pytest.mark.parametrize("mode", ["command_line", "test_inputs_dict_json"])
    def test_run_ends_with_1_when_the_model_failed(self, program, mode):
        source = "SCHEMA = {}\ndef infer(inputs): return {'success': False, 'error': 'my words'}\n"
        done = self.run("run", "--mode", mode, program(source + STYLES["loop"]), stdin=b"{}")
        assert done.returncode == 1
        assert b"my words" in done.stdout + done.stderr

    def test_run_uses_a_given_interpreter_and_its_flags(self, program):
        path = program(model(ECHO))
        done = self.run("run", "--mode", "command_line", PYTHON, "-O", path, "--text", "hi")
        seen = json.loads(done.stdout)
        assert seen["flags"][0] == 1
        assert seen["text"] == "hi"

    def test_run_help_for_the_program_names_its_inputs(self, program):
        done = self.run("run", "--mode", "command_line", program(model(ECHO)), "--help")
        assert done.returncode == 0
        assert b"--text" in done.stdout
        assert b"entrypoint.py" in done.stdout

    def test_serve_is_http_on_port_8080_by_default(self, program):
        path = program(model(ECHO))
        with serve(path, command=[BINARY, "serve"], MODE=None) as server:
            assert server.post(text="hi").json()["text"] == "hi"

    def test_modes_lists_the_built_in_ones_with_their_hints(self):
        done = self.run("modes")
        assert (done.returncode, done.stderr) == (0, b"")
        lines = done.stdout.decode().splitlines()
        assert len(lines) == 9
        for line in lines:
            assert re.match(r" \* MODE=\w+: .{20}", line)

    def test_version(self):
        done = self.run("--version")
        assert done.stdout.decode().split() == ["ai-integration", ai_integration.__version__]

    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_completions_are_printed_for_a_shell(self, shell):
        done = self.run("completions", shell)
        assert done.returncode == 0
        assert "ai-integration" in done.stdout.decode()

    def test_the_completions_for_bash_work(self):
        script = self.run("completions", "bash").stdout.decode()
        script += """
            COMP_WORDS=(ai-integration run --wor); COMP_CWORD=2
            function=$(complete -p ai-integration | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
            $function ai-integration --wor run
            echo "${COMPREPLY[@]}"
        """
        done = subprocess.run(
            ["bash", "-c", script], capture_output=True, text=True, timeout=30, check=False
        )
        assert done.stdout.split() == ["--workers", "--worker-memory", "--worker-files"], (
            done.stderr
        )

    def test_help_names_the_subcommands(self):
        done = self.run("--help")
        assert done.returncode == 0
        for word in ["run", "serve", "modes", "completions"]:
            assert word in done.stdout.decode()

    def test_the_module_is_the_same_command(self):
        done = run("ai_integration", "--version", command=[PYTHON, "-m"])
        assert done.stdout == self.run("--version").stdout
        assert run("ai_integration", "modes", command=[PYTHON, "-m"]).stdout.count(b" * MODE=") == 9

    def test_importing_the_package_as_a_tool_is_not_a_server(self):
        done = run("ai_integration", "--version", command=[PYTHON, "-m"], mode="http")
        assert done.returncode == 0
        done = run("ai_integration.modes", command=[PYTHON, "-m"], mode="http")
        assert done.stdout == b"[]\n"


PROMPT = """
import ai_integration, json, os
os.environ["MODE"] = "http"
os.environ["PORT"] = "0"
while True:
    with ai_integration.get_next_input({"text": {"type": "text"}}) as inputs:
        ai_integration.send_result({"content-type": "application/json", "data":
            {"text": inputs["text"], "pid": os.getpid()}, "success": True})
        if inputs["text"] == "end":
            break

print("after the loop")
"""


def test_importing_from_a_command_does_not_hand_over():
    done = run(
        "import os, ai_integration; print('still', os.getpid())",
        command=[PYTHON, "-c"],
        mode="http",
    )
    assert done.returncode == 0
    assert done.stdout.startswith(b"still ")


def test_importing_at_a_prompt_does_not_hand_over():
    done = run("-i", stdin=b"import ai_integration\nprint('sti' + 'll here')\n", mode="http")
    assert done.returncode == 0
    assert b"still here" in done.stdout


def test_importing_from_a_script_on_standard_input_does_not_hand_over():
    done = run("-", stdin=b"import ai_integration\nprint('sti' + 'll here')\n", mode="http")
    assert done.returncode == 0
    assert b"still here" in done.stdout


@pytest.mark.parametrize("words", [["-c", PROMPT], ["-i", "-c", PROMPT]], ids=["-c", "-i -c"])
def test_a_mode_that_is_set_after_the_import_serves_attached(words):
    with started([PYTHON, *words], stdin=subprocess.PIPE) as process:
        url = listening(process)
        for text in ["hi", "end"]:
            with urllib.request.urlopen(url + "/infer", b"text=" + text.encode(), 30) as answer:
                seen = json.load(answer)
            assert seen == {"text": text, "pid": process.pid}
        output, errors = process.communicate(timeout=30)
    assert b"after the loop" in output + errors
    assert process.returncode == 0


def test_a_server_that_is_not_started_again_says_so():
    with serve(PROMPT, command=[PYTHON, "-c"]) as server:
        server.wait_for_output(r"WARN.* did not start this program .* `ai-integration run PROGRAM`")


def test_a_prompt_serves_attached_and_survives_the_end_of_the_mode():
    lines = b"""
import ai_integration, os
os.environ["MODE"] = "test_inputs_dict_json"

def ask():
    with ai_integration.get_next_input({"text": {"type": "text"}}) as inputs:
        ai_integration.send_result({"content-type": "text/plain", "data": "x", "success": True})

print("still" + " typing")
"""
    done = run("-i", stdin=lines)
    assert done.returncode == 0
    assert b"still typing" in done.stdout


def test_a_script_that_sets_the_mode_after_the_import_serves_attached(program):
    with started([PYTHON, program(PROMPT)], stdin=subprocess.DEVNULL) as process:
        url = listening(process)
        with urllib.request.urlopen(url + "/infer", b"text=end", 30) as answer:
            assert json.load(answer)["pid"] == process.pid
        assert process.wait(30) == 0


def test_interactive_after_the_script_stays_with_the_script(program):
    # `python -i model.py` keeps the prompt, so the process must stay what it is.
    variables = environment(MODE="http", PORT=0)
    command = [PYTHON, "-i", program(PROMPT)]
    with started(command, env=variables, stdin=subprocess.PIPE) as process:
        url = listening(process)
        with urllib.request.urlopen(url + "/infer", b"text=end", 30) as answer:
            assert json.load(answer)["pid"] == process.pid
        process.communicate(b"raise SystemExit(5)\n", timeout=30)
        assert process.returncode == 5


STARTING_OTHERS = """
    import json, multiprocessing, os, subprocess, sys
    SCHEMA = {"how": {"type": "text"}}

    def work(number):
        import ai_integration
        return [number * 2, 0, os.environ.get("AI_INTEGRATION_LINK")]

    def infer(inputs):
        how = inputs["how"]
        if how == "subprocess":
            # A tool that happens to import the package, in an environment with MODE and all.
            code = "import ai_integration, os; print(14, 0, 'AI_INTEGRATION_LINK' in os.environ)"
            seen = subprocess.check_output([sys.executable, "-c", code]).decode().split()
        elif how == "script":
            with open("tool.py", "w") as tool:
                tool.write("import ai_integration; print('a tool, no server')")
            seen = subprocess.check_output([sys.executable, "tool.py"]).decode().split()
        else:
            with multiprocessing.get_context(how).Pool(1) as pool:
                seen = pool.map(work, [7])[0]
        return {"content-type": "application/json", "data": seen, "success": True}

    if __name__ == "__main__":
"""
STARTING_OTHERS = textwrap.dedent(STARTING_OTHERS) + textwrap.indent(STYLES["loop"], "    ")


@pytest.mark.parametrize("mode", ["command_line", "http"])
@pytest.mark.parametrize("how", ["subprocess", "script", "spawn", "forkserver", "fork"])
def test_what_a_model_starts_is_not_mistaken_for_a_worker(program, tmp_path, mode, how):
    path = program(STARTING_OTHERS)
    if mode == "http":
        with serve(path, cwd=tmp_path) as server:
            seen = server.post(how=how).json()
            # It is no second server either, and the first one goes on.
            assert server.output().count("listening on") == 1
            assert server.post(how=how).status == 200
    else:
        done = subprocess.run(
            [PYTHON, str(path), "--how", how],
            env=environment(MODE=mode),
            cwd=tmp_path,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        seen = json.loads(done.stdout)
    if how == "script":
        assert seen == ["a", "tool,", "no", "server"]
    else:
        assert seen[0] in (14, "14")
        assert seen[2] in (None, "False")


def test_an_invalid_link_is_reported(program):
    done = run(program(model(ECHO)), mode="command_line", AI_INTEGRATION_LINK=77)
    assert done.returncode != 0
    assert "descriptor 77, which is not open" in done.stderr.decode()


def test_a_program_under_a_debugger_is_not_handed_over(program):
    source = """
        import sys
        sys.settrace(lambda *all: None)
        import ai_integration
        print("not handed over")
    """
    done = run(program(source), mode="http")
    assert done.stdout == b"not handed over\n"


def test_the_binary_is_found_through_its_variable(program, tmp_path):
    path = program(model(ECHO))
    done = run(path, "--text", "x", mode="command_line", AI_INTEGRATION_BINARY=BINARY)
    assert done.returncode == 0
    missing = tmp_path / "no-such-binary"
    done = run(path, "--text", "x", mode="command_line", AI_INTEGRATION_BINARY=missing)
    assert done.returncode == 1
    errors = done.stderr.decode()
    assert str(missing) in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("mode", ["command_line", "http"])
def test_a_copy_of_the_package_without_its_binary_says_where_it_looked(program, tmp_path, mode):
    shutil.copytree(Path(ai_integration.__file__).parent, tmp_path / "copy" / "ai_integration")
    # An interpreter that has no binary beside it.
    base = os.path.realpath(PYTHON)
    if Path(base).with_name("ai-integration").exists():
        pytest.skip("the base interpreter has the binary beside it")
    done = run(
        program(model(ECHO)),
        "--text",
        "x",
        python=base,
        mode=mode,
        PYTHONPATH=tmp_path / "copy",
        PATH="/nonexistent",
    )
    assert done.returncode == 1
    errors = done.stderr.decode()
    assert "the ai-integration binary was not found" in errors
    assert "AI_INTEGRATION_BINARY" in errors
    assert "Traceback" not in errors


def test_importing_the_package_is_quick_and_loads_little():
    code = "import sys; before = set(sys.modules); import ai_integration;"
    code += "print(*(set(sys.modules) - before))"
    done = run(code, command=[PYTHON, "-c"])
    loaded = {name.split(".")[0] for name in done.stdout.decode().split()}
    assert not loaded & {"PIL", "numpy", "http", "flask", "multiprocessing", "asyncio", "argparse"}


def test_no_process_is_left_behind(program):
    path = program(model(ECHO))
    with serve(path) as server:
        worker = server.post(text="x").json()["pid"]
        assert server.stop() == 0
        eventually(lambda: not Path("/proc/%d" % worker).exists(), "the worker is gone")
