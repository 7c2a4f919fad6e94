"""A small Amazon SageMaker: an endpoint before a container, and a batch transform of a file.

AWS's own client (boto3) calls this endpoint by its `endpoint_url`. So what the endpoint reads and
sends fits the vendor's model of the service.
"""

import contextlib
import http.client
import json
import struct
import threading
import urllib.parse
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# The time that a container has for a response, in seconds.
TIMEOUT = 60
# The largest body of an invocation in bytes.
MAX_BODY = 6 * 1024 * 1024
# The headers of the client that the container gets, by the names that it gets them under.
PASSED = {
    "Content-Type": "Content-Type",
    "Accept": "Accept",
    "X-Amzn-SageMaker-Accept": "Accept",
    "X-Amzn-SageMaker-Custom-Attributes": "X-Amzn-SageMaker-Custom-Attributes",
    "X-Amzn-SageMaker-Inference-Id": "X-Amzn-SageMaker-Inference-Id",
    "X-Amzn-SageMaker-Session-Id": "X-Amzn-SageMaker-Session-Id",
}
ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"


def message(headers, payload):
    """A message of AWS's event stream (application/vnd.amazon.eventstream)."""
    packed = b"".join(
        struct.pack(">B", len(name))
        + name.encode()
        + struct.pack(">BH", 7, len(text))
        + text.encode()
        for name, text in headers.items()
    )
    prelude = struct.pack(">II", len(packed) + len(payload) + 16, len(packed))
    prelude += struct.pack(">I", zlib.crc32(prelude))
    whole = prelude + packed + payload
    return whole + struct.pack(">I", zlib.crc32(whole))


def part(payload):
    return message(
        {
            ":message-type": "event",
            ":event-type": "PayloadPart",
            ":content-type": "application/octet-stream",
        },
        payload,
    )


def broken(words):
    error = {"ErrorCode": "StreamBroken", "Message": words}
    return message(
        {
            ":message-type": "exception",
            ":exception-type": "ModelStreamError",
            ":content-type": "application/json",
        },
        json.dumps(error).encode(),
    )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kind = self.path.split("/")[-1]
        if len(body) > MAX_BODY:
            return self.fail(400, "ValidationError", {"Message": "the body is larger than 6 MB"})
        headers = {
            passed: self.headers[name] for name, passed in PASSED.items() if name in self.headers
        }
        with contextlib.closing(self.server.connection()) as container:
            container.request("POST", "/invocations", body, headers)
            response = container.getresponse()
            self.server.seen.append((headers, response.status))
            if response.status != 200:
                return self.refuse(response)
            if kind == "invocations":
                return self.answer(response)
            return self.stream(response)

    def answer(self, response):
        body = response.read()
        self.send_response(200)
        self.send_header("Content-Type", response.headers["Content-Type"])
        self.send_header("x-Amzn-Invoked-Production-Variant", "AllTraffic")
        if ATTRIBUTES in response.headers:
            self.send_header(ATTRIBUTES, response.headers[ATTRIBUTES])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, response):
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.amazon.eventstream")
        self.send_header("X-Amzn-SageMaker-Content-Type", response.headers["Content-Type"])
        self.send_header("x-Amzn-Invoked-Production-Variant", "AllTraffic")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            while True:
                piece = response.read1(65536)
                if not piece:
                    break
                self.chunk(part(piece))
        except (http.client.HTTPException, OSError):
            self.chunk(broken("the container closed the stream"))
        self.wfile.write(b"0\r\n\r\n")

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def refuse(self, response):
        """Passes on the container's failure, as the service words it."""
        words = response.read().decode()
        side = "client" if response.status < 500 else "server"
        told = 'Received %s error (%d) from primary with message "%s".'
        error = {
            "Message": told % (side, response.status, words),
            "OriginalStatusCode": response.status,
            "OriginalMessage": words,
            "LogStreamArn": "arn:aws:logs:eu-west-1:111122223333:log-group:x",
        }
        self.fail(424, "ModelError", error)

    def fail(self, status, kind, error):
        body = json.dumps(error).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("x-amzn-errortype", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def endpoint(container):
    """Runs an endpoint before the container at this URL, and gives the service.

    Its `seen` has the headers that the container got, and the status that it gave.
    """
    service = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    service.daemon_threads = True
    address = urllib.parse.urlsplit(container).netloc
    service.connection = lambda: http.client.HTTPConnection(address, timeout=TIMEOUT)
    service.seen = []
    service.url = "http://127.0.0.1:%d" % service.server_address[1]
    thread = threading.Thread(target=service.serve_forever, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        service.shutdown()
        service.server_close()
        thread.join(TIMEOUT)


def portions(text, strategy, most):
    """The bodies of a batch transform: with SINGLE_RECORD a line each, else as many as fit."""
    portion = b""
    for line in text.splitlines(keepends=True):
        if portion and (strategy == "SINGLE_RECORD" or len(portion) + len(line) > most):
            yield portion
            portion = b""
        portion += line
    yield portion


def transform(server, text, headers, strategy=None):
    """Transforms a file whose SplitType and AssembleWith are Line, as the service does.

    Returns the parameters of the container, the statuses of its responses, and the lines.
    """
    parameters = server.get("/execution-parameters").json()
    most = parameters["MaxPayloadInMB"] * 1024 * 1024
    statuses, results = [], []
    for portion in portions(text, strategy or parameters["BatchStrategy"], most):
        response = server.request("/invocations", portion, headers)
        statuses.append(response.status)
        results.append(response.body)
    return parameters, statuses, b"\n".join(results).split(b"\n")
