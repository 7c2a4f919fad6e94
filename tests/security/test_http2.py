"""Limits on clients of HTTP/2, which decide how much of each response they read."""

import contextlib
import re
import socket
import ssl
import subprocess
import time

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
from raw import connection_to
from support import eventually, memory, serve

MODEL = """
    import ai_integration
    while True:
        with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
            ai_integration.send_result({
                "content-type": "text/plain", "data": "x" * int(inputs["text"]), "success": True})
"""
MEGABYTE = 1 << 20


@pytest.fixture
def tls(certificate):
    folder = certificate("localhost")
    return {
        "AI_INTEGRATION_TLS_CERT": folder / "cert.pem",
        "AI_INTEGRATION_TLS_KEY": folder / "key.pem",
    }


@pytest.fixture
def impatient(program, tls):
    settings = {**tls, "AI_INTEGRATION_IDLE_TIMEOUT": 1, "AI_INTEGRATION_WRITE_TIMEOUT": 2}
    with serve(program(MODEL), HOST="127.0.0.1", ready=False, **settings) as server:
        server.wait_for_output("listening on")
        server.folder = tls["AI_INTEGRATION_TLS_CERT"].parent
        yield server


def curl(server, text, *options):
    """The version, the status, and how much came."""
    address = "https://localhost:%s/infer" % re.search(r":(\d+)$", server.url).group(1)
    told = "%{http_version} %{http_code} %{size_download}"
    command = ["curl", "-s", "--http2", "--cacert", str(server.folder / "cert.pem")]
    command += ["-o", "/dev/null", "-w", told, "-d", "text=%d" % text, *options, address]
    return subprocess.run(command, capture_output=True, timeout=60).stdout.decode()


@contextlib.contextmanager
def windowless(server):
    """A connection with a window of zero, so that the server can send no response body."""
    context = ssl.create_default_context(cafile=str(server.folder / "cert.pem"))
    context.set_alpn_protocols(["h2"])
    with context.wrap_socket(connection_to(server), server_hostname="localhost") as connection:
        http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        code = h2.settings.SettingCodes.INITIAL_WINDOW_SIZE
        http.local_settings = h2.settings.Settings(client=True, initial_values={code: 0})
        http.initiate_connection()
        yield connection, http


def ask(http, text):
    stream = http.get_next_available_stream_id()
    head = {
        ":method": "POST",
        ":path": "/infer",
        ":scheme": "https",
        ":authority": "localhost",
        "content-type": "application/x-www-form-urlencoded",
    }
    http.send_headers(stream, list(head.items()))
    http.send_data(stream, b"text=%d" % text, end_stream=True)


def test_a_client_that_only_pings_is_disconnected(impatient):
    assert curl(impatient, 1) == "2 200 1"
    before = memory(impatient.process.pid)
    with windowless(impatient) as (connection, http):
        for _ in range(4):
            ask(http, 32 * MEGABYTE)
        connection.sendall(http.data_to_send())
        begin = time.monotonic()
        connection.settimeout(0.2)
        while time.monotonic() - begin < 20:
            # The client stays active all the time.
            try:
                http.ping(b"12345678")
                connection.sendall(http.data_to_send())
                if not connection.recv(65536):
                    break
            except (socket.timeout, ssl.SSLWantReadError):
                continue
            except OSError:
                break
            time.sleep(0.1)
        assert 1.5 < time.monotonic() - begin < 8
    eventually(lambda: memory(impatient.process.pid) < before + 40, "the answers are forgotten")
    assert curl(impatient, 1) == "2 200 1"


def test_a_slow_reader_gets_the_whole_response(impatient):
    # Longer than the connection may be idle.
    size = 4 * MEGABYTE
    begin = time.monotonic()
    assert curl(impatient, size, "--limit-rate", "1M") == "2 200 %d" % size
    assert time.monotonic() - begin > 2.5
    assert curl(impatient, 20 * MEGABYTE) == "2 200 %d" % (20 * MEGABYTE)


def test_a_head_is_as_long_as_the_docs_say(impatient):
    fields = [
        (":method", "GET"),
        (":path", "/healthz"),
        (":scheme", "https"),
        (":authority", "localhost"),
    ]
    # RFC 9113, section 6.5.2, defines the size of a field.
    used = sum(len(name) + len(value) + 32 for name, value in fields)
    most = (64 << 10) - used - len("x-header") - 32
    for length, status in [(100, 200), (most, 200), (most + 1, 431), (most + 40_000, 431)]:
        with windowless(impatient) as (connection, http):
            http.send_headers(1, [*fields, ("x-header", "x" * length)], end_stream=True)
            connection.sendall(http.data_to_send())
            connection.settimeout(15)
            heads = []
            while not heads:
                events = http.receive_data(connection.recv(65536))
                heads = [event for event in events if isinstance(event, h2.events.ResponseReceived)]
            assert dict(heads[0].headers)[b":status"] == b"%d" % status, length


def test_streams_that_begin_a_body_take_nothing_from_others(program, certificate):
    folder = certificate("localhost")
    settings = {
        "AI_INTEGRATION_TLS_CERT": folder / "cert.pem",
        "AI_INTEGRATION_TLS_KEY": folder / "key.pem",
        "AI_INTEGRATION_MAX_IN_FLIGHT": 20 * MEGABYTE,
    }
    head = {
        ":method": "POST",
        ":path": "/infer",
        ":scheme": "https",
        ":authority": "localhost",
        "content-type": "application/json",
    }
    with contextlib.ExitStack() as opened:
        server = opened.enter_context(
            serve(program(MODEL), HOST="127.0.0.1", ready=False, **settings)
        )
        server.wait_for_output("listening on")
        server.folder = folder
        assert curl(server, 1) == "2 200 1"
        before = memory(server.process.pid)
        for _ in range(5):
            connection, http = opened.enter_context(windowless(server))
            for length in [2 * MEGABYTE, 90 * MEGABYTE, 100, None] * 25:
                stream = http.get_next_available_stream_id()
                announced = {"content-length": str(length)} if length else {}
                # HPACK compresses repeated fields, so they cost the client few bytes.
                fields = {**head, **announced, "x-header": "x" * 3000}
                http.send_headers(stream, [*fields.items(), *[("x-again", "y" * 900)] * 50])
                http.send_data(stream, b"{")
                connection.sendall(http.data_to_send())
        for _ in range(20):
            assert curl(server, 1) == "2 200 1"
        assert memory(server.process.pid) - before < 20 + 40


FAILING = """
    import time
    import ai_integration

    def failing(pause):
        yield "begun"
        time.sleep(pause)
        raise ValueError("out of paint")

    while True:
        with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
            pieces = failing(float(inputs["text"]))
            ai_integration.send_result(
                {"content-type": "text/plain", "data": pieces, "success": True})
"""


@pytest.mark.parametrize("pause", [0, 0.002, 0.1])
def test_a_stream_that_fails_soon_is_a_failure_or_breaks_off_after_its_begin(program, tls, pause):
    with serve(program(FAILING), HOST="127.0.0.1", ready=False, **tls) as server:
        server.wait_for_output("listening on")
        port = re.search(r":(\d+)$", server.url).group(1)
        command = ["curl", "-skN", "--http2", "-w", " %{http_version} %{http_code}"]
        command += ["-d", "text=%s" % pause, "https://localhost:%s/infer" % port]
        for _ in range(20):
            done = subprocess.run(command, capture_output=True, timeout=60)
            if done.returncode == 0:
                # No part of the response had been sent.
                assert done.stdout.endswith(b" 2 500")
                assert b"out of paint" in done.stdout
            else:
                assert done.stdout == b"begun 2 200"


def test_http2_without_tls(program):
    with serve(program(MODEL), HOST="127.0.0.1") as server:
        command = ["curl", "-s", "--http2-prior-knowledge", "-w", "%{http_version} %{http_code}"]
        command += ["-o", "/dev/null", "-d", "text=%d" % MEGABYTE, server.url + "/infer"]
        assert subprocess.run(command, capture_output=True, timeout=60).stdout == b"2 200"
        # The first bytes may arrive one by one.
        with connection_to(server) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            http = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
            http.initiate_connection()
            head = [(":method", "GET"), (":path", "/healthz"), (":scheme", "http")]
            http.send_headers(1, [*head, (":authority", "localhost")], end_stream=True)
            for byte in http.data_to_send():
                connection.sendall(bytes([byte]))
            statuses = []
            while not statuses:
                for event in http.receive_data(connection.recv(65536)):
                    if isinstance(event, h2.events.ResponseReceived):
                        statuses.append(dict(event.headers)[":status"])
            assert statuses == ["200"]


def test_a_connection_that_stops_within_its_first_bytes_is_closed(program):
    with serve(program(MODEL), HOST="127.0.0.1", AI_INTEGRATION_HEAD_TIMEOUT=1) as server:
        for first in [b"P", b"PRI", b"PRI * HTTP/2.0\r\n"]:
            with connection_to(server) as connection:
                connection.sendall(first)
                # The server has not read the first bytes, so the system may reset the connection.
                with contextlib.suppress(ConnectionResetError):
                    while connection.recv(65536):
                        pass
