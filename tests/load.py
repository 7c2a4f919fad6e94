"""A load client that checks every response: one thread, and plain sockets with one request each."""

import json
import selectors
import socket
import struct
import time
from urllib.parse import urlsplit

# The timeout of a response, in seconds.
TIMEOUT = 60
CRASHED = b'"code":"model_crashed"'


def payload(number, seed=0):
    """Returns a distinct text: some are short, some long, some have quotes or are not ASCII."""
    filler = ("x", "grüße ", "語", '"\\')[number % 4]
    return "%d-%d %s" % (seed, number, filler * (number * 7919 % 40))


class Native:
    """`POST /infer` with JSON; the result is the body of the response."""

    @staticmethod
    def request(text):
        return as_request("/infer", json.dumps({"text": text}).encode())

    @staticmethod
    def result(body):
        return body

    @staticmethod
    def failure(status, body):
        """Returns the code of a failure."""
        problem = json.loads(body)
        assert problem["status"] == status
        return problem["code"]


class BinaryTensors:
    """The Open Inference Protocol with binary tensors. The response repeats the request's id."""

    # The statuses of the failures that faults may cause.
    CODES = {500: "model_crashed", 503: "queue_full", 504: "timeout"}

    @staticmethod
    def request(text):
        data = as_tensor(text.encode())
        tensor = {
            "name": "text",
            "shape": [1],
            "datatype": "BYTES",
            "parameters": {"binary_data_size": len(data)},
        }
        head = {"id": text, "inputs": [tensor], "parameters": {"binary_data_output": True}}
        head = json.dumps(head).encode()
        length = b"Inference-Header-Content-Length: %d\r\n" % len(head)
        return as_request("/v2/models/model/infer", head + data, length)

    @staticmethod
    def result(body):
        """Returns the text of the result, or the whole body if it has another form."""
        text = body.decode("latin-1")
        head, end = json.JSONDecoder().raw_decode(text)
        result = body[end + 4 :]
        is_right = body[end:] == as_tensor(result) and head["id"].encode("latin-1") == result
        return result if is_right else body

    @classmethod
    def failure(cls, status, body):
        problem = json.loads(body)
        assert list(problem) == ["error"]
        assert problem["error"]
        return cls.CODES[status]


def as_tensor(data):
    """Returns the binary form of a tensor of one element of BYTES."""
    return struct.pack("<I", len(data)) + data


def as_request(address, body, headers=b"Content-Type: application/json\r\n"):
    return b"POST %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %d\r\n\r\n%s" % (
        *(address.encode(), headers, len(body), body),
    )


class Load:
    """Sends texts to a server that echoes them, and counts the responses by their kind."""

    def __init__(self, server, texts, connections, protocol=Native):
        self.protocol = protocol
        self.address = urlsplit(server.url)
        self.texts = iter(texts)
        self.right = 0
        self.crashed = []
        # The requests whose streams the server ended before they were complete.
        self.broken = []
        self.wrong = []
        self._selector = selectors.DefaultSelector()
        self._connections = connections

    def run(self):
        """Sends all requests, and returns the seconds that they took."""
        begin = time.monotonic()
        for _ in range(self._connections):
            self._begin(None)
        while self._selector.get_map():
            ready = self._selector.select(0.05)
            for key, _ in ready:
                self._receive(key)
            if not ready:
                now = time.monotonic()
                late = [
                    key.data.text
                    for key in self._selector.get_map().values()
                    if now - key.data.sent > TIMEOUT
                ]
                assert not late, "no answer within %d s: %r" % (TIMEOUT, late)
        self._selector.close()
        return time.monotonic() - begin

    def _begin(self, connection):
        """Sends the next text, over a new connection if there is none."""
        text = next(self.texts, None)
        if text is None:
            if connection is not None:
                self._selector.unregister(connection)
                connection.close()
            return
        if connection is None:
            connection = socket.create_connection((self.address.hostname, self.address.port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(connection, selectors.EVENT_READ, None)
        connection.sendall(self.protocol.request(text))
        self._selector.modify(connection, selectors.EVENT_READ, Open(text))

    def _receive(self, key):
        connection, request = key.fileobj, key.data
        piece = connection.recv(65536)
        request.received += piece
        answer = request.answer()
        if answer is None and piece:
            return
        if answer is None and request.chunks is not None:
            self._count_broken(request.text, b"".join(request.chunks))
        else:
            status, body = answer or (0, request.received)
            self._count(request.text, status, body)
        if piece:
            self._begin(connection)
        else:
            self._selector.unregister(connection)
            connection.close()
            self._begin(None)

    def _count(self, text, status, body):
        if status == 200 and self.protocol.result(body) == text.encode():
            self.right += 1
        elif status == 500 and CRASHED in body:
            self.crashed.append(text)
        else:
            self.wrong.append((text, status, body))

    def _count_broken(self, text, part):
        """Counts a stream that ended after a `part` of it."""
        if part and text.encode().startswith(part):
            self.broken.append(text)
        else:
            self.wrong.append((text, "broken off", part))


class Open:
    """A request that waits for its response."""

    __slots__ = ("chunks", "received", "sent", "text")

    def __init__(self, text):
        self.text = text
        self.received = b""
        # The chunks so far, if the response is a stream.
        self.chunks = None
        self.sent = time.monotonic()

    def answer(self):
        """The status and body, once they are complete."""
        head, separator, body = self.received.partition(b"\r\n\r\n")
        if not separator:
            return None
        lower = head.lower()
        if b"transfer-encoding: chunked" in lower:
            return self._join(int(head[9:12]), body)
        start = lower.index(b"\r\ncontent-length:") + len(b"\r\ncontent-length:")
        length = int(lower[start:].split(b"\r\n", 1)[0])
        if len(body) < length:
            return None
        assert len(body) == length, "more than one answer: %r" % self.received
        return int(head[9:12]), body

    def _join(self, status, body):
        """Returns the status with the data of all chunks, once the last one has come."""
        self.chunks = []
        while True:
            size, separator, body = body.partition(b"\r\n")
            length = int(size, 16) if separator else 0
            if not separator or len(body) < length + 2:
                return None
            assert body[length : length + 2] == b"\r\n", self.received
            if length == 0:
                assert len(body) == 2, "more than one answer: %r" % self.received
                return status, b"".join(self.chunks)
            self.chunks.append(body[:length])
            body = body[length + 2 :]
