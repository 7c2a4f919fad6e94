"""Clients that close only their sending side, as `nc -N` does, and clients that disconnect."""

import contextlib
import http.client
import socket
import ssl
import struct
import time

import pytest
from raw import connection_to
from support import eventually, serve

# The first word of the text says what the model does, the second for how long.
MODEL = """
    import time
    import ai_integration
    while True:
        with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
            how, _, seconds = inputs["text"].partition(" ")
            if how in ("stream", "silent"):
                ai_integration.send_chunk("begun ")
            print("began", how)
            end = time.monotonic() + float(seconds or 0)
            while time.monotonic() < end:
                if how != "stream" and ai_integration.cancelled():
                    print("cancelled", how)
                    break
                if how == "stream":
                    ai_integration.send_chunk(". ")
                time.sleep(0.01)
            print("done", how)
            ai_integration.send_result(
                {"content-type": "text/plain", "data": None if how in ("stream", "silent")
                 else "fine " * (1 << 20) if how == "large" else "fine", "success": True})
"""
STREAM = b"Accept: text/event-stream\r\n"


def asking(text, path=b"/infer", version=b"1.1", more=b"", chunked=False):
    body = b"text=" + text.encode().replace(b" ", b"+")
    length = b"Content-Length: %d" % len(body)
    if chunked:
        length, body = b"Transfer-Encoding: chunked", b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    head = b"POST %s HTTP/%s\r\nHost: localhost\r\n%s\r\n" % (path, version, length)
    return head + b"Content-Type: application/x-www-form-urlencoded\r\n" + more + b"\r\n" + body


def getting(path, version=b"1.1"):
    return b"GET %s HTTP/%s\r\nHost: localhost\r\n\r\n" % (path, version)


def answer_of(connection):
    """Reads one response strictly, and asserts that nothing follows it."""
    connection.settimeout(20)
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    body = answer.read()
    with contextlib.suppress(ConnectionResetError):
        assert connection.recv(10) == b""
    return answer.status, body


@pytest.fixture(scope="module")
def patient(tmp_path_factory):
    import textwrap

    path = tmp_path_factory.mktemp("model") / "entrypoint.py"
    path.write_text(textwrap.dedent(MODEL))
    with serve(path, HOST="127.0.0.1") as server:
        yield server


REQUESTS = {
    "at once": (asking("now"), b"fine"),
    "later": (asking("later 1.3"), b"fine"),
    "a chunked request": (asking("now 0.3", chunked=True), b"fine"),
    "much": (asking("large 0.2"), b"fine " * (1 << 20)),
    "the classic dialect": (asking("now 0.5", b"/"), b'"fine"'),
    "HTTP/1.0": (asking("now 0.5", version=b"1.0"), b"fine"),
    "a stream": (asking("stream 0.3"), b"begun . "),
    "a stream with silence": (asking("silent 1.3"), b"begun "),
    "a stream over HTTP/1.0": (asking("silent 0.5", version=b"1.0"), b"begun "),
    "events": (asking("silent 1.3", more=STREAM), b"event: result"),
    "the page": (getting(b"/"), b"<html"),
    "the schema": (getting(b"/schema"), b"inputs_schema"),
    "health": (getting(b"/healthz"), b""),
    "readiness over HTTP/1.0": (getting(b"/readyz", b"1.0"), b""),
    "metrics": (getting(b"/metrics"), b"ai_integration"),
}


@pytest.mark.parametrize("pause", [0, 0.2])
@pytest.mark.parametrize("name", REQUESTS)
def test_a_client_that_stops_sending_gets_its_response(patient, name, pause):
    request, expected = REQUESTS[name]
    with connection_to(patient) as connection:
        connection.sendall(request)
        time.sleep(pause)
        connection.shutdown(socket.SHUT_WR)
        status, body = answer_of(connection)
    assert status == 200
    assert expected in body


def test_several_requests_before_the_end_get_responses(patient):
    with connection_to(patient) as connection:
        connection.sendall(asking("now 0.2") + asking("silent 0.3") + asking("now 0.4"))
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while piece := connection.recv(65536):
            received += piece
    assert received.count(b"HTTP/1.1 200 OK\r\n") == 3
    assert received.count(b"\r\n\r\nfine") == 2


def test_a_request_that_is_cut_off_is_still_an_error(patient):
    for cut in [asking("now")[:-2], asking("now", chunked=True)[:-3], getting(b"/healthz")[:-2]]:
        with connection_to(patient) as connection:
            connection.sendall(cut)
            connection.shutdown(socket.SHUT_WR)
            begin = time.monotonic()
            received = connection.recv(65536)
            assert not received.startswith(b"HTTP/1.1 200")
            assert time.monotonic() - begin < 2


def test_a_client_that_waits_in_the_queue_may_stop_sending(patient):
    with connection_to(patient) as first, connection_to(patient) as second:
        first.sendall(asking("now 1.5"))
        patient.wait_for_output("began now")
        second.sendall(asking("later 0.1"))
        second.shutdown(socket.SHUT_WR)
        assert answer_of(second) == (200, b"fine")


def wait_for_begin(server, how, before):
    eventually(lambda: server.output().count("began " + how) > before, "the model begins")


@pytest.mark.parametrize("way", ["closes", "resets", "stops sending, then closes"])
@pytest.mark.parametrize("more", [b"", STREAM])
@pytest.mark.parametrize("how", ["held", "silent"])
def test_a_request_of_a_disconnected_client_is_cancelled(patient, how, more, way):
    begun, cancelled = (patient.output().count(word + how) for word in ("began ", "cancelled "))
    connection = connection_to(patient)
    connection.sendall(asking(how + " 30", more=more))
    wait_for_begin(patient, how, begun)
    if how == "silent" or more:
        while b"begun" not in connection.recv(65536):
            if how == "held":
                break
    if way == "resets":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    elif way != "closes":
        connection.shutdown(socket.SHUT_WR)
        time.sleep(1)
        assert patient.output().count("cancelled " + how) == cancelled
    connection.close()
    eventually(
        lambda: patient.output().count("cancelled " + how) > cancelled,
        "the model is told of the cancellation",
    )


class Tls:
    """Speaks TLS by hand, because Python's sockets cannot send `close_notify` and still read."""

    def __init__(self, server, context):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.connection = connection_to(server)
        self.until(self.tls.do_handshake)

    def until(self, step, *arguments):
        while True:
            try:
                done = step(*arguments)
            except ssl.SSLWantReadError:
                self.flush()
                piece = self.connection.recv(65536)
                if piece:
                    self.incoming.write(piece)
                else:
                    self.incoming.write_eof()
            else:
                self.flush()
                return done

    def flush(self):
        if self.outgoing.pending:
            self.connection.sendall(self.outgoing.read())

    def send(self, data):
        self.until(self.tls.write, data)

    def say_farewell(self):
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self.flush()

    def read_all(self):
        received = b""
        with contextlib.suppress(ssl.SSLZeroReturnError, ssl.SSLEOFError):
            while piece := self.until(self.tls.read, 65536):
                received += piece
        return received


def test_over_tls_too(program, certificate):
    folder = certificate("half")
    settings = {
        "AI_INTEGRATION_TLS_CERT": folder / "cert.pem",
        "AI_INTEGRATION_TLS_KEY": folder / "key.pem",
    }
    context = ssl.create_default_context(cafile=str(folder / "cert.pem"))
    with serve(program(MODEL), HOST="127.0.0.1", ready=False, **settings) as server:
        for text, expected in [("now 0.7", b"fine"), ("silent 0.7", b"begun")]:
            client = Tls(server, context)
            client.send(asking(text))
            client.say_farewell()
            client.connection.shutdown(socket.SHUT_WR)
            received = client.read_all()
            assert received.startswith(b"HTTP/1.1 200 OK"), received
            assert expected in received
            client.connection.close()
        for number, has_manners in enumerate([True, False]):
            client = Tls(server, context)
            client.send(asking("held 30"))
            wait_for_begin(server, "held", number)
            if has_manners:
                client.say_farewell()
            client.connection.close()
            server.wait_for_output("(cancelled held(.|\n)*){%d}" % (number + 1), 3)
