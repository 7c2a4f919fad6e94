"""Runs the clients of language models and of agents, and serves the models that they call."""

import base64
import contextlib
import http.client
import json
import re
import shutil
import subprocess
from pathlib import Path

import calls
import support
from environments import node_with

HERE = Path(__file__).parent
MODELS = HERE / "models"
JSON = {"Content-Type": "application/json"}
NODE_PACKAGES = ["openai@6.49.0"]
# The ids of responses, which are different each time.
ID = re.compile(r"\b(chatcmpl-|cmpl-|resp_|msg_|fc_)[0-9a-f]{32}\b")
TIMES = ("created", "created_at", "completed_at")


def python():
    """The Python that has the clients."""
    return calls.python_of("language")


def node(program, folder=None):
    """Returns the command that runs a program with Node.js and the clients of npm.

    Modules are found beside the program, so it is copied to where they are.
    """
    packages = node_with("clients-node", NODE_PACKAGES)
    if folder is not None:
        (folder / "node_modules").symlink_to(packages / "node_modules")
        return ["node", program]
    return ["node", shutil.copy(program, packages)]


def call(program, sent):
    """Makes calls with a program, all in one process, and returns the answers in order."""
    path = HERE / program
    command = node(path) if path.suffix == ".mjs" else [python(), path]
    done = subprocess.run(
        command,
        input=json.dumps(sent),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=support.environment(),
        # A process for all calls of a client.
        timeout=4 * support.TIMEOUT,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@contextlib.contextmanager
def served(model, **variables):
    """Serves a model of these tests, by its name."""
    settings = {"AI_INTEGRATION_MODEL_ID": calls.MODEL, **variables}
    with support.serve(MODELS / (model + ".py"), **settings) as server:
        yield server


@contextlib.contextmanager
def full(model, **variables):
    """A server that works on one request while another one waits, and takes no more.

    Gives the server, and a function that has the clients of both requests leave.
    """
    settings = {"AI_INTEGRATION_CONCURRENCY": 1, "AI_INTEGRATION_QUEUE": 1}
    body = json.dumps({"messages": [{"role": "user", "content": "wait"}]})
    with served(model, **settings, **variables) as server, contextlib.ExitStack() as stack:
        for line in ("jobs_in_flight 1", "queue_depth 1"):
            connection = http.client.HTTPConnection(address(server), timeout=support.TIMEOUT)
            stack.callback(connection.close)
            connection.request("POST", "/v1/chat/completions", body, JSON)
            support.eventually(lambda line=line: has(server, "ai_integration_" + line), line)
        yield server, stack.close


def has(server, pattern):
    """Returns true if the metrics have a line that matches."""
    return re.search("^%s$" % pattern, server.get("/metrics").body.decode(), re.M)


def address(server):
    return calls.place_of(server)["address"]


def steady(answer, name=None):
    """Returns an answer with `…` for the id and 0 for the time, which vary, after their types."""
    if isinstance(answer, dict):
        return {name: steady(value, name) for name, value in answer.items()}
    if isinstance(answer, list):
        return [steady(item) for item in answer]
    if isinstance(answer, str):
        return ID.sub(r"\1…", answer)
    return 0 if name in TIMES and isinstance(answer, (int, float)) else answer


def file(name, data, kind):
    """A file among the arguments of a call."""
    return {"file": name, "base64": base64.b64encode(data).decode(), "type": kind}


def data_url(data, kind):
    return "data:%s;base64,%s" % (kind, base64.b64encode(data).decode())
