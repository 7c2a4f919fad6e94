"""The output on a terminal: results that end with a newline, each traceback once, the list
of modes, and the mode that a misspelt one means."""

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess

import pytest
from compat import STYLES, model
from support import (
    BINARY,
    PYTHON,
    TIMEOUT,
    Server,
    environment,
    eventually,
    in_background,
    run,
)

# The program itself, and `ai-integration run`.
COMMANDS = {"program": [PYTHON], "run": [BINARY, "run"]}
both_commands = pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
HEADING = "Traceback (most recent call last):"


class Terminal:
    """A terminal in which a program runs."""

    def __init__(self, command, stdin, errors, variables):
        self._main, other = pty.openpty()
        try:
            self.process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=other,
                stderr=other if errors is None else errors,
                env=environment(AI_INTEGRATION_LOG_FORMAT="", **variables),
            )
        finally:
            os.close(other)
        self._seen = b""
        if stdin is not None:
            self.process.stdin.write(stdin)
            self.process.stdin.close()

    def text(self, timeout=0.0):
        """Returns all output so far, with the line ends that the program wrote."""
        while select.select([self._main], [], [], timeout)[0]:
            try:
                piece = os.read(self._main, 1 << 16)
            except OSError:
                # On Linux this means the end: no process has the terminal open.
                break
            if not piece:
                break
            self._seen += piece
        return self._seen.decode(errors="replace").replace("\r\n", "\n")

    def wait_for(self, pattern):
        return eventually(lambda: re.search(pattern, self.text()), pattern, TIMEOUT)

    def to_the_end(self):
        """Waits for the program's end, and returns all output of the terminal."""

        def has_ended():
            self.text()
            return self.process.poll() is not None

        eventually(has_ended, "the program ends", TIMEOUT)
        return self.text(0.2)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._main)


@contextlib.contextmanager
def terminal(*command, stdin=None, errors=None, **variables):
    on = Terminal(command, stdin, errors, variables)
    try:
        yield on
    finally:
        on.close()


def shown(*command, **more):
    with terminal(*command, **more) as on:
        return on.to_the_end()


class TestNewline:
    RESULTS = {
        "text": ("'text/plain'", "'hello'", "hello"),
        "a dict": ("'application/json'", "{'a': [1]}", '"a": [\n    1\n  ]\n}'),
        "JSON text": ("'application/json'", "'[1, 2]'", "[\n  1,\n  2\n]"),
        "bytes of JSON": ("'application/json'", "b'{\"a\": 1}'", '"a": 1\n}'),
        "bytes of text": ("'text/csv'", "b'a,b'", "a,b"),
        "pieces": ("'text/plain'", "iter(['hel', 'lo'])", "hello"),
        "pieces of bytes": ("'text/plain'", "iter([b'hel', b'lo'])", "hello"),
        "text with its newline": ("'text/plain'", "'hello\\n'", "hello"),
    }
    results = pytest.mark.parametrize(("kind", "data", "end"), RESULTS.values(), ids=RESULTS)

    @staticmethod
    def source(kind, data):
        return model(
            """
            SCHEMA = {}

            def infer(inputs):
                return {"content-type": %s, "data": %s, "success": True}
        """
            % (kind, data)
        )

    @results
    @pytest.mark.parametrize("output", [[], ["--output", "-"], ["--output", "/dev/stdout"]])
    def test_a_result_on_a_terminal_ends_with_one(self, program, kind, data, end, output):
        path = program(self.source(kind, data))
        seen = shown(PYTHON, path, *output, MODE="command_line", errors=subprocess.DEVNULL)
        assert seen.endswith("\n")
        assert not seen.endswith("\n\n")
        # With `--output` the result is not formatted for a terminal.
        assert output or seen.endswith(end + "\n"), seen

    @pytest.mark.parametrize(
        ("kind", "data", "bare", "newline"),
        [
            ("'text/plain'", "'hello'", b"hello", b"\n"),
            ("'application/json'", "'[1, 2]'", b"[1, 2]", b"\n"),
            ("'application/json'", "b'{\"a\": 1}'", b'{"a": 1}', b""),
            ("'text/csv'", "b'a,b'", b"a,b", b""),
            ("'application/zip'", "b'PK'", b"PK", b""),
        ],
    )
    def test_bytes_in_a_pipe_and_in_a_file_stay_as_they_are(
        self, program, tmp_path, kind, data, bare, newline
    ):
        path = program(self.source(kind, data))
        assert run(path, mode="command_line").stdout == bare + newline
        assert run(path, "--output", "-", mode="command_line").stdout == bare
        file = tmp_path / "result"
        assert run(path, "--output", file, mode="command_line").returncode == 0
        assert file.read_bytes() == bare


# Models that raise one exception for each request, or report it.
RAISING = {
    "loop": """
        import ai_integration

        while True:
            with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
                raise ValueError("delibe" + "rate")
    """,
    "start_loop": """
        import ai_integration

        def infer(inputs):
            raise ValueError("delibe" + "rate")

        ai_integration.public_interface.start_loop(infer, {"text": {"type": "text"}})
    """,
    "function": """
        import ai_integration

        def infer(text: str):
            raise ValueError("delibe" + "rate")

        ai_integration.run(infer)
    """,
    "batches": """
        import ai_integration

        while True:
            with ai_integration.get_next_inputs(inputs_schema={"text": {"type": "text"}}) as batch:
                raise ValueError("delibe" + "rate")
    """,
    "stream": """
        import ai_integration

        def pieces():
            yield "a"
            raise ValueError("delibe" + "rate")

        while True:
            with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
                ai_integration.send_result(
                    {"content-type": "text/plain", "data": pieces(), "success": True}
                )
    """,
    "caught": """
        import ai_integration

        while True:
            try:
                with ai_integration.get_next_input({"text": {"type": "text"}}) as inputs:
                    raise ValueError("delibe" + "rate")
            except ValueError:
                pass
    """,
    "caught inside": """
        import ai_integration

        def pieces():
            raise ValueError("delibe" + "rate")
            yield "a"

        while True:
            with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
                try:
                    ai_integration.send_result(
                        {"content-type": "text/plain", "data": pieces(), "success": True}
                    )
                except ValueError:
                    pass
    """,
    "once": """
        import ai_integration

        with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
            raise ValueError("delibe" + "rate")
    """,
    "thread": """
        import threading
        import ai_integration

        def loop():
            with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
                raise ValueError("delibe" + "rate")

        thread = threading.Thread(target=loop)
        thread.start()
        thread.join()
    """,
    "reported": """
        import traceback
        import ai_integration

        while True:
            with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
                try:
                    raise ValueError("delibe" + "rate")
                except ValueError:
                    ai_integration.send_result(
                        {"data": None, "success": False, "error": traceback.format_exc()}
                    )
    """,
    "own hook": """
        import sys
        import traceback
        import ai_integration

        def hook(kind, value, trace):
            print("my hook", file=sys.stderr)
            traceback.print_exception(kind, value, trace)

        sys.excepthook = hook
        with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
            raise ValueError("delibe" + "rate")
    """,
}
each_way = pytest.mark.parametrize("way", RAISING)


class TestTraceback:
    @staticmethod
    def check(seen, times=1):
        assert seen.count(HEADING) == times, seen
        assert "ValueError: deliberate" in seen
        assert 'raise ValueError("delibe" + "rate")' in seen

    @each_way
    @both_commands
    def test_the_command_line_shows_it_once(self, program, way, command):
        path = program(RAISING[way])
        seen = shown(*command, path, "--text", "bad", MODE="command_line")
        self.check(seen)
        assert "the model failed" in seen
        if way == "own hook":
            assert "my hook" in seen

    @each_way
    @both_commands
    def test_a_pipe_mode_shows_it_once(self, program, way, command):
        path = program(RAISING[way])
        given = json.dumps({"text": "bad"}).encode()
        self.check(shown(*command, path, stdin=given, MODE="test_inputs_dict_json"))
        # The report on standard output names the exception, also if it is a pipe.
        done = run(path, command=command, stdin=given, mode="test_inputs_dict_json")
        assert b"ValueError: deliberate" in done.stdout
        self.check((done.stdout + done.stderr).decode())

    @pytest.mark.parametrize("way", sorted(set(RAISING) - {"once", "thread", "own hook"}))
    def test_the_self_test_shows_it_once_for_each_try(self, program, way):
        self.check(shown(PYTHON, program(RAISING[way]), MODE="test_model_integration"), 5)

    @each_way
    @pytest.mark.parametrize("policy", [None, "stop", "continue"])
    def test_a_server_shows_it_once_and_the_requester_gets_it(self, program, way, policy):
        path = program(RAISING[way])
        with terminal(PYTHON, path, MODE="http", PORT=0, AI_INTEGRATION_ON_EXCEPTION=policy) as on:
            server = Server(on.process, [])
            server.url = on.wait_for(r"ready on (http://[^/]+)/").group(1)
            # At this address chunks are joined, so every failure can be reported.
            error = server.classic(text="bad")["err"]
            on.wait_for("request_id")
            on.process.send_signal(signal.SIGTERM)
            self.check(on.to_the_end())
        self.check(error)

    def test_a_batch_shows_the_exception_of_a_member_once(self, program):
        path = program("""
            import time
            import ai_integration

            SCHEMA = {"text": {"type": "text"}}
            while True:
                with ai_integration.get_next_inputs(SCHEMA, max_batch_size=4) as batch:
                    texts = [inputs["text"] for inputs in batch]
                    print("got", *sorted(texts), flush=True)
                    if "first" in texts:
                        time.sleep(2)
                    if "bad" in texts:
                        raise ValueError("delibe" + "rate")
                    ai_integration.send_results(
                        [{"content-type": "text/plain", "data": t, "success": True} for t in texts]
                    )
        """)
        with terminal(PYTHON, path, MODE="http", PORT=0) as on:
            server = Server(on.process, [])
            server.url = on.wait_for(r"ready on (http://[^/]+)/").group(1)
            first = in_background(server.post, text="first")
            on.wait_for("got first")
            answers = [in_background(server.post, text=text) for text in ("a", "bad", "b")]
            assert [answer().status for answer in answers] == [200, 500, 200]
            assert first().status == 200
            on.wait_for("request_id")
            # Each request with the same failure is reported again.
            assert "got a b bad" in on.text()
            # The program prints it on another stream than its lines.
            on.wait_for(re.escape(HEADING) + r"(?s:.*)\nValueError: deliberate")
            self.check(on.text())
            for _ in range(3):
                assert server.post(text="bad").status == 500
            on.process.send_signal(signal.SIGTERM)
            assert on.to_the_end().count(HEADING) >= 2

    @pytest.mark.parametrize("workers", [1, 2])
    def test_a_model_that_does_not_load_shows_it_once(self, program, workers):
        path = program('import ai_integration\nraise ValueError("delibe" + "rate")')
        for mode in ("command_line", "test_inputs_dict_json", "test_model_integration", "http"):
            for command in COMMANDS.values():
                more = {"AI_INTEGRATION_START_ATTEMPTS": 1, "AI_INTEGRATION_WORKERS": workers}
                seen = shown(*command, path, MODE=mode, PORT=0, **more)
                self.check(seen, workers if mode == "http" else 1)

    def test_a_program_that_raises_twice_shows_both(self, program):
        path = program("""
            import ai_integration

            try:
                with ai_integration.get_next_input(inputs_schema={}) as inputs:
                    raise ValueError("delibe" + "rate")
            except ValueError:
                raise RuntimeError("another") from None
        """)
        seen = shown(PYTHON, path, MODE="command_line")
        self.check(seen, 2)
        assert "RuntimeError: another" in seen


class TestModes:
    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("htp", "http"),
            ("HTTP", "http"),
            ("https", "http"),
            ("command-line", "command_line"),
            ("cmd", "command_line"),
            ("json", "test_inputs_dict_json"),
            ("shuot", "shout"),
        ],
    )
    @pytest.mark.parametrize("how", ["variable", "flag"])
    def test_a_misspelt_mode_gets_the_nearest_one_suggested(
        self, program, tmp_path, name, meant, how
    ):
        modes = tmp_path / "modes"
        modes.mkdir()
        (modes / "mine.py").write_text("MODULE_MODES = {'shout': lambda: None}\n")
        path = program(model("SCHEMA = {}\n\ndef infer(inputs):\n    return 'x'\n"))
        if how == "flag":
            done = run(
                path,
                command=[BINARY, "run", "--mode", name],
                AI_INTEGRATION_MODES_PATH=modes,
            )
        else:
            done = run(path, mode=name, AI_INTEGRATION_MODES_PATH=modes)
        assert (done.returncode, done.stdout) == (1, b"")
        errors = done.stderr.decode()
        assert "error: MODE not found: %s; did you mean %s?\n" % (name, meant) in errors

    def test_another_word_is_not_taken_for_a_mode(self, program):
        path = program(model("SCHEMA = {}\n\ndef infer(inputs):\n    return 'x'\n"))
        for name in ("telepathy", "test", "h" * 5000):
            done = run(path, mode=name)
            assert done.returncode == 1
            assert b"did you mean" not in done.stderr

    @pytest.mark.parametrize("style", STYLES)
    def test_the_list_of_a_plain_run_is_short(self, program, style):
        path = program(model("SCHEMA = {}\n\ndef infer(inputs):\n    return 'x'\n", style))
        seen = shown(PYTHON, path)
        listed = [line for line in seen.splitlines() if line.startswith(" * MODE=")]
        assert len(listed) == 9
        assert max(map(len, seen.splitlines())) < 80
        # The list names the command that prints the long form.
        assert "ai-integration modes" in seen
        assert b"docker run --rm -e MODE=http" in run("modes", command=[BINARY]).stdout
