"""The part of RunPod that a worker of an endpoint with a queue talks to.

It is right as far as `test_runpod.py` shows that RunPod's own worker runs against it unchanged.
"""

import contextlib
import json
import ssl
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

POD = "pod1"
KEY = "the-key-of-the-worker"
# The time for which a request is held open until there is an answer, in seconds.
HOLD = 1


class Seen:
    """A request of the worker."""

    def __init__(self, request, body):
        url = urllib.parse.urlsplit(request.path)
        self.method = request.command
        # Of /v2/ep/KIND/pod1/JOB.
        parts = url.path.split("/")
        self.prefix, self.kind, self.pod = "/".join(parts[:3]), parts[3], parts[4]
        self.job = parts[5] if len(parts) > 5 else None
        self.query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        self.headers = request.headers
        self.body = body

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return "%s %s %s %s %s" % (self.method, self.kind, self.job, self.query, self.body[:200])


class Control:
    """The platform: its queue, and all that the worker has asked and sent."""

    def __init__(self, certificate=None):
        self.changed = threading.Condition()
        self.queue = []
        self.stops = []
        self.seen = []
        # The statuses that the next requests of each kind get.
        self.refusals = {}
        self.has_ended = False
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
            self.scheme = "https"

    def variables(self):
        """The variables that the platform sets in a worker."""
        base = "%s://localhost:%d/v2/ep" % (self.scheme, self.server.server_port)
        return {
            "RUNPOD_WEBHOOK_GET_JOB": base + "/job-take/$ID?gpu=x",
            "RUNPOD_WEBHOOK_POST_OUTPUT": base + "/job-done/$RUNPOD_POD_ID/$ID?gpu=x",
            "RUNPOD_WEBHOOK_POST_STREAM": base + "/job-stream/$RUNPOD_POD_ID/$ID?gpu=x",
            "RUNPOD_WEBHOOK_PING": base + "/ping/$RUNPOD_POD_ID?gpu=x",
            "RUNPOD_PING_INTERVAL": "1000",
            "RUNPOD_AI_API_KEY": KEY,
            "RUNPOD_POD_ID": POD,
            "RUNPOD_ENDPOINT_ID": "ep",
        }

    def submit(self, *jobs):
        """Puts jobs into the queue, together."""
        with self.changed:
            self.queue.extend(jobs)
            self.changed.notify_all()

    def stop(self, job):
        """Asks the worker to end a job."""
        with self.changed:
            self.stops.append(job)
            self.changed.notify_all()

    def refuse(self, kind, *statuses):
        """Lets the next requests of this kind fail with these statuses."""
        with self.changed:
            self.refusals.setdefault(kind, []).extend(statuses)

    def of_kind(self, kind, job=None):
        """The requests of this kind, and of this job, in the order of their arrival."""
        with self.changed:
            return [
                one for one in self.seen if one.kind == kind and (job is None or one.job == job)
            ]

    def result(self, job, timeout):
        """Waits for the result of a job."""
        with self.changed:
            ended = self.changed.wait_for(lambda: self._results(job), timeout)
            assert ended, "no result of %s within %s s, but %s" % (job, timeout, self.seen)
            return ended[0].json()

    def _results(self, job):
        return [
            one for one in self.seen if (one.kind, one.job, one.status) == ("job-done", job, 200)
        ]

    def _answer(self, seen):
        """Returns the status and the JSON of the answer; None for an answer without a body."""
        with self.changed:
            seen.status = 200
            self.seen.append(seen)
            self.changed.notify_all()
            refusals = self.refusals.get(seen.kind)
            if refusals:
                seen.status = refusals.pop(0)
                return seen.status, None
            if seen.kind == "job-stop":
                if not self._wait_for(lambda: self.stops):
                    return 204, None
                stops, self.stops = self.stops, []
                return 200, {"jobsToStop": stops}
            if seen.kind in ("job-take", "job-take-batch"):
                if not self._wait_for(lambda: self.queue):
                    return 204, None
                if seen.kind == "job-take":
                    return 200, self.queue.pop(0)
                size = int(seen.query["batch_size"])
                jobs, self.queue = self.queue[:size], self.queue[size:]
                return 200, jobs
            return 200, {}

    def _wait_for(self, look):
        return self.changed.wait_for(lambda: look() or self.has_ended, HOLD) and not self.has_ended

    def _handler(control):  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.reply(b"")

            def do_POST(self):
                self.reply(self.rfile.read(int(self.headers["Content-Length"])))

            def reply(self, body):
                status, answer = control._answer(Seen(self, body))
                body = b"" if answer is None else json.dumps(answer).encode()
                # The worker may have ended.
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    if status != 204:
                        self.send_header("Content-Type", "application/json")
                        self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        return Handler


@contextlib.contextmanager
def control(certificate=None):
    """Runs the platform while the block runs."""
    platform = Control(certificate)
    thread = threading.Thread(target=platform.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield platform
    finally:
        with platform.changed:
            platform.has_ended = True
            platform.changed.notify_all()
        platform.server.shutdown()
        platform.server.server_close()
        thread.join()
