"""The programs and servers of the vendors, each in an environment of its own, on loopback."""

import contextlib
import subprocess
from pathlib import Path

import support
from environments import python_from

HERE = Path(__file__).parent
# The environments that these tests share with those of clients.
SHARED = ("kserve", "language")


def python_of(name):
    """The Python of the environment of `NAME.txt`."""
    if name in SHARED:
        return python_from("clients-" + name, HERE.parent / "clients" / (name + ".txt"))
    return python_from("platforms-" + name, HERE / (name + ".txt"))


def run(name, program, *arguments, given="", **variables):
    """Runs a program of this folder in the environment of `NAME.txt`, and returns its output."""
    done = subprocess.run(
        [python_of(name), HERE / program, *map(str, arguments)],
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=support.environment(**variables),
        timeout=4 * support.TIMEOUT,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextlib.contextmanager
def serving(command, port, log, health, **variables):
    """Runs a server until the end of the block."""
    with open(log, "wb") as output, support.started(
        command,
        stdout=output,
        stderr=output,
        env=support.environment(PYTHONPATH=HERE, **variables),
    ) as process:
        support.wait_until_listening(process, port, log)
        server = support.Server(process, [])
        server.url = "http://127.0.0.1:%d" % port
        support.eventually(lambda: server.get(health).status == 200, "it is healthy")
        yield server
        # Its children end with it.
        process.terminate()
        process.wait(support.TIMEOUT)


def google(folder, predict_route):
    """Serves the model with CprModelServer of google-cloud-aiplatform."""
    port = support.free_port()
    server = "google.cloud.aiplatform.prediction.model_server:CprModelServer"
    command = [python_of("vertex"), "-m", "uvicorn", "--factory", server]
    return serving(
        [*command, "--host", "127.0.0.1", "--port", port],
        port,
        folder / "log",
        "/health",
        AIP_HTTP_PORT=port,
        AIP_HEALTH_ROUTE="/health",
        AIP_PREDICT_ROUTE=predict_route,
        HANDLER_MODULE="google.cloud.aiplatform.prediction.handler",
        HANDLER_CLASS="PredictionHandler",
        PREDICTOR_MODULE="vertex_predictor",
        PREDICTOR_CLASS="Toy",
    )


def microsoft(folder):
    """Serves the model with azureml-inference-server-http."""
    port = support.free_port()
    app = "azureml_inference_server_http.server.entry:app"
    command = [python_of("azure_ml"), "-m", "gunicorn", app, "--bind", "127.0.0.1:%d" % port]
    return serving(
        command,
        port,
        folder / "log",
        "/",
        AZUREML_ENTRY_SCRIPT=HERE / "score.py",
        AML_APP_ROOT=HERE,
        # The vendor's command sets it, and then starts gunicorn too.
        HTTP_X_MS_SERVER_VERSION="azmlinfsrv/1.5.1",
    )
