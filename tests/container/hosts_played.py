"""Plays the platforms: each class probes and asks a container as a kind of platform does.

Most platforms send requests to the container. AWS Lambda and RunPod's queue wait for the container
to ask for work, so they are played by the servers in tests/platforms/fakes, which are first shown
right by the vendors' own runtimes.
"""

import abc
import base64
import contextlib
import json
import os
import sys
from email.message import Message
from typing import Dict, Iterator, Optional

import container_host
import support
from hosts import TIMEOUT, Host, Probe, Request
from hosts_container import Answer, Container, Network

sys.path.insert(0, os.path.join(container_host.REPOSITORY, "tests", "platforms"))

import lambda_functions  # noqa: E402
from fakes import lambda_runtime, runpod_control  # noqa: E402


class Platform(abc.ABC):
    """A platform, and the container that it runs."""

    variables: Dict[str, str] = {}
    container: Container
    # What the log says when the platform stops a container in the middle of a request, if it does.
    stopping: Optional[str] = "stopping; "

    @abc.abstractmethod
    def probe(self) -> None:
        """Finds out that the model loads, also after a start that failed, and lets it be ready."""

    @abc.abstractmethod
    def wait_for_start(self) -> None:
        """Waits until a request can be sent; it then waits for the model itself."""

    @abc.abstractmethod
    def ask(self, request: Request) -> Answer:
        """Runs the model."""

    @abc.abstractmethod
    def stream(self, request: Request) -> Answer:
        """Asks for a stream, whose pieces arrive as the program makes them."""

    @contextlib.contextmanager
    def failing_to_start(self) -> Iterator[None]:
        """Lets the model fail to start, at least once, until the block ends."""
        self.container.open("break")
        support.eventually(lambda: "starting it again" in self.container.logs(), "a failed start")
        yield
        self.container.close("break")


class ByHttp(Platform):
    """A platform that sends requests."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def ask(self, request: Request) -> Answer:
        return self.container.ask("POST", request.path, request.body, request.headers)

    def wait_for_start(self) -> None:
        support.eventually(self.container.is_listening, "the port takes connections")

    def stream(self, request: Request) -> Answer:
        return self.container.stream(request.path, request.body, request.headers, "more")

    def probe(self) -> None:
        for probe in self.host.probes:
            self._wait(probe, probe.loading, "while the model loads")
        assert self._is_healthy()
        assert not self._is_healthy("--ready")
        with self.failing_to_start():
            for probe in self.host.probes:
                self._wait(probe, probe.loading, "after a start that failed")
        self.container.open("load")
        for probe in self.host.probes:
            self._wait(probe, probe.ready, "after the model is loaded")
            if probe.body is not None:
                assert self.container.ask("GET", probe.path).body == probe.body
        support.eventually(lambda: self._is_healthy("--ready"), "ready by the command healthcheck")
        assert self.container.is_healthy()

    def _is_healthy(self, *options: str) -> bool:
        """Returns the result of the command that a platform can run in the container."""
        checked = self.container.execute("ai-integration", "healthcheck", *options)
        return checked.returncode == 0

    def _wait(self, probe: Probe, status: int, when: str) -> None:
        seen: Optional[int] = None

        def is_seen() -> bool:
            nonlocal seen
            assert self.container.is_running(), "the container ended"
            if not probe.path:
                return self.container.is_listening()
            seen = self.container.status(probe.path)
            return seen == status

        try:
            support.eventually(is_seen, f"{probe.path}: {status} {when}")
        except AssertionError as error:
            raise AssertionError(f"{error}; the last status is {seen}") from None


class ByLambda(Platform):
    """AWS Lambda: requests are events of a function URL, and the container asks for them."""

    stopping = None

    def __init__(self, runtime: "lambda_runtime.LambdaRuntime") -> None:
        self._runtime = runtime
        self.variables = {"AWS_LAMBDA_RUNTIME_API": runtime.address}

    def probe(self) -> None:
        """Lambda has no probe: a container that asks for an event is ready."""
        event = self._runtime.invoke({"text": "hello"})
        support.eventually(self.container.is_running, "the container runs")
        self.container.open("load")
        # A plain event, as Invoke sends it.
        assert b"HELLO" in event.wait().body
        assert event.kind == "response"

    def wait_for_start(self) -> None:
        """Lambda keeps an event until the container asks for it."""

    def stream(self, request: Request) -> Answer:
        """Lambda gets the stream as a whole, unless the function is set up for streams."""
        self.container.open("more")
        return self.ask(request)

    def ask(self, request: Request) -> Answer:
        headers = {name.lower(): value for name, value in request.headers.items()}
        event = lambda_functions.function_url(request.path, request.body, headers=headers)
        done = self._runtime.invoke(event).wait()
        assert (done.kind, done.status) == ("response", 202), done.body
        answer = done.json()
        body = answer["body"]
        content = base64.b64decode(body) if answer.get("isBase64Encoded") else body.encode()
        return Answer(answer["statusCode"], headers_of(answer["headers"]), content)


class ByRunPod(Platform):
    """RunPod's queue: requests are jobs, and the container asks for them."""

    def __init__(self, control: "runpod_control.Control") -> None:
        self._control = control
        self._jobs = 0
        self.variables = control.variables()

    def probe(self) -> None:
        """The container takes no job before the model is loaded."""
        self._control.submit({"id": "early", "input": {"text": "hello"}})
        support.eventually(self.container.is_running, "the container runs")
        with self.failing_to_start():
            assert not self._control.of_kind("job-take")
        self.container.open("load")
        assert "HELLO" in str(self._control.result("early", support.TIMEOUT))
        # It says that it is alive.
        support.eventually(lambda: self._control.of_kind("ping"), "a ping")

    def wait_for_start(self) -> None:
        """RunPod keeps a job until the container asks for it."""

    def stream(self, request: Request) -> Answer:
        job = f"job-{self._jobs + 1}"
        answer = support.in_background(self.ask, request)
        support.eventually(lambda: self._control.of_kind("job-stream", job), "the first piece")
        self.container.open("more")
        return answer()

    def ask(self, request: Request) -> Answer:
        self._jobs += 1
        job = f"job-{self._jobs}"
        seconds = request.headers.get(TIMEOUT)
        policy = {"executionTimeout": int(1000 * float(seconds))} if seconds else {}
        self._control.submit({"id": job, "input": json.loads(request.body), "policy": policy})
        result = self._control.result(job, support.TIMEOUT)
        if "error" in result:
            error = json.loads(result["error"])
            return Answer(error["error_type"], headers_of({}), result["error"].encode())
        return Answer(200, headers_of({}), json.dumps(result["output"]).encode())


def headers_of(pairs: Dict[str, str]) -> Message:
    headers = Message()
    for name, value in pairs.items():
        headers[name] = value
    return headers


@contextlib.contextmanager
def played(host: Host, network: Network) -> Iterator[Platform]:
    """Plays a platform while the block runs."""
    with contextlib.ExitStack() as stack:
        if host.name == "lambda":
            # A socket stays in the network in which it was made.
            with network.entered():
                runtime = lambda_runtime.LambdaRuntime()
            yield ByLambda(stack.enter_context(runtime))
        elif host.name == "runpod":
            control = runpod_control.control()
            with network.entered():
                platform = stack.enter_context(control)
            yield ByRunPod(platform)
        else:
            yield ByHttp(host)
