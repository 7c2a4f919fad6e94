"""`ai_integration.Client` with servers that are busy, slow, stopped, moved or broken: its retries,
its errors, and the limits of every wait and every response."""

import asyncio
import base64
import contextlib
import functools
import gzip
import json
import os
import re
import socket
import ssl
import textwrap
import threading
import time
from itertools import takewhile

import pytest
import support
from ai_integration import AsyncClient, Client, ClientError
from support import free_port, in_background, run, serve

MODEL = """
    import os, sys, time
    import ai_integration

    SCHEMA = {"text": {"type": "text"}, "seconds": {"type": "number", "default": 0},
              "file": {"type": "file", "required": False}}
    calls = 0
    while True:
        with ai_integration.get_next_input(inputs_schema=SCHEMA) as inputs:
            text = inputs["text"]
            calls += 1
            sys.stderr.write("BEGUN %s\\n" % text)
            begin = time.time()
            while time.time() - begin < inputs["seconds"]:
                time.sleep(0.01)
                if ai_integration.cancelled():
                    sys.stderr.write("CANCELLED %s\\n" % text)
                    break
            if text == "crash":
                os._exit(3)
            if text == "raise":
                raise ValueError("too dark")
            if text in ("stream", "late"):
                ai_integration.progress(0.5, "half")
                for number in range(3):
                    ai_integration.send_chunk("piece %d " % number)
                    time.sleep(inputs["seconds"])
                if text == "late":
                    raise ValueError("too late")
            data = {"text": text, "calls": calls, "pid": os.getpid()}
            if text == "stream":
                data = "end"
            kind = "text/plain" if text == "stream" else "application/json"
            ai_integration.send_result({"content-type": kind, "data": data, "success": True})
"""
SCHEMA = {
    "inputs_schema": {"text": {"type": "text"}, "file": {"type": "file"}},
    "inputs": [
        {"name": "text", "shape": {"kind": "text"}, "required": False},
        {"name": "file", "shape": {"kind": "blob", "media": "*/*"}, "required": False},
    ],
}


def answer(body=b"{}", status="200 OK", **headers):
    headers = {"Content-Type": "application/json", "Content-Length": len(body), **headers}
    lines = ["%s: %s" % (name.replace("_", "-"), value) for name, value in headers.items()]
    return ("HTTP/1.1 %s\r\n%s\r\n\r\n" % (status, "\r\n".join(lines))).encode() + body


def problem(status, code, **headers):
    body = {"status": int(status[:3]), "code": code, "detail": "no", "request_id": "abc"}
    return answer(
        json.dumps(body).encode(), status, Content_Type="application/problem+json", **headers
    )


class Faulty:
    """A server that sends its schema, and a given reply to each other request.

    A reply is bytes, `None` for a reset, a number of seconds to stall, or a function of the
    connection.
    """

    def __init__(self, *replies, schema=None, context=None):
        self.replies = list(replies)
        self.requests = []
        self.connections = 0
        self._schema = answer(json.dumps(SCHEMA).encode()) if schema is None else schema
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = "http%s://127.0.0.1:%d" % ("s" if context else "", self.port)
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
                self.connections += 1
            except OSError:
                return
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            if self._context:
                connection = self._context.wrap_socket(connection, server_side=True)
            stack.enter_context(connection)
            reader = stack.enter_context(connection.makefile("rb"))
            while True:
                # A connection that ends within a request gives no more lines.
                lines = iter(reader.readline, b"")
                head = b"".join(takewhile(lambda line: line != b"\r\n", lines)).decode()
                if not head:
                    return
                if "CONNECT" in head.split("\n")[0]:
                    self.requests.append((head, b""))
                    connection.sendall(self.replies.pop(0))
                    return
                length = re.search(r"(?i)content-length: (\d+)", head)
                body = reader.read(int(length.group(1))) if length else b""
                if "chunked" in head:
                    for line in lines:
                        body += line
                        if body.endswith(b"0\r\n\r\n"):
                            break
                if re.match(r"GET \S*/schema ", head):
                    connection.sendall(self._schema)
                    continue
                self.requests.append((head, body))
                reply = self.replies.pop(0) if self.replies else answer()
                if reply is None:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0" * 2)
                    return
                if isinstance(reply, (int, float)):
                    time.sleep(reply)
                elif callable(reply):
                    reply(connection)
                    return
                else:
                    connection.sendall(reply)
                    if b"Connection: close" in reply:
                        return


def failing(function, *arguments, **inputs):
    """The error of a call, and the seconds that it took."""
    begin = time.monotonic()
    with pytest.raises(ClientError) as caught:
        function(*arguments, **inputs)
    return caught.value, time.monotonic() - begin


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "entrypoint.py"
    path.write_text(textwrap.dedent(MODEL))
    return path


@pytest.fixture(scope="module")
def server(path):
    with serve(path) as server:
        yield server


# --- a real server ---


def test_a_failure_of_the_model_raises(server):
    with Client(server.url) as client:
        error, _ = failing(client.predict, text="raise")
        assert (error.code, error.status) == ("model_failed", 500)
        assert "ValueError: too dark" in str(error)
        assert "Traceback" in str(error)
        error, _ = failing(client.predict, text="crash")
        assert (error.code, error.status) == ("model_crashed", 500)
        server.wait_for_output(error.request_id)
        assert client.predict(text="x")["text"] == "x"


def test_a_stream_yields_chunks_as_they_are_made(server):
    with Client(server.url) as client:
        begin = time.monotonic()
        times = []
        pieces = []
        for piece in client.stream(text="stream", seconds=0.3):
            pieces.append(piece)
            times.append(time.monotonic() - begin)
        assert pieces == ["piece 0 ", "piece 1 ", "piece 2 ", "end"]
        assert times[-1] - times[0] > 0.8
        assert client.predict(text="stream") == "".join(pieces)
        events = list(client.events(text="stream"))
        assert ("started", None) in events
        assert ("progress", {"fraction": 0.5, "message": "half"}) in events
        assert ("log", "BEGUN stream") in events
        assert [value for kind, value in events if kind == "chunk"] == pieces


def test_a_failure_in_the_middle_of_a_stream_raises_after_its_chunks(server):
    with Client(server.url) as client:
        pieces = []
        with pytest.raises(ClientError, match="too late") as caught:
            pieces.extend(client.stream(text="late"))
        assert caught.value.code == "model_failed"
        error, _ = failing(client.predict, text="late")
        assert error.code in ("model_failed", "broken_answer")


def test_a_stream_that_is_closed_early_is_cancelled(server):
    with Client(server.url) as client:
        for piece in client.stream(text="stream", seconds=0.5):
            assert piece == "piece 0 "
            break
        assert client.predict(text="next")["text"] == "next"


def test_the_time_limit_holds_for_the_model(server):
    with Client(server.url, timeout=0.5) as client:
        error, seconds = failing(client.predict, text="slow", seconds=20)
        assert error.code == "timeout"
        assert "timeout=" in str(error)
        assert seconds < 3
        server.wait_for_output("CANCELLED slow")
        # In a stream, the timeout is for each chunk.
        pieces = client.with_options(timeout=2).stream(text="stream", seconds=1)
        assert len(list(pieces)) == 4


def test_connections_are_kept_and_shared_by_threads(path):
    with serve(path) as server, Client(server.url) as client:
        for _ in range(5):
            client.predict(text="x")
        count = descriptors()
        waiting = [in_background(client.predict, text=str(n), seconds=0.2) for n in range(4)]
        assert [wait()["text"] for wait in waiting] == ["0", "1", "2", "3"]
        assert descriptors() <= count + 3
        for n in range(20):
            assert client.predict(text=str(n))["text"] == str(n)
        assert descriptors() <= count + 3


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def test_a_queue_that_is_full_is_waited_for(path):
    with serve(path, AI_INTEGRATION_QUEUE=1) as server, Client(server.url, retries=20) as client:
        waiting = [in_background(client.predict, text=str(n), seconds=0.2) for n in range(5)]
        assert sorted(wait()["text"] for wait in waiting) == ["0", "1", "2", "3", "4"]
        assert client.predict(text="x")["calls"] == 6


def test_a_server_that_is_being_restarted_is_waited_for(path):
    port = free_port()
    client = Client("http://127.0.0.1:%d" % port, retries=50, timeout=60)
    waiting = in_background(client.predict, text="early")
    with serve(path, PORT=port):
        assert waiting()["text"] == "early"
    error, seconds = failing(client.with_options(retries=2).predict, text="gone")
    assert error.code == "unreachable"
    assert seconds < 5
    with serve(path, PORT=port):
        assert client.predict(text="again")["text"] == "again"


def test_the_token(path):
    token = "secret-token"
    with serve(path, AI_INTEGRATION_TOKEN=token) as server:
        assert Client(server.url, token).predict(text="x")["text"] == "x"
        at = server.url.replace("://", "://anybody:%s@" % token)
        assert Client(at).predict(text="x")["text"] == "x"
        for client in [Client(server.url), Client(server.url, "wrong-token")]:
            error, _ = failing(client.predict, text="x")
            assert (error.code, error.status) == ("unauthorized", 401)
            assert "wrong-token" not in repr(error) + str(error) + repr(client)
        assert token not in repr(Client(at)) + repr(vars(Client(at)))
        for bad in ["a\nb", "é", "", 5]:
            with pytest.raises(ValueError, match="token") as caught:
                Client(server.url, bad)
            assert repr(bad) not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "localhost:5000",
        "ftp://host/",
        "http://",
        "http://host:port/",
        "http://h/?a=b",
        "http://[",
        5,
    ],
)
def test_an_invalid_address_is_refused(url):
    with pytest.raises(ValueError, match="address"):
        Client(url)
    with pytest.raises(ValueError, match="address") as caught:
        Client("http://user:pa/ss:word@host")
    assert "pa" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": 0},
        {"timeout": float("nan")},
        {"retries": -1},
        {"max_bytes": 0},
        {"connect_timeout": 0},
    ],
)
def test_an_invalid_limit_is_refused(options):
    # The message names the option with its value, and the values that are valid.
    name, value = next(iter(options.items()))
    with pytest.raises(ValueError, match="%s is %r.*must be" % (name, value)):
        Client("http://localhost", **options)


def test_a_server_without_a_model_is_an_error():
    with Faulty(schema=answer(b"<html>", Content_Type="text/html")) as server:
        error, _ = failing(Client(server.url).predict, text="x")
        assert error.code == "not_a_model"
    with Faulty(schema=answer(b"nothing", "404 Not Found")) as server:
        error, _ = failing(Client(server.url).predict, text="x")
        assert (error.code, error.status) == ("http_error", 404)


def test_another_model_at_the_same_address_is_noticed(program):
    port = free_port()
    client = Client("http://127.0.0.1:%d" % port, retries=10)
    one = program(MODEL, "one.py")
    other = program(
        MODEL.replace('"text": {"type": "text"}', '"words": {"type": "text"}').replace(
            'inputs["text"]', 'inputs["words"]'
        ),
        "other.py",
    )
    with serve(one, PORT=port):
        assert client.predict(text="a")["text"] == "a"
        assert client.schema["text"] == {"type": "text"}
    with serve(other, PORT=port):
        assert client.predict(words="b")["text"] == "b"
        error, _ = failing(client.predict, text="a")
        assert error.inputs == {"text": "no such input; there are: words, seconds, file"}


# --- retries ---


@pytest.mark.parametrize("status", ["503 Service Unavailable", "429 Too Many Requests"])
def test_a_busy_server_is_asked_again_when_it_says(status):
    busy = problem(status, "queue_full", Retry_After="1")
    with Faulty(busy, busy, answer(b"7")) as server:
        begin = time.monotonic()
        assert Client(server.url).predict(text="x") == 7
        assert 2 <= time.monotonic() - begin < 4
        assert len(server.requests) == 3
    with Faulty(*[busy] * 5) as server:
        error, seconds = failing(Client(server.url, retries=1).predict, text="x")
        assert (error.code, error.request_id) == ("queue_full", "abc")
        assert 1 <= seconds < 2
        assert len(server.requests) == 2
        # The client does not wait if it could not try again within its timeout.
        error, seconds = failing(Client(server.url, timeout=0.9).predict, text="x")
        assert error.code == "queue_full"
        assert seconds < 0.5


def test_the_time_to_come_back_may_be_a_date_or_nonsense():
    for value, least, most in [
        (time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 3)), 1, 9),
        ("soon", 0, 5),
        ("-5", 0, 5),
        ("nan", 0, 5),
        (None, 0, 5),
    ]:
        more = {} if value is None else {"Retry_After": value}
        with Faulty(problem("503 Service Unavailable", "queue_full", **more)) as server:
            begin = time.monotonic()
            assert Client(server.url).predict(text="x") == {}
            assert least <= time.monotonic() - begin < most, value
    with Faulty(problem("503 Service Unavailable", "busy", Retry_After="1e999")) as server:
        assert failing(Client(server.url).predict, text="x")[0].code == "busy"


@pytest.mark.parametrize("status", ["500 No", "502 No", "504 No", "408 No", "422 No"])
def test_a_request_that_the_model_may_have_seen_is_not_sent_again(status):
    with Faulty(problem(status, "some_code")) as server:
        error, _ = failing(Client(server.url).predict, text="x")
        assert (error.code, error.status) == ("some_code", int(status[:3]))
        assert len(server.requests) == 1
    with Faulty(answer(b"<html>secret</html>", status, Content_Type="text/html")) as server:
        error, _ = failing(Client(server.url).predict, text="x")
        assert (error.code, error.status) == ("http_error", int(status[:3]))
        assert "secret" not in str(error)


def test_a_reset_on_a_fresh_connection_raises_without_a_retry():
    closing = answer(json.dumps(SCHEMA).encode(), Connection="close")
    with Faulty(None, schema=closing) as server:
        error, _ = failing(Client(server.url).predict, text="x")
        assert error.code == "connection_lost"
        assert "the model may have run" in str(error)
        assert len(server.requests) == 1


def test_a_kept_connection_that_was_closed_is_replaced_once(tmp_path):
    # The client reads the schema over this connection, which the server then closes.
    with Faulty(None, answer(b"7")) as server:
        assert Client(server.url).predict(text="x") == 7
        assert server.connections == 2
    with Faulty(None, None, answer(b"7")) as server:
        error, _ = failing(Client(server.url).predict, text="x")
        assert error.code == "connection_lost"
        assert len(server.requests) == 2
    with Faulty(None, answer(b"7")) as server, open(os.devnull, "rb") as file:
        reader, writer = os.pipe()
        os.write(writer, b"once")
        os.close(writer)
        with open(reader, "rb") as pipe:
            # The client cannot read the pipe a second time, so it does not try again.
            assert failing(Client(server.url).predict, file=pipe)[0].code == "connection_lost"
        assert Client(server.url).predict(file=file) == 7
    with Faulty(lambda connection: time.sleep(1.5), answer(b"7")) as server:
        # The connection broke after a while, so the model may have seen the request.
        assert failing(Client(server.url).predict, text="x")[0].code == "connection_lost"


def test_an_idle_connection_that_was_closed_is_not_used():
    with Faulty(answer(b"1", Keep_Alive="x"), answer(b"2")) as server, Client(server.url) as client:
        assert client.predict(text="x") == 1
        assert server.connections == 1

    def once(connection):
        connection.sendall(answer(b"1"))

    with Faulty(once, answer(b"2")) as server, Client(server.url) as client:
        assert client.predict(text="x") == 1
        time.sleep(0.2)
        with open(os.devnull, "rb") as file:
            assert client.predict(file=file) == 2


def test_a_server_that_is_not_running_is_reported():
    error, seconds = failing(Client("http://127.0.0.1:%d" % free_port()).predict, text="x")
    assert error.code == "unreachable"
    assert "127.0.0.1" in str(error)
    assert seconds < 5
    error, seconds = failing(Client("http://no-such-host.invalid").predict, text="x")
    assert error.code == "unreachable"


# --- broken, endless and slow responses ---


def dripping(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n")
    for number in range(1000):
        connection.sendall(b"X-%d: y\r\n" % number)
        time.sleep(0.05)


def dripping_body(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    for _ in range(1000):
        connection.sendall(b"x")
        time.sleep(0.05)


def endless(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"10000\r\n" + bytes(65536) + b"\r\n")


def continuing(connection):
    while True:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.02)


def chunks(*pieces, **headers):
    lines = "".join("%s: %s\r\n" % each for each in headers.items()).replace("_", "-")
    head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n%s\r\n" % lines
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return head.encode() + body


@pytest.mark.parametrize(
    "reply",
    [10, dripping, dripping_body, continuing],
    ids=["nothing", "a slow head", "a slow body", "no head"],
)
def test_a_server_that_stalls_is_left_after_the_timeout(reply):
    with Faulty(reply) as server:
        error, seconds = failing(Client(server.url, timeout=0.7).predict, text="x")
        assert error.code == "timeout"
        assert 0.5 < seconds < 2
    with Faulty(reply) as server:
        stream = Client(server.url, timeout=0.7).stream(text="x")
        error, seconds = failing(list, stream)
        assert error.code == "timeout"
        assert seconds < 2


BROKEN = {
    "cut off": answer(b"[1, 2", Content_Length=50, Connection="close"),
    "cut off in a chunk": chunks(b"[1,", b"2]")[:-4] + b"",
    "no last chunk": chunks(b"[1]"),
    "no HTTP": b"garbage\r\n\r\n",
    "a long line": b"HTTP/1.1 200 OK\r\nX: " + bytes(70000) + b"\r\n\r\n",
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n",
    "no JSON": answer(b"[1,"),
    "deep JSON": answer(b"[" * 200000),
    "no gzip": answer(b"[1]", Content_Encoding="gzip"),
    "half a gzip": answer(gzip.compress(b"[1]" * 100)[:-9], Content_Encoding="gzip"),
    "an unknown coding": answer(b"[1]", Content_Encoding="br"),
    "no list of lines": answer(b"{}\nx\n", Content_Type="application/x-ndjson"),
    "half a list": answer(b"--b\r\n\r\nx", Content_Type="multipart/mixed; boundary=b"),
    "an odd length": chunks(b"[1]").replace(b"3\r\n", b"-3\r\n"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_response_raises(name):
    def reply(connection):
        connection.sendall(BROKEN[name])

    with Faulty(reply) as server:
        error, seconds = failing(Client(server.url, timeout=5).predict, text="x")
        assert error.code == "broken_answer"
        assert seconds < 3
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "reply",
    [
        answer(bytes(2000)),
        endless,
        answer(gzip.compress(bytes(100 << 20)), Content_Encoding="gzip"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
    ],
    ids=["long", "endless", "compressed", "announced"],
)
def test_a_response_that_is_too_long_is_refused(reply):
    with Faulty(reply) as server:
        error, seconds = failing(Client(server.url, max_bytes=1000).predict, text="x")
        assert error.code == "answer_too_large"
        assert "max_bytes" in str(error)
        assert seconds < 5


def test_events_are_bounded_and_checked():
    def stream(*lines):
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"

        def reply(connection):
            connection.sendall(head + b"".join(lines))

        return reply

    good = b'event: result\ndata: {"content_type": "application/json",\ndata: "text": "[1]"}\n\n'
    for lines, code in [
        ([b"data: " + bytes(5000)], "answer_too_large"),
        ([b": comment\n" * 10], "broken_answer"),
        ([b"event: chunk\ndata: {}\n\n"], "broken_answer"),
        ([b"event: chunk\ndata: [1]\n\n", good], "broken_answer"),
        ([b'event: error\ndata: {"code": "model_failed", "detail": "no"}\n\n'], "model_failed"),
        ([b"event: error\ndata: {}\n\n"], "unknown"),
    ]:
        with Faulty(stream(*lines)) as server:
            error, _ = failing(list, Client(server.url, max_bytes=1000).stream(text="x"))
            assert error.code == code, lines
    with Faulty(stream(b": comment\n\nid: 5\r\n" + good.replace(b"\n", b"\r\n"))) as server:
        assert list(Client(server.url).stream(text="x")) == [[1]]
    with Faulty(answer(b"[1]")) as server:
        assert list(Client(server.url).stream(text="x")) == [[1]]


def test_compressed_responses_are_read():
    two = gzip.compress(b'{"a":') + gzip.compress(b"1}")
    large = gzip.compress(json.dumps(["x"] * 900000).encode())
    with Faulty(
        answer(two, Content_Encoding="gzip"),
        answer(large, Content_Encoding="gzip"),
        chunks(two[:9], two[9:], Content_Encoding="gzip", Content_Type="application/json")
        + b"0\r\n\r\n",
    ) as server:
        client = Client(server.url)
        assert client.predict(text="x") == {"a": 1}
        assert client.predict(text="x") == ["x"] * 900000
        assert client.predict(text="x") == {"a": 1}
        assert server.connections == 1


def test_a_response_before_the_end_of_the_request_counts():
    def early(connection):
        connection.sendall(problem("413 Too Large", "too_large", Connection="close"))
        connection.shutdown(socket.SHUT_RDWR)

    listener = socket.create_server(("127.0.0.1", 0))

    def refuse():
        for reply in [answer(json.dumps(SCHEMA).encode(), Connection="close"), None]:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                if reply is None:
                    early(connection)
                else:
                    connection.sendall(reply)
                time.sleep(0.5)

    done = in_background(refuse)
    client = Client("http://127.0.0.1:%d" % listener.getsockname()[1], timeout=10, retries=0)
    error, _ = failing(client.predict, file=bytes(20 << 20))
    assert error.code in ("too_large", "unreachable")
    done()
    listener.close()


def test_informational_responses_are_skipped():
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    with Faulty(hints + answer(b"1"), answer(b"2")) as server:
        client = Client(server.url)
        assert [client.predict(text="x"), client.predict(text="x")] == [1, 2]
        assert server.connections == 1


# --- other places ---


def test_a_token_goes_to_its_own_server_only():
    with Faulty(answer(b"1")) as other:
        moved = answer(b"", "307 Moved", Location=other.url + "/infer")
        with Faulty(moved) as server:
            assert Client(server.url, "secret-token").predict(text="x") == 1
            assert "Authorization: Bearer secret-token" in server.requests[0][0]
        [(head, body)] = other.requests
        assert "secret-token" not in head
        assert json.loads(body) == {"text": "x"}
    same = answer(b"", "308 Moved", Location="/below/infer")
    with Faulty(same, answer(b"2")) as server:
        assert Client(server.url, "secret-token").predict(text="x") == 2
        assert server.requests[1][0].startswith("POST /below/infer ")
        assert "secret-token" in server.requests[1][0]


def test_redirects_that_cannot_be_followed_raise():
    for location, status in [
        ("/elsewhere/", "301 Moved"),
        ("ftp://host/", "307 Moved"),
        ("http://[", "308 Moved"),
        ("", "303 See Other"),
    ]:
        with Faulty(answer(b"", status, Location=location)) as server:
            error, _ = failing(Client(server.url).predict, text="x")
            assert error.code == "redirected"
            assert len(server.requests) == 1
    with Faulty(*[answer(b"", "307 Moved", Location="/infer")] * 100) as server:
        assert failing(Client(server.url).predict, text="x")[0].code == "redirected"
        assert len(server.requests) < 10


def test_a_server_that_has_moved_is_found_by_its_schema():
    with Faulty(answer(b"1")) as other:
        moved = answer(b"", "301 Moved", Location=other.url + "/below/schema")
        with Faulty(schema=moved) as server:
            assert Client(server.url).predict(text="x") == 1
            assert server.requests == []
        assert other.requests[0][0].startswith("POST /below/infer ")


def test_a_path_below_which_a_proxy_has_the_server():
    for below in ["/models/ocr", "/models/ocr/", "/mod%20els/ü"]:
        with Faulty(answer(b"1")) as server:
            assert Client(server.url + below).predict(text="x") == 1
            path = server.requests[0][0].split(" ")[1]
            assert path == below.rstrip("/").replace("ü", "%C3%BC") + "/infer"


def test_proxies_of_the_environment_are_used(monkeypatch):
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Faulty(answer(b"1"), b"HTTP/1.1 403 No\r\n\r\n") as proxy:
        at = proxy.url.replace("://", "://me:word@")
        monkeypatch.setenv("http_proxy", at)
        monkeypatch.setenv("https_proxy", at)
        assert Client("http://model.invalid/below").predict(text="x") == 1
        head = proxy.requests[0][0]
        assert head.startswith("POST http://model.invalid/below/infer HTTP/1.1\r\n")
        secret = base64.b64encode(b"me:word").decode()
        assert "Host: model.invalid\r\n" in head
        assert "Proxy-Authorization: Basic " + secret in head
        error, _ = failing(Client("https://model.invalid", "token", retries=0).predict, text="x")
        assert error.code == "unreachable"
        assert proxy.requests[1][0].startswith("CONNECT model.invalid:443 ")
        assert secret in proxy.requests[1][0]
        assert "token" not in proxy.requests[1][0]
        assert "word" not in str(error)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        with Faulty(answer(b"2")) as server:
            assert Client(server.url).predict(text="x") == 2


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return [str(path) for path in support.certificate(tmp_path_factory.mktemp("tls"))]


def test_certificates_are_checked(path, certificate, monkeypatch):
    cert, key = certificate
    with serve(
        path, AI_INTEGRATION_TLS_CERT=cert, AI_INTEGRATION_TLS_KEY=key, ready=False
    ) as server:
        error, seconds = failing(Client(server.url).predict, text="x")
        assert error.code == "unreachable"
        assert "certificate verify failed" in str(error)
        assert seconds < 2
        client = Client(server.url, context=ssl.create_default_context(cafile=cert))
        for n in range(3):
            assert client.predict(text="x", file=bytes(3 << 20))["calls"] == n + 1
        assert "".join(client.stream(text="stream")) == "piece 0 piece 1 piece 2 end"
        monkeypatch.setenv("SSL_CERT_FILE", cert)
        assert Client(server.url).predict(text="x")["text"] == "x"
        slow = Client(server.url, timeout=0.5)
        assert failing(slow.predict, text="slow", seconds=20)[0].code == "timeout"


# --- asyncio ---


def test_the_asynchronous_client_does_the_same(server):
    async def use():
        async with AsyncClient(server.url) as client:
            assert "text" in await client.schema
            texts = [str(n) for n in range(8)]
            answers = await asyncio.gather(*[client.predict(text=text) for text in texts])
            assert [each["text"] for each in answers] == texts
            pieces = [piece async for piece in client.stream(text="stream")]
            assert pieces == ["piece 0 ", "piece 1 ", "piece 2 ", "end"]
            kinds = [kind async for kind, _ in client.events(text="stream") if kind != "log"]
            assert kinds == ["started", "progress", "chunk", "chunk", "chunk", "chunk"]
            with pytest.raises(ClientError, match="did you mean 'text'"):
                await client.predict(txt="x")
            with pytest.raises(ClientError, match="too late"):
                [piece async for piece in client.stream(text="late")]
            fast = client.with_options(timeout=0.3)
            with pytest.raises(ClientError) as caught:
                await fast.predict(text="late answer", seconds=20)
            assert caught.value.code == "timeout"

    asyncio.run(use())


def test_a_task_that_is_cancelled_ends_its_request(server):
    async def said(words):
        look = functools.partial(server.wait_for_output, words)
        await asyncio.get_running_loop().run_in_executor(None, look)

    async def use():
        async with AsyncClient(server.url) as client:
            for name, coroutine in [
                ("one", client.predict(text="one", seconds=20)),
                ("two", client.stream(text="two", seconds=20).__anext__()),
            ]:
                task = asyncio.ensure_future(coroutine)
                await said("BEGUN " + name)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                await said("CANCELLED " + name)
            assert (await client.predict(text="x"))["text"] == "x"
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.predict(text="three", seconds=20), 0.3)

    asyncio.run(use())


def test_a_fork_uses_connections_of_its_own(server, program):
    source = """
        import os, sys
        from ai_integration import Client

        client = Client(sys.argv[1])
        client.predict(text="x")
        if os.fork() == 0:
            print(all(client.predict(text=str(n))["text"] == str(n) for n in range(50)))
            sys.exit()
        print(all(client.predict(text=str(n))["text"] == str(n) for n in range(50, 100)))
        os.wait()
    """
    done = run(program(source), server.url)
    assert done.stdout.split() == [b"True", b"True"], done


def test_a_client_that_is_left_open_leaves_nothing_behind(server, program):
    source = """
        import gc, sys
        from ai_integration import Client

        for n in range(3):
            assert Client(sys.argv[1]).predict(text="x")["text"] == "x"
        client = Client(sys.argv[1])
        for piece in client.stream(text="stream", seconds=1):
            break
        client.predict(text="x")
        client.close()
        try:
            client.predict(text="x")
        except RuntimeError as error:
            print(error)
    """
    done = run(program(source), server.url, PYTHONWARNINGS="error", PYTHONDEVMODE="1")
    assert done.stdout == b"the client is closed\n"
    assert done.stderr == b""


def test_the_client_is_loaded_on_first_use(program):
    source = """
        import sys
        import ai_integration
        loaded = [name for name in sys.modules if "_client" in name or name == "http.client"]
        print(loaded, ai_integration.Client.__name__, "Client" in dir(ai_integration))
    """
    assert run(program(source)).stdout == b"[] Client True\n"
