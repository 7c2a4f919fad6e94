"""A running server: started, spoken to, looked at from outside through /proc, and ended."""

import contextlib
import ctypes
import http.client
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

# Seconds for a server to give its first right answer, for one answer, and for it to stop.
START_PATIENCE = 90
ANSWER_PATIENCE = 10
STOP_PATIENCE = 10
PAUSE = 0.002

TICKS = os.sysconf("SC_CLK_TCK")
PR_SET_CHILD_SUBREAPER = 36


class Failed(Exception):
    """A server that did not do what it should; the message is fit for the report."""


def adopt_orphans():
    """Makes this process the parent of what a server leaves behind, so that it can be found."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Running:
    """One start of a server. `first_answer` is the time from the start to the first right one.

    `scratch` is the folder of its temporary files.
    """

    def __init__(self, server, work, process, start, log):
        self.server = server
        self.work = work
        self.process = process
        self.port = start.port
        self.scratch = start.scratch
        self.log = log
        self.first_answer = None

    def check(self, work, times=1):
        """Sends the work's request some times over one connection, and looks at each answer."""
        connection = socket.create_connection(("127.0.0.1", self.port), ANSWER_PATIENCE)
        with contextlib.closing(connection):
            for _ in range(times):
                answer = self._ask(work, connection)
                if answer != work.right_answer:
                    raise Failed(f"a wrong answer: {str(answer)[:200]}")

    def _ask(self, work, connection):
        """Sends the work's request once, and gives the answer read as the server's are read."""
        request = self.server.request(work)
        # In one piece: of two it would be chance whether a server reads them at once.
        connection.sendall(b"".join(self.wire(request)))
        with http.client.HTTPResponse(connection, method="POST") as answer:
            answer.begin()
            body = answer.read()
        if answer.status >= 300:
            raise Failed(f"status {answer.status}: {body[:200].decode(errors='replace')}")
        try:
            return self.server.answer(body)
        except (ValueError, LookupError, TypeError) as failure:
            raise Failed(f"an answer that cannot be read: {body[:200]!r}") from failure

    def wire(self, request, more_head=b""):
        """The bytes of a request: head and body."""
        head = (
            f"POST {request.path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"Content-Type: {request.type}\r\nContent-Length: {len(request.body)}\r\n"
        )
        return head.encode() + more_head + b"\r\n", request.body

    def wait_for_first_answer(self, since):
        """Asks every few milliseconds. Until a server is complete it may refuse in any way."""
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
        raise Failed(f"no right answer within {START_PATIENCE} s: {refusal}")

    def last_words(self):
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1].strip()[:200] if lines else "it said nothing"

    def processor_time(self):
        """Seconds that all its processes have used so far, those that have ended included."""
        return sum(_stat(pid).used for pid in self.tree()) / TICKS

    def memory(self):
        """MB of all its processes, where what several share counts for each in proportion."""
        return sum(_memory(pid, "Pss") for pid in self.tree())

    def memory_of_first_process(self, kind="Pss"):
        return _memory(self.process.pid, kind)

    def tree(self):
        """The ids of its processes. Of two servers only one runs at a time: orphans are its own."""
        parents = {pid: stat.parent for pid, stat in _processes().items()}
        found = {
            pid for pid, parent in parents.items() if parent == os.getpid() and _is_served(pid)
        } | {self.process.pid}
        while more := {pid for pid, up in parents.items() if up in found} - found:
            found |= more
        return found


# Children of this process that are no server's: the load generator.
_own_children = set()


@contextlib.contextmanager
def own_child(pid):
    """For as long as it runs, a child of this process is not taken for a server's orphan."""
    _own_children.add(pid)
    try:
        yield
    finally:
        _own_children.discard(pid)


def _is_served(pid):
    return pid not in _own_children


@contextlib.contextmanager
def serve(server, work, folder):
    """Starts a server for a work, waits for its first right answer, and ends it afterwards."""
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
    """The caller's environment without what could steer a server, and with what should."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "USER") if name in os.environ}
    return {
        **kept,
        # Some start programs of theirs by name.
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
    """Asks the server to stop, and ends whatever is left of it, by process id."""
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
    """The fields of /proc/PID/stat that matter here; times in ticks, ended children included."""

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
    """MB of a process, of one of the kinds that the kernel tells apart."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(f"{kind}:")) / 1024
