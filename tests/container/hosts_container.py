"""A container in a network of its own, asked as a hosting platform asks it.

The network has loopback only, so the container can listen on the platform's own port (8080, 80)
whatever else this machine does, and cannot reach anything. The test enters the network for the
moment in which it opens a connection, or a socket on which it listens.
"""

import concurrent.futures
import contextlib
import ctypes
import fcntl
import http.client
import os
import shutil
import socket
import struct
import tempfile
import time
from email.message import Message
from typing import TYPE_CHECKING, Dict, Iterator, List, NamedTuple, Optional, Sequence

import container_host
import support

if TYPE_CHECKING:
    from containers import Finished, Podman

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS = 0x8914
IFF_UP = 1
LIBC = ctypes.CDLL(None, use_errno=True)
PROGRAM = os.path.join(container_host.HERE, "hosts_model.py")
# What docs/container-format.md recommends. Podman's own timer of health checks needs systemd.
LOCKED = ["--read-only", "--read-only-tmpfs=false", "--tmpfs", "/tmp", "--cap-drop", "ALL"]
LOCKED += ["--security-opt", "no-new-privileges", "--health-interval=disable"]


class Answer(NamedTuple):
    """The response of a container. Without HTTP, a failure has its code instead of a status."""

    status: "int | str"
    headers: Message
    body: bytes


class Network:
    """A network with nothing but loopback. It lasts as long as this object."""

    def __init__(self) -> None:
        with concurrent.futures.ThreadPoolExecutor(1) as own_thread:
            self._file = own_thread.submit(self._make).result()

    @staticmethod
    def _make() -> int:
        # Of this thread alone, which ends.
        if LIBC.unshare(CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "unshare")
        with socket.socket() as any_socket:
            up = struct.pack("16sh14x", b"lo", IFF_UP)
            fcntl.ioctl(any_socket, SIOCSIFFLAGS, up)
        # Docker sets this too: a program that is not root may take the port 80.
        with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", "w", encoding="utf-8") as file:
            file.write("0")
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY)

    def close(self) -> None:
        os.close(self._file)

    def option(self) -> str:
        """The option of podman that puts a container into this network."""
        return f"--network=ns:/proc/{os.getpid()}/fd/{self._file}"

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Lets this thread open sockets in this network."""
        with open("/proc/thread-self/ns/net", "rb") as own:
            self._enter(self._file)
            try:
                yield
            finally:
                self._enter(own.fileno())

    @staticmethod
    def _enter(namespace: int) -> None:
        if LIBC.setns(namespace, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")


class Container:
    """A running container of the example image, with `hosts_model.py` in it."""

    def __init__(self, podman: "Podman", name: str, start: "Start", gate: str) -> None:
        self._podman = podman
        self._name = name
        self._port = start.port
        self._network = start.network
        self._gate = gate
        self.pid = int(podman.run("inspect", "--format", "{{.State.Pid}}", name).stdout)

    def open(self, gate: str) -> None:
        """Lets the program go on that waits for this gate."""
        with open(os.path.join(self._gate, gate), "wb"):
            pass

    def close(self, gate: str) -> None:
        """Takes back what `open` did."""
        os.remove(os.path.join(self._gate, gate))

    def connect(self, timeout: float = support.TIMEOUT) -> socket.socket:
        with self._network.entered():
            return socket.create_connection(("127.0.0.1", self._port), timeout)

    def is_listening(self) -> bool:
        """Returns true if the port takes connections: the probe by TCP."""
        try:
            self.connect().close()
        except OSError:
            return False
        return True

    def ask(
        self,
        method: str,
        path: str,
        body: Optional[bytes] = None,
        headers: Optional[Dict[str, str]] = None,
    ) -> Answer:
        """Sends a request with no headers but these and `Host`."""
        with self._asked(method, path, body, headers or {}) as response:
            return Answer(response.status, response.headers, response.read())

    def stream(self, path: str, body: bytes, headers: Dict[str, str], gate: str) -> Answer:
        """Posts a request, and opens the gate when the first piece of the answer has arrived."""
        with self._asked("POST", path, body, headers) as response:
            first = response.read1(65536)
            self.open(gate)
            return Answer(response.status, response.headers, first + response.read())

    @contextlib.contextmanager
    def _asked(
        self, method: str, path: str, body: Optional[bytes], headers: Dict[str, str]
    ) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        connection.sock = self.connect()
        with contextlib.closing(connection):
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            # A server may refuse a body before it has read all of it.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.endheaders(body)
            yield connection.getresponse()

    def status(self, path: str) -> Optional[int]:
        """Returns the status of a probe, or None if nothing answers."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.ask("GET", path).status
        return None

    def is_running(self) -> bool:
        return support.alive(self.pid)

    def logs(self) -> str:
        printed = self._podman.run("logs", self._name)
        return printed.stdout + printed.stderr

    def execute(self, *command: str) -> "Finished":
        """Runs a command inside the container, as probes of the kind `exec` do."""
        return self._podman.run("exec", self._name, *command, check=False)

    def is_healthy(self) -> bool:
        """Returns the result of the image's HEALTHCHECK."""
        return self._podman.run("healthcheck", "run", self._name, check=False).returncode == 0

    def stop(self, grace: int) -> float:
        """Stops the container as platforms do, SIGTERM and SIGKILL `grace` seconds later; returns
        the time that it took."""
        start = time.monotonic()
        self._podman.run("stop", "--time", str(grace), self._name, timeout=grace + support.TIMEOUT)
        return time.monotonic() - start

    def exit_status(self) -> int:
        return int(self._podman.run("wait", self._name, timeout=support.TIMEOUT).stdout)


class Start(NamedTuple):
    """The words of a platform that starts a container, and the port that it then asks."""

    network: Network
    port: int
    command: Sequence[str]
    variables: Dict[str, str]
    user: Optional[str]
    entrypoint: Optional[str]
    # Where the platform mounts the model.
    model_dir: Optional[str]
    # The program in the place of the image's own.
    program: Optional[str] = PROGRAM

    def options(self) -> List[str]:
        user = ["--user", self.user] if self.user else []
        own = ["--entrypoint", self.entrypoint] if self.entrypoint else []
        return [*LOCKED, self.network.option(), *user, *own]


@contextlib.contextmanager
def started(podman: "Podman", image: str, start: Start) -> Iterator[Container]:
    """Runs the image, locked down."""
    gate = tempfile.mkdtemp()
    os.chmod(gate, 0o755)
    mounts = {gate: "/gate"}
    if start.program:
        mounts[start.program] = "/model/entrypoint.py"
    if start.model_dir:
        weights = os.path.join(gate, "model")
        os.mkdir(weights)
        mounts[weights] = start.model_dir
    volumes = [f"--volume={source}:{target}:ro" for source, target in mounts.items()]
    options = [*start.options(), *volumes]
    name = podman.name()
    try:
        podman.run(
            *["run", "-d", *podman.options(name, start.variables, options)],
            *[image, *start.command],
        )
        yield Container(podman, name, start, gate)
    except Exception:
        # The report of a failed test shows what was printed.
        print(podman.run("logs", name, check=False))
        raise
    finally:
        podman.remove(name)
        shutil.rmtree(gate)
