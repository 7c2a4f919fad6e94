"""Runs a model in both API styles and in all modes, through one function.

A test writes a model once, as a function `infer` and a `SCHEMA`, and passes Python values.
This module turns the inputs into flags, pipes or forms, and the results into a `Reply`.
"""

import base64
import contextlib
import io
import json
import pickle
import re
import textwrap

from PIL import Image
from support import run, serve

# The two API styles of old programs.
STYLES = {
    "loop": """
import ai_integration

while True:
    with ai_integration.get_next_input(inputs_schema=SCHEMA) as inputs_dict:
        ai_integration.send_result(infer(inputs_dict))
""",
    "start_loop": """
from ai_integration.public_interface import start_loop

start_loop(inference_function=infer, inputs_schema=SCHEMA)
""",
}

ONE_SHOT = ["command_line", "test_inputs_dict_json", "test_inputs_pickled_dict"]
HTTP = ["http /", "http /infer"]
# The modes that take inputs of any type.
MODES_FOR_ANY_INPUT = ONE_SHOT + HTTP


def model(source, style="loop"):
    """Returns the program of a model; `source` defines `SCHEMA` and `infer`."""
    return textwrap.dedent(source) + STYLES[style]


def picture(size=(4, 3), color=(200, 30, 90), kind="PNG", mode="RGB"):
    """Returns the bytes of a picture of one colour."""
    encoded = io.BytesIO()
    Image.new(mode, size, color).save(encoded, format=kind)
    return encoded.getvalue()


class Reply:
    """The outcome of a request to a model: the data, as text if it is text, or the error."""

    def __init__(self, success, text, status, output, errors):
        self.success = success
        self.text = text
        # The process's exit status, or the HTTP status.
        self.status = status
        self.output = output
        self.errors = errors

    def json(self):
        assert self.success, self
        return json.loads(self.text)

    def __repr__(self):
        return "Reply(%s, %s, %r, %r, %r)" % (
            self.success,
            self.status,
            self.text[-600:],
            self.output[-600:],
            self.errors[-2000:],
        )


def ask(mode, path, inputs, folder, **variables):
    """Runs the program at `path` in `mode` on `inputs`, in which files are bytes."""
    if mode in HTTP:
        with serve(path, **variables) as server:
            return ask_server(server, mode, inputs)
    if mode == "command_line":
        arguments = []
        for name, value in inputs.items():
            if isinstance(value, bytes):
                file = folder / ("input-" + name)
                file.write_bytes(value)
                value = file
            arguments += ["--" + name, value]
        return one_shot(run(path, *arguments, mode=mode, **variables))
    return one_shot(run(path, mode=mode, stdin=piped(mode, inputs), **variables))


def piped(mode, inputs):
    """Returns the inputs in the form that the pipe modes read."""
    if mode == "test_inputs_pickled_dict":
        return pickle.dumps(inputs)
    if mode == "test_single_image":
        return inputs["image"]
    assert mode == "test_inputs_dict_json"
    encoded = {
        name: base64.b64encode(value).decode() if isinstance(value, bytes) else value
        for name, value in inputs.items()
    }
    return json.dumps(encoded).encode()


def ask_server(server, mode, inputs):
    """Sends the inputs to a running server, to the address that `mode` names."""
    answer = server.post(mode.split()[1], **inputs)
    if mode == "http /":
        body = answer.json()
        success = "err" not in body
        text = body["output"] if success else body["err"]
        if not isinstance(text, str):
            text = json.dumps(text)
        return Reply(success, text, answer.status, server.output(), "")
    success = answer.status == 200
    text = answer.body.decode() if success else answer.json()["detail"]
    return Reply(success, text, answer.status, server.output(), "")


def one_shot(done):
    """Returns the reply that a finished process has printed."""
    output, errors = done.stdout.decode(), done.stderr.decode()
    reported = re.search(
        r"^Good, (?:the JSON can be parsed|got text of \d+ bytes):\n", output, re.M
    )
    if output.startswith("Got ") and reported:
        text = output[reported.end() :]
    elif "Sad!" in output:
        text = output
    else:
        text = output if done.returncode == 0 else errors
    return Reply(done.returncode == 0, text, done.returncode, output, errors)


@contextlib.contextmanager
def serving(path, **variables):
    """Serves a program. `server.ask(name=value)` sends inputs to `POST /`, the address of 1.0."""
    with serve(path, **variables) as server:
        server.ask = lambda **inputs: ask_server(server, "http /", inputs)
        yield server
