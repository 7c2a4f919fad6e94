"""The Runtime API of AWS Lambda, as a function's process sees it (version 2018-06-01).

`awslambdaric`, Lambda's own client, runs against it unchanged. It keeps what a process sends, and
refuses what Lambda refuses.
"""

import http.server
import json
import queue
import threading
import time
import uuid

TIMEOUT = 60
BASE = "/2018-06-01/runtime"
# The length of the longest answer that Lambda takes as a whole: 6 MiB and 100 bytes.
MAX_ANSWER = 6 * 1024 * 1024 + 100


class Invocation:
    """An event, and what the process sends for it."""

    def __init__(self, event, seconds, headers):
        self.id = str(uuid.uuid4())
        self.event = event if isinstance(event, bytes) else json.dumps(event).encode()
        self.seconds = seconds
        self.more_headers = headers
        # What the process has sent: "response" or "error", with its headers, pieces and trailers.
        self.kind = None
        self.headers = None
        self.pieces = []
        self.trailers = {}
        self.status = None
        self.sends = 0
        self._changed = threading.Condition()

    def tell(self, change):
        with self._changed:
            change()
            self._changed.notify_all()

    def wait(self, look=lambda ended: ended.status is not None, what="an answer"):
        """Waits until `look` is true of this invocation, by default until the answer has ended."""
        with self._changed:
            assert self._changed.wait_for(lambda: look(self), TIMEOUT), "no " + what
        return self

    @property
    def body(self):
        return b"".join(self.pieces)

    def json(self):
        return json.loads(self.body)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.runtime.connections += 1

    def log_message(self, *_):
        pass

    @property
    def runtime(self):
        return self.server.runtime

    def do_GET(self):
        if self.path != BASE + "/invocation/next":
            return self.reply(404, b"")
        status = self.runtime.status_of_next
        if status is not None:
            return self.reply(status, b'{"errorType": "Fault"}')
        invocation = self.runtime.take()
        if invocation is None:
            # The server ends, and with it the connection.
            self.close_connection = True
            return
        deadline = int((time.time() + invocation.seconds) * 1000)
        self.reply(
            200,
            invocation.event,
            {
                "Lambda-Runtime-Aws-Request-Id": invocation.id,
                "Lambda-Runtime-Deadline-Ms": deadline,
                "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-west-1:1:function:model",
                **invocation.more_headers,
            },
        )

    def do_POST(self):
        if self.path == BASE + "/init/error":
            pieces = []
            self.read(pieces.append)
            self.runtime.init_errors.put((self.headers, b"".join(pieces)))
            return self.reply(202, b'{"status": "OK"}')
        parts = self.path[len(BASE) :].split("/")
        invocation = self.runtime.running.get(parts[2]) if len(parts) == 4 else None
        if invocation is None or parts[1] != "invocation" or parts[3] not in ("response", "error"):
            self.read(lambda _: None)
            return self.reply(400, b'{"errorType": "InvalidRequestID"}')
        status = self.receive(invocation, parts[3])
        self.reply(status, b'{"status": "OK"}' if status == 202 else b'{"errorType": "Fault"}')
        invocation.tell(lambda: setattr(invocation, "status", status))

    def receive(self, invocation, kind):
        """Reads an answer, and returns the status with which Lambda answers."""

        def begin():
            invocation.kind, invocation.headers = kind, self.headers
            invocation.pieces, invocation.trailers = [], {}
            invocation.sends += 1

        invocation.tell(begin)
        is_stream = self.headers["Lambda-Runtime-Function-Response-Mode"] == "streaming"
        add = invocation.pieces.append
        trailers = self.read(lambda piece: invocation.tell(lambda: add(piece)))
        invocation.tell(lambda: invocation.trailers.update(trailers))
        status = self.runtime.status_of_answers
        if status is None:
            is_long = len(invocation.body) > self.runtime.max_answer
            status = 413 if is_long and not is_stream and kind == "response" else 202
        if status != 413:
            # Lambda takes one answer.
            del self.runtime.running[invocation.id]
        return status

    def read(self, take):
        """Reads a body, and returns its trailers."""
        if self.headers["Transfer-Encoding"] != "chunked":
            take(self.rfile.read(int(self.headers["Content-Length"])))
            return {}
        while True:
            length = int(self.rfile.readline().split(b";")[0], 16)
            if length == 0:
                lines = iter(lambda: self.rfile.readline().strip().decode(), "")
                pairs = [line.split(":", 1) for line in lines]
                return {name.lower(): value.strip() for name, value in pairs}
            take(self.rfile.read(length))
            assert self.rfile.readline() == b"\r\n"

    def reply(self, status, body, headers=()):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in dict(headers).items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)


class LambdaRuntime:
    """The Runtime API on a port of loopback, while the block runs."""

    def __init__(self):
        self.waiting = queue.Queue()
        self.running = {}
        self.init_errors = queue.Queue()
        # The number of requests for the next event that wait now.
        self.polls = 0
        # The number of connections so far.
        self.connections = 0
        # Statuses with which the API answers instead of its own.
        self.status_of_next = None
        self.status_of_answers = None
        self.max_answer = MAX_ANSWER
        self._lock = threading.Lock()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.runtime = self
        self.address = "127.0.0.1:%d" % self._server.server_port

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        for _ in range(self.polls):
            self.waiting.put(None)
        self._server.shutdown()
        self._server.server_close()

    def invoke(self, event, seconds=TIMEOUT, **headers):
        """Adds an event, which the next process that asks gets with these headers."""
        headers = {"Lambda-Runtime-" + name.replace("_", "-"): headers[name] for name in headers}
        invocation = Invocation(event, seconds, headers)
        self.waiting.put(invocation)
        return invocation

    def take(self):
        with self._lock:
            self.polls += 1
        invocation = self.waiting.get()
        with self._lock:
            self.polls -= 1
            if invocation is not None:
                self.running[invocation.id] = invocation
        return invocation

    def init_error(self):
        """Waits for the report of a failed start, and returns its headers and its JSON."""
        headers, body = self.init_errors.get(timeout=TIMEOUT)
        return headers, json.loads(body)
