"""Runs the clients, each in an environment of its own, and serves the models that they call."""

import contextlib
import json
import subprocess
import urllib.parse
from pathlib import Path

import support
from environments import python_from

HERE = Path(__file__).parent
MODEL = "m"
# MLServer runs with Python 3.13 too, which its metadata leave out.
OPTIONS = {"mlserver": ["--ignore-requires-python"]}


def python_of(name):
    """The Python of the environment of `NAME.txt`."""
    return python_from("clients-" + name, HERE / (name + ".txt"), *OPTIONS.get(name, []))


def call(client, place, calls):
    """Makes calls with a client, all in one process, and returns the answers in order."""
    done = subprocess.run(
        [python_of(client), HERE / ("call_%s.py" % client)],
        input=json.dumps([{"model": MODEL, "tensors": [], **place, **one} for one in calls]),
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


def place_of(server):
    """The addresses of a server: those of gRPC are on the same port."""
    address = urllib.parse.urlsplit(server.url).netloc
    return {"address": address, "grpc": address}


@contextlib.contextmanager
def served(**variables):
    """Serves the model of these tests."""
    with support.serve(HERE / "model.py", AI_INTEGRATION_MODEL_ID=MODEL, **variables) as server:
        yield server


@contextlib.contextmanager
def mlserver(folder):
    """Serves the same model with MLServer."""
    ports = {name: support.free_port() for name in ("http", "grpc")}
    settings = {
        "host": "127.0.0.1",
        "http_port": ports["http"],
        "grpc_port": ports["grpc"],
        "metrics_endpoint": None,
        # The model runs in the process of the server.
        "parallel_workers": 0,
    }
    model = {"name": MODEL, "implementation": "mlserver_model.Model"}
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model))
    (folder / "mlserver_model.py").write_text((HERE / "mlserver_model.py").read_text())
    log = folder / "log"
    program = Path(python_of("mlserver")).parent / "mlserver"
    with open(log, "wb") as output, support.started(
        [program, "start", folder], cwd=folder, stdout=output, stderr=output
    ) as process:
        address = "127.0.0.1:%d" % ports["http"]
        for port in ports.values():
            support.wait_until_listening(process, port, log)
        server = support.Server(process, [])
        server.url = "http://" + address
        support.eventually(
            lambda: server.get("/v2/models/%s/ready" % MODEL).status == 200, "it is ready"
        )
        yield {"address": address, "grpc": "127.0.0.1:%d" % ports["grpc"]}
