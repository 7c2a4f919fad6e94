"""What a person sees on a terminal: results that end with a newline, the list of modes,
and the mode that a misspelt one means."""

import contextlib
import os
import pty
import re
import select
import subprocess

import pytest
from compat import STYLES, model
from support import BINARY, PATIENCE, PYTHON, environment, eventually, run

# The program itself, and `ai-integration run`.
COMMANDS = {"program": [PYTHON], "run": [BINARY, "run"]}
both_commands = pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
HEADING = "Traceback (most recent call last):"


class Terminal:
    """A terminal with a program on it."""

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

    def text(self, patience=0.0):
        """All that it has shown so far, as the program wrote it."""
        while select.select([self._main], [], [], patience)[0]:
            try:
                piece = os.read(self._main, 1 << 16)
            except OSError:
                # On Linux this is the end: nobody has the terminal any more.
                break
            if not piece:
                break
            self._seen += piece
        return self._seen.decode(errors="replace").replace("\r\n", "\n")

    def wait_for(self, pattern):
        return eventually(lambda: re.search(pattern, self.text()), pattern, PATIENCE)

    def to_the_end(self):
        """Waits for the program's end, and gives all that the terminal has shown."""

        def has_ended():
            self.text()
            return self.process.poll() is not None

        eventually(has_ended, "the program ends", PATIENCE)
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
        # What goes to `--output` is not laid out.
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
    def test_a_misspelt_mode_is_told_which_it_means(self, program, tmp_path, name, meant, how):
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
        assert len(listed) == 6
        assert max(map(len, seen.splitlines())) < 80
        # The long form is a command away.
        assert "ai-integration modes" in seen
        assert b"docker run --rm -e MODE=http" in run("modes", command=[BINARY]).stdout
