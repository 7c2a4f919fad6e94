"""Sends requests to a container that serves HTTP, and looks at its processes."""

import json
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Dict, Iterator, NamedTuple, Optional, Set

if TYPE_CHECKING:
    from containers import Podman


class Answer(NamedTuple):
    """An HTTP response."""

    status: int
    content_type: str
    body: bytes

    def json(self) -> "Dict[str, object]":
        parsed = json.loads(self.body.decode())
        assert isinstance(parsed, dict), parsed
        return parsed


class Process(NamedTuple):
    """A process inside a container."""

    pid: int
    name: str
    state: str
    parent: int
    started: int


class Server:
    """A container that serves HTTP."""

    def __init__(self, podman: "Podman", name: str, port: int) -> None:
        self._podman = podman
        self._name = name
        self._port = port

    def post(self, path: str, timeout: float = 30, **fields: str) -> Answer:
        """Posts a form."""
        return self._request(path, urllib.parse.urlencode(fields).encode(), timeout)

    def upload(self, path: str, body: bytes, content_type: str, timeout: float = 60) -> Answer:
        """Posts a body of any kind."""
        return self._request(path, body, timeout, {"Content-Type": content_type})

    def get(self, path: str, timeout: float = 10) -> Answer:
        return self._request(path, None, timeout)

    def _request(
        self,
        path: str,
        data: Optional[bytes],
        timeout: float,
        headers: Optional[Dict[str, str]] = None,
    ) -> Answer:
        url = f"http://127.0.0.1:{self._port}{path}"
        # The environment's proxies are not for this machine itself.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            request = urllib.request.Request(url, data, headers or {})
            with opener.open(request, timeout=timeout) as answer:
                content_type = answer.headers.get("Content-Type", "")
                return Answer(answer.status, content_type, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers.get("Content-Type", ""), error.read())

    def accepts(self) -> bool:
        """Returns true if the server accepts another request."""
        try:
            return self.get("/readyz").status == 200
        except OSError:
            return False

    def wait_until_ready(self) -> None:
        for _ in attempts(30, "the server did not become ready", self.logs):
            if self.accepts():
                return
            assert self.is_running(), "the server ended: " + self.logs()

    def is_running(self) -> bool:
        state = self._podman.run("inspect", "--format", "{{.State.Running}}", self._name)
        return state.stdout.strip() == "true"

    def is_healthy(self) -> bool:
        """Returns the result of the image's HEALTHCHECK."""
        return self._podman.run("healthcheck", "run", self._name, check=False).returncode == 0

    def wait_for_log(self, line: str) -> None:
        for _ in attempts(10, "it did not print: " + line, self.logs):
            if line in self.logs():
                return

    def logs(self) -> str:
        printed = self._podman.run("logs", self._name)
        return printed.stdout + printed.stderr

    def execute(self, *command: str) -> str:
        """Returns the output of a command inside the container."""
        return self._podman.run("exec", self._name, *command).stdout

    def processes(self) -> Dict[int, Process]:
        """Returns all processes of the container by pid, without `ps`, which few images have."""
        # The shell lists /proc first and `cat` reads the files afterwards. A process that ends in
        # between has no file any more, which is no error here.
        stats = self.execute("sh", "-c", "cat /proc/[0-9]*/stat 2>/dev/null || true")
        found = {}
        for line in stats.splitlines():
            before, after = line.rsplit(")", 1)
            pid, name = before.split(" (", 1)
            fields = after.split()
            process = Process(int(pid), name, fields[0], int(fields[1]), int(fields[19]))
            found[process.pid] = process
        return found

    def listening_addresses(self) -> Set[str]:
        """Returns the addresses that the port is bound to, in the kernel's hexadecimal form."""
        lines = self.execute("sh", "-c", "cat /proc/net/tcp /proc/net/tcp6 || true").splitlines()
        sockets = [line.split()[1:4] for line in lines]
        listening = "0A"
        local = [local.split(":") for local, _, state in sockets if state == listening]
        return {address for address, port in local if int(port, 16) == self._port}

    def signal(self, name: str) -> None:
        self._podman.run("kill", "--signal", name, self._name)

    def stop(self, limit: int) -> None:
        """Runs `podman stop`, which kills after `limit` seconds."""
        self._podman.run("stop", "--time", str(limit), self._name, timeout=limit + 30)

    def exit_status(self, timeout: float) -> int:
        """Waits at most `timeout` seconds for the container's end; returns the exit status."""
        return int(self._podman.run("wait", self._name, timeout=timeout).stdout)

    def remove(self) -> None:
        self._podman.remove(self._name)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("0.0.0.0", 0))
        port = probe.getsockname()[1]
        assert isinstance(port, int)
        return port


def attempts(seconds: float, message: str, detail: "object" = None) -> Iterator[None]:
    """Yields every 0.1 s for at most `seconds`, then fails with `message`.

    The caller ends the loop when it sees what it waits for.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(0.1)
    more = ": " + str(detail()) if callable(detail) else ""
    raise AssertionError(f"{message} within {seconds} s{more}")
