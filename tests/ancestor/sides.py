"""The two sides of the comparison: runs a program with 1.0.16 or with this package, and returns
the outcome in one form."""

import ast
import contextlib
import functools
import json
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from environments import python_from
from support import (
    PYTHON,
    TIMEOUT,
    Answer,
    environment,
    free_port,
    started,
    wait_until_listening,
)

HERE = Path(__file__).parent
HAPPY = "model has indicated that it succeeded!"
UNHAPPY = "odel has indicated that it failed"


class Side:
    """One of the two packages."""

    def __init__(self, name, python, **variables):
        self.name = name
        self.python = python
        self.variables = variables

    def run(self, program, mode, arguments=(), stdin=b"", told=None, **variables):
        """Runs a one-shot mode, and returns its outcome.

        `told` are words that the user must see, on standard output or standard error.
        """
        folder = program.parent
        seen, output = folder / (self.name + "-seen"), folder / (self.name + "-output")
        words = [str(output) if word == "OUTPUT" else str(word) for word in arguments]
        variables = {"MODE": mode, "SEEN": seen, **self.variables, **variables}
        done = subprocess.run(
            [self.python, str(program), *words],
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(**variables),
            cwd=folder,
            timeout=TIMEOUT,
            check=False,
        )
        text = done.stdout.decode("utf-8", "replace")
        outcome = {"status": done.returncode, "seen": notes(seen)}
        if mode == "command_line":
            outcome["stdout"] = done.stdout
            outcome["data"] = data_of(done.stdout)
        elif mode and mode.startswith("test_"):
            outcome["happy"] = text.count(HAPPY)
            outcome["unhappy"] = text.count(UNHAPPY)
        if mode == "test_model_integration":
            outcome["seen"] = [types_of(inputs) for inputs in outcome["seen"]]
        if "OUTPUT" in arguments:
            outcome["output"] = output.read_bytes() if output.exists() else None
        if told is not None:
            outcome["told"] = told in text + done.stderr.decode("utf-8", "replace")
        # Shown when a test fails; not compared.
        outcome["log"] = text[-1500:] + done.stderr.decode("utf-8", "replace")[-1500:]
        return outcome

    def package(self):
        """The folder of the package."""
        code = "import ai_integration, os; print(os.path.dirname(ai_integration.__file__))"
        command = [self.python, "-c", code]
        said = subprocess.check_output(command, env=environment(), timeout=TIMEOUT, text=True)
        return said.strip()

    @contextlib.contextmanager
    def serve(self, program, **variables):
        """Runs a server. Yields a function that sends a request and returns the outcome."""
        port = free_port()
        folder = program.parent
        seen, log = folder / (self.name + "-seen"), folder / (self.name + "-log")
        variables = {"MODE": "http", "PORT": port, "SEEN": seen, **self.variables, **variables}
        with log.open("w") as file, started(
            [self.python, program],
            env=environment(**variables),
            cwd=folder,
            stdout=file,
            stderr=file,
        ) as process:
            wait_until_listening(process, port, log)
            asker = functools.partial(asked, port, seen)
            asker.port, asker.log = port, log
            yield asker
            process.terminate()
            process.wait(TIMEOUT)


def asked(port, seen, body=None, path="/", **request):
    """Sends a request with the arguments of `urllib.request.Request`, and returns the outcome."""
    url = "http://127.0.0.1:%d%s" % (port, path)
    request = urllib.request.Request(url, data=body, **request)
    known = len(notes(seen))
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            answer = Answer(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            answer = Answer(error.code, error.headers, error.read())
    outcome = {"status": answer.status, "type": answer.type, "seen": notes(seen)[known:]}
    with contextlib.suppress(ValueError):
        # The fields of the JSON; a problem of RFC 9457 has a status and a type of its own.
        outcome.update(("body." + name, value) for name, value in answer.json().items())
    outcome["log"] = answer.body[-1500:].decode("utf-8", "replace")
    return outcome


def notes(path):
    """Returns the inputs that the model got, one dict for each request."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def types_of(inputs):
    """Returns the names and types of inputs, without the values: each side has its own samples."""
    return {name: kind for name, (kind, _) in inputs.items()}


def data_of(stdout):
    """The data of the result on standard output: alone, or in the dict that 1.0.16 shows."""
    if b"Entering command line mode" not in stdout:
        return stdout
    shown = stdout.partition(b"dumping to console")[2].decode()
    # Its two threads print into each other's lines.
    text = shown[shown.find("{") :]
    ends = [end + 1 for end, character in enumerate(text) if character == "}"]
    for end in ends:
        with contextlib.suppress(SyntaxError):
            data = ast.literal_eval(text[:end])["data"]
            if isinstance(data, bytes):
                return data
            return (data if isinstance(data, str) else json.dumps(data)).encode() + b"\n"
    return b""


@functools.lru_cache(maxsize=None)
def sides():
    """Returns both sides: 1.0.16 and this package."""
    python = python_from("ancestor", HERE / "requirements.txt")
    # Unbuffered, since 1.0.16 loses some of what it prints otherwise.
    variables = {"PYTHONPATH": HERE / "port", "PYTHONUNBUFFERED": 1}
    return Side("original", python, **variables), Side("ours", PYTHON)
