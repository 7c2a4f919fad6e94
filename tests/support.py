"""Runs programs with the installed package, as a user does."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
BINARY = str(Path(sys.executable).parent / "ai-integration")
# The timeout of a single wait, in seconds.
TIMEOUT = 60


def environment(**variables):
    """Returns the environment without our settings, plus those `variables` that are not None."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AI_INTEGRATION_")
        and name not in ("MODE", "HOST", "PORT", "PYTHONPATH", "PYTHONUNBUFFERED")
    }
    # The format of a log on a terminal, which most tests check.
    kept["AI_INTEGRATION_LOG_FORMAT"] = "human"
    kept.update({name: str(value) for name, value in variables.items() if value is not None})
    return {name: value for name, value in kept.items() if variables.get(name, "") is not None}


def run(program, *arguments, mode=None, stdin=b"", python=PYTHON, command=None, **variables):
    """Runs `program` (a path) to its end, and returns a `subprocess.CompletedProcess`."""
    if mode is not None:
        variables["MODE"] = mode
    return subprocess.run(
        [*([python] if command is None else command), str(program), *map(str, arguments)],
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(**variables),
        timeout=TIMEOUT,
        check=False,
    )


class Answer:
    """An HTTP response."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def type(self):
        return self.headers.get("content-type", "").split(";")[0]

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return "Answer(%s, %s, %r)" % (self.status, self.type, self.body[:500])


def multipart(fields):
    """Returns the body and content type of a form. Values of bytes become files."""
    boundary = uuid.uuid4().hex
    parts = []
    for name, value in fields.items() if isinstance(fields, dict) else fields:
        head = 'Content-Disposition: form-data; name="%s"' % name
        if isinstance(value, bytes):
            head += '; filename="file"\r\nContent-Type: application/octet-stream'
        else:
            value = str(value).encode()
        parts.append(b"--%s\r\n%s\r\n\r\n%s\r\n" % (boundary.encode(), head.encode(), value))
    body = b"".join(parts) + b"--%s--\r\n" % boundary.encode()
    return body, "multipart/form-data; boundary=" + boundary


class Server:
    """A running server: a program in `MODE=http` on a free port."""

    def __init__(self, process, log):
        self.process = process
        self.log = log
        self.url = None

    def request(self, path, body=None, headers=None, method=None, timeout=TIMEOUT):
        request = urllib.request.Request(
            self.url + path, data=body, headers=headers or {}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    def send(self, method, path, body=None, headers=None):
        """Sends a request with no headers but these, and returns the status, headers and body."""
        connection = http.client.HTTPConnection(
            urllib.parse.urlsplit(self.url).netloc, timeout=TIMEOUT
        )
        with contextlib.closing(connection):
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in (headers or {}).items():
                connection.putheader(name, str(value))
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            return response.status, response.headers, response.read()

    def get(self, path, **more):
        return self.request(path, **more)

    def post(self, path="/infer", headers=None, timeout=TIMEOUT, **fields):
        """Posts a multipart form."""
        body, kind = multipart(fields)
        headers = {"Content-Type": kind, **(headers or {})}
        return self.request(path, body, headers, timeout=timeout)

    def classic(self, **fields):
        """Posts a form to `/`, the address of version 1.0.16, and returns the JSON."""
        return self.post("/", **fields).json()

    def output(self):
        """Returns all output of the process so far, standard output and error together."""
        return "".join(self.log)

    def wait_for_output(self, pattern, timeout=TIMEOUT):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            found = re.search(pattern, self.output())
            if found:
                return found
            if self.process.poll() is not None:
                time.sleep(0.2)
                found = re.search(pattern, self.output())
                assert found, "ended with %s:\n%s" % (self.process.returncode, self.output())
                return found
            time.sleep(0.005)
        raise AssertionError("no %r in:\n%s" % (pattern, self.output()))

    def times_printed(self, words, least, timeout=TIMEOUT):
        """Waits until `words` were printed at least `least` times, and returns how often they were.

        Lines that a program prints may arrive after the response.
        """
        deadline = time.monotonic() + timeout
        while self.output().count(words) < least and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.output().count(words)

    def wait_until_ready(self, timeout=TIMEOUT):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.get("/readyz").status == 200:
                return
            time.sleep(0.01)
        raise AssertionError("not ready:\n" + self.output())

    def stop(self, number=signal.SIGTERM):
        """Stops the server, and returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(TIMEOUT)


@contextlib.contextmanager
def serve(program, *arguments, python=PYTHON, command=None, ready=True, cwd=None, **variables):
    """Runs `program` as a server while the block runs."""
    variables = {"MODE": "http", "PORT": 0, **variables}
    process = subprocess.Popen(
        [*([python] if command is None else command), str(program), *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(**variables),
        cwd=cwd,
        text=True,
        errors="replace",
    )
    log = []
    reader = threading.Thread(target=lambda: log.extend(iter(process.stdout.readline, "")))
    reader.daemon = True
    reader.start()
    server = Server(process, log)
    try:
        server.url = server.wait_for_output(r"listening on (https?://[^/]+)/").group(1)
        if ready:
            server.wait_until_ready()
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        reader.join(5)


def certificate(folder, name="localhost", addresses="DNS:localhost,IP:127.0.0.1"):
    """Makes a self-signed certificate of the subject `name`, and returns its path and its key's."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    command += " -subj /CN=%s -addext subjectAltName=%s" % (name, addresses)
    command += " -addext basicConstraints=critical,CA:FALSE"
    files = ["-out", cert, "-keyout", key]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    return cert, key


def eventually(look, what, timeout=TIMEOUT):
    """Waits until `look` returns a true value, and returns that value."""
    deadline = time.monotonic() + timeout
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < deadline, "not within %s s: %s" % (timeout, what)
        time.sleep(0.01)


def free_port():
    """Returns a free port of loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_listening(process, port, log):
    """Waits until a server accepts connections on a port of loopback; `log` is its log file."""

    def is_there():
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True

    eventually(is_there, "something listens", TIMEOUT)


def alive(pid):
    """Returns true if a process runs. A zombie does not run."""
    return process_state(pid) not in (None, "Z", "X")


def process_state(pid):
    """Returns the state of a process as the letter of `ps`, or None if it is gone (Linux)."""
    try:
        stat = Path("/proc/%d/stat" % pid).read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return stat.rpartition(")")[2].split()[0]


def children(pid):
    """Returns the states of a process's children by their ids, zombies included."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        state, parent = stat.rpartition(")")[2].split()[:2]
        if int(parent) == pid:
            found[int(entry.name)] = state
    return found


def marked(mark):
    """Returns the ids of all processes with MARK=`mark` in their environment."""
    line = ("MARK=%s" % mark).encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and line in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


def descriptors(pid):
    """Returns the number of open descriptors of a process."""
    return len(os.listdir("/proc/%d/fd" % pid))


def threads(pid):
    """Returns the number of threads of a process."""
    return len(os.listdir("/proc/%d/task" % pid))


def memory(pid):
    """Returns the resident memory of a process in MiB."""
    status = Path("/proc/%d/status" % pid).read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) / 1024


@contextlib.contextmanager
def started(command, **options):
    """Runs a process with its output in pipes, and kills it at the end of the block."""
    options = {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "env": environment(),
        **options,
    }
    with subprocess.Popen([str(word) for word in command], **options) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def in_background(function, *arguments, **more):
    """Calls a function on a thread. Returns a function that waits for its result."""
    answers, failures = [], []

    def call():
        try:
            answers.append(function(*arguments, **more))
        except BaseException as failure:
            failures.append(failure)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()

    def result(timeout=TIMEOUT):
        thread.join(timeout)
        assert not thread.is_alive(), "no answer within %s s" % timeout
        if failures:
            raise failures[0]
        return answers[0]

    return result
