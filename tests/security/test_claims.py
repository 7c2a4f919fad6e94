"""A client that announces long bodies and sends little, or does not finish its requests, takes no
memory or connections from honest clients."""

import contextlib
import http.client
import re
import socket
import threading
import time

import pytest
from support import in_background, memory, serve

KB, MB = 1 << 10, 1 << 20
HEAD = b"POST /infer HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
# The lengths that the client of the attack announces, and on how many connections each.
LENGTHS = {90 * MB: 3, 2 * MB: 20, MB: 60, 64 * KB: 40, KB: 120, 50: 200, 8: 150}
SMALL = b'{"text": "1234"}'


class Attack:
    """Connections that begin a request each and do not end it; closed ones are opened again."""

    def __init__(self, server, begins, trickle=b"", pause=0.2, addresses=("127.0.0.1",)):
        self.address = tuple(re.match(r"https?://([^:]+):(\d+)", server.url).groups())
        self.begins, self.trickle, self.pause = begins, trickle, pause
        self.addresses = addresses
        self.ends = threading.Event()
        self.is_under_way = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def open(self, number):
        source = (self.addresses[number % len(self.addresses)], 0)
        connection = socket.create_connection(self.address, 5, source)
        connection.settimeout(5)
        with contextlib.suppress(OSError):
            connection.sendall(self.begins[number])
        connection.setblocking(False)
        return connection

    def run(self):
        kept = {}
        while not self.ends.is_set():
            missing = [number for number in range(len(self.begins)) if number not in kept]
            # After the first round, it leaves some processor time to the others.
            for number in missing[:50] if self.is_under_way.is_set() else missing:
                with contextlib.suppress(OSError):
                    kept[number] = self.open(number)
            self.is_under_way.set()
            self.ends.wait(self.pause)
            for number, connection in list(kept.items()):
                try:
                    if self.trickle:
                        connection.send(self.trickle)
                    if connection.recv(4096):
                        raise ConnectionError
                except BlockingIOError:
                    continue
                except OSError:
                    pass
                connection.close()
                del kept[number]
        for connection in kept.values():
            connection.close()

    def __enter__(self):
        self.thread.start()
        assert self.is_under_way.wait(20)
        return self

    def __exit__(self, *_):
        self.ends.set()
        self.thread.join(20)


def ask(server, body=SMALL, kind="application/json"):
    """Returns the status, or the name of the error without one."""
    host, port = re.match(r"https?://([^:]+):(\d+)", server.url).groups()
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    try:
        connection.request("POST", "/infer", body, {"Content-Type": kind})
        return connection.getresponse().status
    except OSError as error:
        return type(error).__name__
    finally:
        connection.close()


def honest(server, seconds, body=SMALL, clients=4):
    """Returns the responses to honest clients, which send one request after the other."""
    deadline = time.monotonic() + seconds

    def go_on():
        seen = []
        while time.monotonic() < deadline:
            seen.append(ask(server, body))
        return seen

    clients = [in_background(go_on) for _ in range(clients)]
    return [status for client in clients for status in client()]


def assert_others_get_in(server, seconds=2.0):
    large = b'{"text": "%s"}' % (b"x" * (2 * MB))
    uploads = in_background(honest, server, seconds, large, 1)
    seen = honest(server, seconds)
    refused = [status for status in seen if status != 200]
    assert len(seen) > 30
    assert len(refused) < len(seen) / 100, (len(seen), refused[:10])
    uploaded = uploads()
    assert len(uploaded) >= 2
    assert uploaded.count(200) == len(uploaded), uploaded


def announced(length):
    return HEAD + b"Content-Length: %d\r\n\r\n" % length


def heads(times=1):
    return [announced(length) for length, many in LENGTHS.items() for _ in range(many * times)]


@pytest.mark.parametrize("budget", [20 * MB, 128 * MB, 512 * MB, None])
def test_a_head_takes_nothing_from_others(module_program, budget):
    settings = {"AI_INTEGRATION_MAX_IN_FLIGHT": budget} if budget else {}
    with serve(module_program, HOST="127.0.0.1", **settings) as server, Attack(server, heads()):
        assert_others_get_in(server)


CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
FORM = (
    HEAD.replace(b"application/json", b"multipart/form-data; boundary=b")
    + b"Content-Length: 20000000\r\n\r\n"
    + b"--b\r\nContent-Disposition: form-data; name=text\r\n\r\n" * 900
)
# By name: what each connection sends at first, and what it adds from time to time.
BEGINNINGS = {
    "a first byte": ([head + b"{" for head in heads()], b""),
    "a byte now and then": ([head + b"{" for head in heads()], b" "),
    "chunks": ([CHUNKED + b"1\r\n{\r\n"] * 500, b"1\r\n \r\n"),
    "a form of many parts": ([FORM] * 200, b"-"),
    "half a small body": ([announced(64 * KB) + b"{" + b" " * 60_000] * 600, b" "),
    "nearly a body": ([announced(MB) + b"{" + b" " * (MB - 2000)] * 40, b" "),
    "nearly a large body": ([announced(17 * MB) + b"{" + b" " * (16 * MB)] * 2, b" " * 100),
    "large heads": ([HEAD + b"X: " + b"x" * 60_000 + b"\r\nContent-Length: 9\r\n\r\n"] * 500, b""),
    "half heads": ([HEAD + b"X: " + b"x" * 60_000] * 600, b"x"),
}


@pytest.mark.parametrize("addresses", [1, 8], ids=["one client", "eight clients"])
@pytest.mark.parametrize("name", BEGINNINGS)
def test_unfinished_requests_give_way_to_honest_ones(module_program, name, addresses):
    begins, trickle = BEGINNINGS[name]
    addresses = ["127.0.0.%d" % (number + 1) for number in range(addresses)]
    settings = {"AI_INTEGRATION_MAX_IN_FLIGHT": 20 * MB}
    with serve(module_program, HOST="127.0.0.1", **settings) as server:
        before = memory(server.process.pid)
        with Attack(server, begins, trickle, addresses=addresses):
            # The connections of the attack were there first, and have been silent for a second.
            time.sleep(1)
            assert_others_get_in(server)
            grown = memory(server.process.pid) - before
            assert "panicked" not in server.output()
            # 20 MiB is the budget. The rest is for the buffers of some hundred connections, and for
            # freed memory that the process has not returned to the system yet.
            assert grown < 20 + 60, "%d MiB" % grown
