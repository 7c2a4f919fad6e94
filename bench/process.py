"""Starts and stops a server, sends it requests, and measures its processes through /proc."""

import contextlib
import ctypes
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import environments
import servers
import works

# Limits in seconds: for the first right response of a server, for one response, and for its stop.
START_PATIENCE = 90
ANSWER_PATIENCE = 10
STOP_PATIENCE = 10
# The seconds that a load generator may take longer than its load.
MORE_PATIENCE = 20
PAUSE = 0.002

TICKS = os.sysconf("SC_CLK_TCK")
PR_SET_CHILD_SUBREAPER = 36


class Failed(Exception):
    """A server failed. The message goes into the report."""


def adopt_orphans():
    """Makes this process the parent of a server's orphans, so that `tree` finds them."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Running:
    """A started server. `first_answer` is the time from the start to the first right response.

    `scratch` is the folder of the server's temporary files.
    """

    def __init__(self, server, work, process, start, log):
        self.server = server
        self.work = work
        self.process = process
        self.port = start.port
        self.grpc_port = server.grpc_port(start)
        self.scratch = start.scratch
        self.log = log
        self.first_answer = None

    def check(self, work, times=1):
        """Sends the work's request `times` times over one connection, and checks each response."""
        if work.tensors == works.GRPC:
            self._compare(work, self._call_once(work))
            return
        connection = socket.create_connection(("127.0.0.1", self.port), ANSWER_PATIENCE)
        with contextlib.closing(connection):
            for _ in range(times):
                self._compare(work, self._ask(work, connection))

    def _compare(self, work, answer):
        if answer != work.right_answer:
            raise Failed(f"a wrong answer: {str(answer)[:200]}")

    def _call_once(self, work):
        """Sends the work's request over gRPC once, and returns the result."""
        found = self.call(work, clients=1, seconds=0)
        if not found["requests"]:
            raise Failed(found["reason"])
        try:
            return json.loads(found["answer"])
        except ValueError as failure:
            raise Failed(f"a response that is no JSON: {found['answer'][:200]}") from failure

    def call(self, work, clients, seconds):
        """Sends the work's request over gRPC for some seconds; returns what `bench/grpc` prints.

        Each client sends one request at least. A response that differs from the first is an error.
        """
        return output_of(
            [environments.GRPC, self.grpc_port, servers.MODEL, "text", work.text, clients, seconds],
            seconds + MORE_PATIENCE,
        )

    def _ask(self, work, connection):
        """Sends the work's request once, and returns the result that the server's reader finds."""
        request = self.server.request(work)
        # Sent in one call: after two calls, a server may read the head and the body separately.
        connection.sendall(b"".join(self.wire(request)))
        with http.client.HTTPResponse(connection, method="POST") as response:
            response.begin()
            body = response.read()
        if response.status >= 300:
            raise Failed(f"status {response.status}: {body[:200].decode(errors='replace')}")
        if work.chunks:
            return body.count(work.newline)
        try:
            return self.server.result(work, body)
        except (ValueError, LookupError, TypeError) as failure:
            raise Failed(f"a response that cannot be read: {body[:200]!r}") from failure

    def wire(self, request, more_head=b""):
        """Returns the bytes of a request: head and body."""
        head = (
            f"POST {request.path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"Content-Type: {request.type}\r\nContent-Length: {len(request.body)}\r\n"
        ) + "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        return head.encode() + more_head + b"\r\n", request.body

    def wait_for_first_answer(self, since):
        """Sends a request every few milliseconds. A server may refuse any way until it is ready."""
        refusal = "nothing listens"
        while time.perf_counter() < since + START_PATIENCE:
            with contextlib.suppress(ConnectionRefusedError):
                try:
                    self.check(self.work)
                    self.first_answer = time.perf_counter() - since
                    return
                except ConnectionRefusedError:
                    raise
                except (Failed, OSError, http.client.HTTPException) as failure:
                    refusal = str(failure)
            if self.process.poll() is not None:
                raise Failed(f"it ended with {self.process.returncode}: {self.last_words()}")
            time.sleep(PAUSE)
        raise Failed(f"no right response within {START_PATIENCE} s: {refusal}")

    def last_words(self):
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1].strip()[:200] if lines else "it said nothing"

    def processor_time(self):
        """Returns the CPU seconds of all processes of the server so far, ended ones included."""
        return sum(_stat(pid).used for pid in self.tree()) / TICKS

    def memory(self):
        """Returns the MB of the server's processes; shared memory counts in proportion."""
        return sum(_memory(pid, "Pss") for pid in self.tree())

    def memory_of_first_process(self, kind="Pss"):
        return _memory(self.process.pid, kind)

    def tree(self):
        """Returns the ids of the server's processes.

        Only one server runs at a time, so that all orphans are its own.
        """
        parents = {pid: stat.parent for pid, stat in _processes().items()}
        found = {
            pid for pid, parent in parents.items() if parent == os.getpid() and _is_served(pid)
        } | {self.process.pid}
        while more := {pid for pid, up in parents.items() if up in found} - found:
            found |= more
        return found


# Children of this process that belong to no server, such as the load generator.
_own_children = set()


@contextlib.contextmanager
def own_child(pid):
    """Excludes a child of this process from the server's orphans while the block runs."""
    _own_children.add(pid)
    try:
        yield
    finally:
        _own_children.discard(pid)


def _is_served(pid):
    return pid not in _own_children


def output_of(command, patience):
    """Runs a load generator for at most `patience` seconds, and returns the JSON that it prints."""
    with subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as generator, own_child(generator.pid):
        try:
            output, complaint = generator.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            generator.kill()
            raise Failed("the load generator did not come to its end") from None
    if generator.returncode:
        raise Failed(f"the load generator failed: {complaint.decode()[-200:]}")
    return json.loads(output)


@contextlib.contextmanager
def serve(server, work, folder):
    """Starts a server for a work, waits for its first right response, and stops it afterwards."""
    port, spare_port = free_ports(2)
    environments.LOGS.mkdir(parents=True, exist_ok=True)
    log = environments.LOGS / f"{server.name}-{work.model}-{work.workers}.log"
    # In /tmp, since the paths of Unix sockets must be short.
    scratch = Path(tempfile.mkdtemp(prefix="bench-", dir="/tmp"))
    litter = server.litter if server.litter and not server.litter.exists() else scratch
    start = servers.Start(work.model, work.workers, port, spare_port, folder, scratch)
    command = [word.format(**start._asdict()) for word in server.command]
    with log.open("wb") as output:
        since = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=server.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment(server, start),
            start_new_session=True,
        )
    running = Running(server, work, process, start, log)
    try:
        running.wait_for_first_answer(since)
        yield running
    finally:
        _end(running)
        for folder in {scratch, litter}:
            shutil.rmtree(folder, ignore_errors=True)


def environment(server, start):
    """Returns the environment of a server. No other variable of the caller can configure it."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "USER") if name in os.environ}
    return {
        **kept,
        # Some servers start their own programs by name.
        "PATH": f"{start.bin}:{os.environ['PATH']}",
        "PYTHONPATH": str(servers.HERE / "model"),
        "TMPDIR": str(start.scratch),
        "WORK": start.model,
        "WORKERS": str(start.workers),
        "PORT": str(start.port),
        **server.variables(start),
    }


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _end(running):
    """Asks the server to stop, and kills its remaining processes by their ids."""
    running.process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        running.process.wait(STOP_PATIENCE)
    deadline = time.monotonic() + STOP_PATIENCE
    while left := _left(running):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        running.process.poll()
        for pid in left - {running.process.pid}:
            # Only this process's own children, the orphans among them, can be waited for.
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        if time.monotonic() > deadline:
            raise Failed(f"processes that cannot be ended: {sorted(left)}")
        time.sleep(PAUSE)


def _left(running):
    gone = {running.process.pid} if running.process.poll() is not None else set()
    return running.tree() - gone


class _Stat:
    """The parent and the CPU time in /proc/PID/stat: in ticks, with that of ended children."""

    def __init__(self, text):
        fields = text.rpartition(")")[2].split()
        self.parent = int(fields[1])
        self.used = sum(map(int, fields[11:15]))


def _stat(pid):
    try:
        return _Stat(Path(f"/proc/{pid}/stat").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return _Stat(") X 0" + " 0" * 13)


def _processes():
    return {int(entry): _stat(entry) for entry in os.listdir("/proc") if entry.isdigit()}


def _memory(pid, kind):
    """Returns the MB of a process that the kernel counts under `kind`, such as `Pss`."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(f"{kind}:")) / 1024
