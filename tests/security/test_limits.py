"""Limits on what clients use: time, connections, memory."""

import contextlib
import re
import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from raw import connected, connection_to, exchange, read_all, seconds_until_closed, statuses
from support import eventually, in_background, memory, serve

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /infer HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def impatient(module_program):
    settings = {
        "AI_INTEGRATION_HEAD_TIMEOUT": 1,
        "AI_INTEGRATION_IDLE_TIMEOUT": 2,
        "AI_INTEGRATION_UPLOAD_TIMEOUT": 3,
        "AI_INTEGRATION_WRITE_TIMEOUT": 2,
    }
    with serve(module_program, HOST="127.0.0.1", **settings) as server:
        yield server


def test_a_silent_connection_is_closed(impatient):
    with connected(impatient) as connection:
        assert 0.9 < seconds_until_closed(connection) < 2


def test_a_head_that_does_not_end_times_out(impatient):
    with connected(impatient) as connection:
        connection.sendall(GET[:20])
        assert 0.9 < seconds_until_closed(connection) < 2
    # The client keeps sending all the time.
    with connected(impatient) as connection:
        begin = time.monotonic()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for byte in GET[:-2] * 100:
                connection.sendall(bytes([byte]))
                time.sleep(0.05)
        assert time.monotonic() - begin < 3


def test_an_idle_connection_is_closed_and_a_used_one_is_not(impatient):
    with connected(impatient) as connection:
        for _ in range(4):
            connection.sendall(GET)
            assert statuses(read_all(connection, 0.2)) == [200]
            time.sleep(0.8)
        connection.sendall(GET)
        assert 1.8 < seconds_until_closed(connection) < 3.5


def test_a_body_that_does_not_come_times_out(impatient):
    for request in [
        POST + b"Content-Length: 100\r\n\r\n{",
        POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
    ]:
        with connected(impatient) as connection:
            connection.sendall(request)
            begin = time.monotonic()
            answer = read_all(connection, 6)
            assert statuses(answer) == [408]
            assert b'"request_timeout"' in answer
            assert 2.5 < time.monotonic() - begin < 5


def open_connections(server):
    """Returns the number of open connections, with that of this request."""
    told = server.get("/metrics").body.decode()
    return int(re.search(r"^ai_integration_http_connections (\d+)$", told, re.M).group(1))


def test_a_client_that_reads_no_response_is_disconnected(program):
    source = """
        import ai_integration
        while True:
            with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}):
                ai_integration.send_result(
                    {"content-type": "text/plain", "data": "x" * (64 << 20), "success": True})
    """
    with serve(program(source), AI_INTEGRATION_WRITE_TIMEOUT=1) as server:
        with connected(server) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(POST + b'Content-Length: 13\r\n\r\n{"text": "x"}')
            assert open_connections(server) == 2
            eventually(lambda: open_connections(server) == 1, "the stalled one is closed")
        assert len(server.post(text="x").body) == 64 << 20


def test_a_slow_reader_gets_the_whole_response(program):
    source = """
        import ai_integration
        while True:
            with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}):
                ai_integration.send_result(
                    {"content-type": "text/plain", "data": "x" * (40 << 20), "success": True})
    """
    settings = {"AI_INTEGRATION_WRITE_TIMEOUT": 2, "AI_INTEGRATION_IDLE_TIMEOUT": 1}
    with serve(program(source), **settings) as server, connected(server) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
        connection.sendall(POST + b'Content-Length: 13\r\n\r\n{"text": "x"}')
        begin = time.monotonic()
        taken = 0
        while taken < 40 << 20:
            piece = connection.recv(1 << 20)
            assert piece, "it breaks off after %d bytes" % taken
            taken += len(piece)
            # So that all of it takes longer than a connection may be idle.
            time.sleep(max(0, begin + 4 * taken / (40 << 20) - time.monotonic()))
        assert time.monotonic() - begin > 3


def test_connections_over_the_limit_are_turned_away(module_program):
    with serve(module_program, HOST="127.0.0.1", AI_INTEGRATION_MAX_CONNECTIONS=5) as server:
        kept = [connection_to(server) for _ in range(5)]
        time.sleep(0.2)
        answer = exchange(server, GET)
        assert statuses(answer) == [503]
        assert b"retry-after: 1" in answer
        for connection in kept:
            connection.close()
        time.sleep(0.2)
        assert statuses(exchange(server, GET)) == [200]


def test_connections_without_a_request_keep_no_other_client_out(module_program):
    def opened(server, address):
        host, port = re.match(r"https?://([^:]+):(\d+)", server.url).groups()
        return socket.create_connection((host, int(port)), 5, (address, 0))

    with contextlib.ExitStack() as kept:
        settings = {"AI_INTEGRATION_MAX_CONNECTIONS": 20}
        server = kept.enter_context(serve(module_program, HOST="127.0.0.1", **settings))
        for number in range(20):
            connection = opened(server, "127.0.0.%d" % (2 + number % 3))
            kept.enter_context(connection)
            # Silent connections, half heads, and connections that have had a response.
            connection.sendall([b"", GET[:20], GET][number % 3])
        time.sleep(0.2)
        for _ in range(20):
            assert server.post(text="x", timeout=15).status == 200


def test_bodies_share_the_memory_limit(program, tmp_path):
    source = """
        import os
        import time
        import ai_integration
        while True:
            with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
                while not os.path.exists(os.environ["GATE"]):
                    time.sleep(0.01)
                ai_integration.send_result(
                    {"content-type": "text/plain", "data": inputs["text"][:1], "success": True})
    """
    gate = tmp_path / "gate"
    settings = {"AI_INTEGRATION_MAX_IN_FLIGHT": 10 << 20, "GATE": gate}
    with serve(program(source), **settings) as server, ThreadPoolExecutor(6) as pool:
        answers = [pool.submit(server.post, text="x" * (4 << 20)) for _ in range(6)]
        # Those that were taken keep their memory until the gate is open.
        eventually(lambda: sum(map(Future.done, answers)) >= 4, "four are refused")
        refused = [answer.result() for answer in answers if answer.done()]
        assert {answer.status for answer in refused} == {503}
        assert {answer.json()["code"] for answer in refused} == {"queue_full"}
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
        gate.touch()
        assert [answer.result().status for answer in answers].count(200) == 6 - len(refused) >= 1
        assert server.post(text="y" * (4 << 20)).body == b"y"


def test_values_take_up_more_than_their_text(program):
    source = """
        import ai_integration
        while True:
            with ai_integration.get_next_input(inputs_schema={"json": {"type": "json"}}) as inputs:
                ai_integration.send_result(
                    {"content-type": "text/plain", "data": "done", "success": True})
    """
    settings = {"AI_INTEGRATION_MAX_IN_FLIGHT": 20 << 20}
    with serve(program(source), **settings) as server:
        few, many = ("[%s0]" % ("0," * n) for n in (10_000, 200_000))
        for ask in [
            lambda text: server.post(json=text),
            lambda text: server.request(
                "/infer", b'{"json":%s}' % text.encode(), {"Content-Type": "application/json"}
            ),
        ]:
            assert ask(few).body == b"done"
            answer = ask(many)
            assert (answer.status, answer.json()["code"]) == (503, "queue_full"), answer
            assert ask(few).body == b"done"


def peak_memory(pid):
    """Returns the peak memory of a process, in MB."""
    with open("/proc/%d/status" % pid) as file:
        return int(re.search(r"VmHWM:\s*(\d+)", file.read()).group(1)) / 1000


def test_many_values_take_up_little_memory_before_they_are_refused(module_program):
    with serve(module_program, HOST="127.0.0.1") as server:
        lists = b'{"json":[' + b"[[[0]]]," * (5 << 20) + b"0]}"
        members = b'{"a":0' + b',"a":0' * (4 << 20) + b"}"
        for body in [lists, members]:
            begin = time.monotonic()
            answer = server.request("/infer", body, {"Content-Type": "application/json"})
            assert (answer.status, time.monotonic() - begin < 5) == (400, True), answer
        # What the body takes up, and at most a million values.
        assert peak_memory(server.process.pid) < 40 + 250


def test_some_memory_is_kept_for_small_requests(program):
    source = """
        import time
        import ai_integration
        while True:
            with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
                time.sleep(4 if len(inputs["text"]) > 10000000 else 0)
                ai_integration.send_result(
                    {"content-type": "text/plain", "data": "done", "success": True})
    """
    settings = {"AI_INTEGRATION_MAX_IN_FLIGHT": 32 << 20, "AI_INTEGRATION_WORKERS": 2}
    with serve(program(source), HOST="127.0.0.1", **settings) as server:
        large = in_background(server.post, text="x" * (27 << 20))
        # Only this shows that the body has arrived.
        eventually(lambda: server.post(text="x" * (2 << 20)).status == 503, "it is full")
        for _ in range(5):
            assert server.post(text="x" * 1000).status == 200
        assert large().status == 200
        assert server.post(text="x" * (2 << 20)).status == 200


def test_unread_responses_count_for_the_memory_limit(program):
    source = """
        import ai_integration
        while True:
            with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
                size = 20 << 20 if inputs["text"] == "much" else 1
                ai_integration.send_result(
                    {"content-type": "text/plain", "data": "x" * size, "success": True})
    """
    with serve(program(source), AI_INTEGRATION_MAX_IN_FLIGHT=20 << 20) as server:
        with connected(server) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(POST + b'Content-Length: 16\r\n\r\n{"text": "much"}')
            eventually(lambda: server.post(text="little").status == 503, "it is full")
        eventually(lambda: server.post(text="little").status == 200, "there is room again")


def test_a_body_that_cannot_come_in_time_times_out_early(module_program):
    settings = {"AI_INTEGRATION_UPLOAD_TIMEOUT": 60}
    with serve(module_program, HOST="127.0.0.1", **settings) as server, connected(server) as slow:
        slow.sendall(POST + b"Content-Length: %d\r\n\r\n{" % (60 << 20))
        begin = time.monotonic()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while time.monotonic() - begin < 15 and not read_all(slow, 0.01):
                # Ten times the least rate, but far too slow for the upload timeout.
                slow.sendall(b" " * 1000)
                time.sleep(0.08)
        assert 9 < time.monotonic() - begin < 13


def test_the_timeout_of_a_request_begins_before_the_model_is_ready(program):
    source = """
        import time
        import ai_integration
        time.sleep(4)
        while True:
            with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
                ai_integration.send_result(
                    {"content-type": "text/plain", "data": inputs["text"], "success": True})
    """
    with serve(program(source), ready=False) as server:
        server.wait_for_output("listening on")
        begin = time.monotonic()
        answer = server.post(text="x", headers={"AI-Integration-Timeout": "0.5"})
        assert (answer.status, answer.json()["code"]) == (504, "timeout")
        assert time.monotonic() - begin < 2
        assert server.post(text="x").body == b"x"


def test_retry_after_is_the_time_of_the_queue(program):
    source = """
        import time
        import ai_integration
        while True:
            with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}):
                time.sleep(0.5)
                ai_integration.send_result(
                    {"content-type": "text/plain", "data": "", "success": True})
    """
    with serve(program(source), AI_INTEGRATION_QUEUE=6) as server:
        assert server.post(text="x").status == 200
        waiting = [in_background(server.post, text="x") for _ in range(7)]
        time.sleep(0.3)
        begin = time.monotonic()
        refused = server.post(text="x")
        assert time.monotonic() - begin < 0.05
        assert refused.status == 503
        assert 3 <= int(refused.headers["Retry-After"]) <= 5
        assert [answer().status for answer in waiting] == [200] * 7


def test_ten_thousand_idle_connections_cost_little(module_program):
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 12_000:
        pytest.skip("this machine allows a process only %d open files" % hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with serve(module_program, HOST="127.0.0.1", AI_INTEGRATION_HEAD_TIMEOUT=60) as server:
        before = memory(server.process.pid)
        kept = []
        try:
            for _ in range(9_900):
                kept.append(connection_to(server))
            begin = time.monotonic()
            assert server.get("/healthz").status == 200
            assert time.monotonic() - begin < 0.5
            grown = memory(server.process.pid) - before
            assert grown < 100, "%d MiB" % grown
        finally:
            for connection in kept:
                connection.close()
        assert server.post(text="x").status == 200
