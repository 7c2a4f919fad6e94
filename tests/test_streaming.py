"""Streams arrive at once, run side by side, and do not slow other requests down."""

import base64
import fcntl
import hashlib
import http.client
import json
import os
import pty
import selectors
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support import alive, children, environment, eventually, in_background, memory, serve, started

CLIENT = Path(__file__).with_name("stream_client.mjs")
EVENTS = {"Accept": "text/event-stream"}

# Each text makes the model do something else.
MODEL = """
    import os, time
    import ai_integration

    def clock():
        for _ in range(25):
            time.sleep(0.01)
            yield "%.6f\\n" % time.time()

    def flood():
        for _ in range(1024):
            yield b"x" * 65536

    def endless():
        try:
            while True:
                time.sleep(0.01)
                yield "more\\n"
        finally:
            with open("ended", "a") as file:
                file.write("%d\\n" % os.getpid())

    STREAMS = {"clock": clock, "flood": flood, "endless": endless}

    while True:
        with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
            text = inputs["text"]
            if text == "steps":
                for step in range(5):
                    ai_integration.progress(step / 4, "step %d" % step)
                    ai_integration.send_chunk("%d " % step)
                    time.sleep(0.4)
                ai_integration.send_result({"success": True, "content-type": "text/plain"})
                continue
            data = STREAMS[text]() if text in STREAMS else text
            ai_integration.send_result(
                {"content-type": "text/plain", "data": data, "success": True}
            )
"""


def open_stream(server, text, **headers):
    """Sends a request. Returns the connection, and the response before its body is read."""
    address = urlsplit(server.url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    headers = {"Content-Type": "application/json", **headers}
    connection.request("POST", "/infer", json.dumps({"text": text}), headers)
    answer = connection.getresponse()
    assert answer.status == 200
    return connection, answer


def events(body):
    """The events of a stream: pairs of a name and the data."""
    found = []
    for block in body.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
        if fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


@pytest.mark.parametrize("headers", [{}, EVENTS], ids=["chunked", "events"])
def test_a_chunk_is_sent_within_5_ms(program, headers):
    with serve(program(MODEL)) as server:
        _, answer = open_stream(server, "clock", **headers)
        delays = []
        for line in answer:
            now = time.time()
            text = line.decode().strip()
            if headers:
                if not text.startswith("data: "):
                    continue
                text = json.loads(text[len("data: ") :]).get("text", "").strip()
            if text:
                delays.append(now - float(text))
        assert len(delays) == 25
        assert statistics.median(delays) < 0.005, delays


def test_200_streams_at_once(program):
    source = """
        import ai_integration

        def count(name):
            for number in range(20):
                yield "%s-%d " % (name, number)

        while True:
            with ai_integration.get_next_inputs(
                inputs_schema={"text": {"type": "text"}}, max_batch_size=200, max_wait_ms=2000
            ) as batch:
                ai_integration.send_results(
                    [
                        {"content-type": "text/plain", "data": count(i["text"]), "success": True}
                        for i in batch
                    ]
                )
    """
    with serve(program(source)) as server:
        address = urlsplit(server.url)
        waiting = selectors.DefaultSelector()
        for number in range(200):
            body = json.dumps({"text": str(number)}).encode()
            connection = socket.create_connection((address.hostname, address.port))
            connection.sendall(
                b"POST /infer HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nConnection: close"
                b"\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                % (len(body), body)
            )
            waiting.register(connection, selectors.EVENT_READ, [number, b""])
        complete = {}
        deadline = time.monotonic() + 30
        while waiting.get_map():
            assert time.monotonic() < deadline, "%d streams did not end" % len(waiting.get_map())
            for key, _ in waiting.select(1):
                piece = key.fileobj.recv(65536)
                key.data[1] += piece
                if not piece:
                    waiting.unregister(key.fileobj)
                    key.fileobj.close()
                    complete[key.data[0]] = key.data[1].decode()
    for number, received in complete.items():
        lines = [line for line in received.split("\n") if line.startswith("data: ")]
        text = "".join(json.loads(line[len("data: ") :]).get("text", "") for line in lines)
        assert text == "".join("%d-%d " % (number, step) for step in range(20))
        assert "event: result" in received
    assert len(complete) == 200


def test_a_stalled_reader_costs_little_memory_and_delays_no_other(program):
    with serve(program(MODEL), AI_INTEGRATION_WORKERS=2) as server:
        for _ in range(20):
            server.post(text="warm")
        before = memory(server.process.pid)
        connection, _ = open_stream(server, "flood")
        begin = time.monotonic()
        for number in range(100):
            assert server.post(text=str(number)).body == b"%d" % number
        assert time.monotonic() - begin < 5
        assert memory(server.process.pid) < before + 16
        connection.close()


def test_a_stalled_reader_blocks_the_worker_only_for_a_while(program):
    with serve(program(MODEL)) as server:
        connection, _ = open_stream(server, "flood")
        begin = time.monotonic()
        assert server.post(text="next").body == b"next"
        assert time.monotonic() - begin < 20
        connection.close()


def test_a_slow_reader_gets_everything(program):
    with serve(program(MODEL)) as server:
        _, answer = open_stream(server, "flood")
        received = 0
        while True:
            piece = answer.read(4 << 20)
            received += len(piece)
            if not piece:
                break
            time.sleep(0.05)
        assert received == 1024 * 65536


@pytest.mark.parametrize("headers", [{}, EVENTS], ids=["chunked", "events"])
def test_a_reader_that_disconnects_frees_the_worker(program, tmp_path, headers):
    with serve(program(MODEL), cwd=tmp_path) as server:
        connection, answer = open_stream(server, "endless", **headers)
        answer.read(5)
        # The socket lives as long as the response object.
        answer.close()
        connection.close()
        begin = time.monotonic()
        assert server.post(text="next").body == b"next"
        assert time.monotonic() - begin < 1
        assert len((tmp_path / "ended").read_text().split()) == 1


def test_a_request_whose_client_leaves_while_it_waits_never_reaches_the_model(program, tmp_path):
    source = """
        import os, time
        import ai_integration

        while True:
            with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
                with open("seen", "a") as file:
                    file.write(inputs["text"] + "\\n")
                while inputs["text"] == "busy" and not os.path.exists("release"):
                    time.sleep(0.005)
                ai_integration.send_result(
                    {"content-type": "text/plain", "data": inputs["text"], "success": True}
                )
    """
    with serve(program(source), cwd=tmp_path) as server:
        seen = tmp_path / "seen"
        busy = in_background(server.post, text="busy")
        eventually(seen.exists, "the model is busy")
        address = urlsplit(server.url)
        leaving = http.client.HTTPConnection(address.hostname, address.port)
        leaving.request("POST", "/infer", '{"text": "gone"}', {"Content-Type": "application/json"})
        last = in_background(server.post, text="last")
        time.sleep(0.3)
        leaving.close()
        time.sleep(0.3)
        (tmp_path / "release").touch()
        assert busy().body == b"busy"
        assert last().body == b"last"
        assert seen.read_text().split() == ["busy", "last"]


def test_events_report_all_steps_in_order(program):
    with serve(program(MODEL)) as server:
        _, answer = open_stream(server, "steps", **EVENTS)
        assert answer.headers["content-type"] == "text/event-stream"
        told = events(answer.read().decode())
        # The model may still be loading.
        told = [(name, data) for name, data in told if name != "queued"]
        assert told[0] == ("started", {})
        assert [data["fraction"] for name, data in told if name == "progress"] == [
            0.0,
            0.25,
            0.5,
            0.75,
            1.0,
        ]
        assert "".join(data["text"] for name, data in told if name == "chunk") == "0 1 2 3 4 "
        assert told[-1] == ("result", {"content_type": "text/plain"})


def test_events_report_the_place_in_the_queue(program, tmp_path):
    with serve(program(MODEL), cwd=tmp_path) as server:
        assert server.post(text="ready").body == b"ready"
        ahead = [open_stream(server, "endless", **EVENTS) for _ in range(3)]
        _, answer = open_stream(server, "last", **EVENTS)
        # The clients ahead leave one after the other, each when its request has begun.
        for connection, stream in ahead:
            while b"started" not in stream.readline():
                pass
            time.sleep(0.7)
            stream.close()
            connection.close()
        told = events(answer.read().decode())
        places = [data["position"] for name, data in told if name == "queued"]
        assert places == [2, 1, 0], told
        names = [name for name, _ in told]
        assert names[-2:] == ["started", "result"], told


@pytest.mark.parametrize("accept", ["", "events"], ids=["chunked", "events"])
def test_a_page_reads_a_stream_as_it_comes(program, tmp_path, accept):
    with serve(program(MODEL), cwd=tmp_path) as server:
        page = [shutil.which("node"), str(CLIENT), server.url + "/infer"]
        done = subprocess.run([*page, "steps", accept], capture_output=True, timeout=30, check=True)
        pieces = [json.loads(line) for line in done.stdout.splitlines()]
        assert pieces[-1][0] - pieces[0][0] > 1, "it all came at once: %r" % pieces
        whole = "".join(text for _, text in pieces)
        if accept:
            whole = "".join(data["text"] for name, data in events(whole) if name == "chunk")
        assert whole == "0 1 2 3 4 "
        # And breaks one off in the middle.
        done = subprocess.run(
            [*page, "endless", accept, "3"], capture_output=True, timeout=30, check=True
        )
        assert json.loads(done.stdout.splitlines()[-1])[1] == "aborted"
        begin = time.monotonic()
        assert server.post(text="next").body == b"next"
        assert time.monotonic() - begin < 1


def test_the_command_line_prints_chunks_as_they_come(program):
    command = [sys.executable, str(program(MODEL)), "--text", "steps"]
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        times = []
        while os.read(process.stdout.fileno(), 100):
            times.append(time.monotonic())
        assert process.wait(30) == 0
    assert len(times) >= 5
    assert times[-1] - times[0] > 1


def test_the_command_line_shows_how_far_the_model_is(program):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    command = [sys.executable, str(program(MODEL)), "--text", "steps"]
    with subprocess.Popen(
        command, env=environment(TERM="xterm"), stdout=subprocess.DEVNULL, stderr=theirs
    ) as process:
        os.close(theirs)
        shown = []

        def read():
            try:
                while True:
                    shown.append(os.read(ours, 4096))
            except OSError:
                # The other end of the terminal is closed.
                pass

        reader = threading.Thread(target=read)
        reader.start()
        assert process.wait(30) == 0
        reader.join(10)
        os.close(ours)
    text = b"".join(shown).decode(errors="replace")
    assert "step 3" in text
    assert "75 %" in text


# The streams are interleaved: no last chunk comes before the test has all first chunks.
IN_TURN = """
    import os, time
    import ai_integration

    def count(name):
        for number in range(5):
            yield "%s-%d " % (name, number)
        while not os.path.exists("release"):
            time.sleep(0.005)
        yield name + "-last"

    while True:
        with ai_integration.get_next_inputs(
            inputs_schema={"text": {"type": "text"}}, max_batch_size=200, max_wait_ms=2000
        ) as batch:
            texts = [inputs["text"] for inputs in batch]
            while texts == ["hold"] and not os.path.exists("begin"):
                open("held", "w").close()
                time.sleep(0.005)
            ai_integration.send_results(
                [
                    {"content-type": "text/plain", "data": count(text), "success": True}
                    if text != "hold"
                    else {"content-type": "text/plain", "data": text, "success": True}
                    for text in texts
                ]
            )
            with open("batches", "a") as file:
                file.write("%d\\n" % len(texts))
"""


def test_200_streams_have_all_begun_before_any_of_them_ends(program, tmp_path):
    with serve(program(IN_TURN), cwd=tmp_path) as server, selectors.DefaultSelector() as waiting:
        held = in_background(server.post, text="hold")
        eventually((tmp_path / "held").exists, "the model is busy")
        address = urlsplit(server.url)
        received = {}
        for number in range(200):
            body = json.dumps({"text": str(number)}).encode()
            connection = socket.create_connection((address.hostname, address.port))
            connection.sendall(
                b"POST /infer HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nConnection: close"
                b"\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                % (len(body), body)
            )
            waiting.register(connection, selectors.EVENT_READ, number)
            received[number] = b""

        def read_until(reached, what):
            deadline = time.monotonic() + 20
            while waiting.get_map() and not all(map(reached, received)):
                assert time.monotonic() < deadline, "%s: %d of 200" % (
                    what,
                    sum(map(reached, received)),
                )
                for key, _ in waiting.select(0.1):
                    piece = key.fileobj.recv(65536)
                    received[key.data] += piece
                    if not piece:
                        waiting.unregister(key.fileobj)
                        key.fileobj.close()

        # A client with `Accept: text/event-stream` gets the head of the response as soon as its
        # request is in the queue.
        read_until(lambda number: b"\r\n\r\n" in received[number], "streams open")
        (tmp_path / "begin").touch()
        assert held().body == b"hold"
        read_until(lambda number: b"%d-0 " % number in received[number], "first pieces")
        assert not any(b"last" in body or b"event: result" in body for body in received.values())
        (tmp_path / "release").touch()
        read_until(lambda number: b"event: result" in received[number], "ends")
        for number, body in received.items():
            lines = [line for line in body.decode().split("\n") if line.startswith("data: ")]
            pieces = [json.loads(line[len("data: ") :]).get("text", "") for line in lines]
            whole = "".join("%d-%d " % (number, step) for step in range(5)) + "%d-last" % number
            assert "".join(pieces) == whole
        assert (tmp_path / "batches").read_text().split() == ["1", "200"]


# Writes its progress into a file, which shows when the model waits.
COUNTED = """
    import hashlib, os
    import ai_integration

    def pieces(count):
        for number in range(count):
            with open("sent.new", "w") as file:
                file.write(str(number + 1))
            os.rename("sent.new", "sent")
            yield hashlib.sha256(b"%d" % number).digest() * 2048

    while True:
        with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
            text = inputs["text"]
            data = pieces(int(text)) if text.isdigit() else text
            kind = "application/octet-stream"
            ai_integration.send_result({"content-type": kind, "data": data, "success": True})
"""


def standstill(tmp_path):
    """Waits until the model sends no more chunks, and returns their number."""
    sent = tmp_path / "sent"
    eventually(sent.exists, "the first piece")
    last = [None, time.monotonic()]

    def same():
        now = int(sent.read_text())
        if now != last[0]:
            last[:] = [now, time.monotonic()]
        return time.monotonic() - last[1] > 0.5

    eventually(same, "the model waits for the reader")
    return last[0]


@pytest.mark.parametrize("headers", [{}, EVENTS], ids=["chunked", "events"])
def test_a_model_waits_for_a_stalled_reader(program, tmp_path, headers):
    with serve(program(COUNTED), cwd=tmp_path, AI_INTEGRATION_WORKERS=2) as server:
        for _ in range(20):
            server.post(text="warm")
        before = memory(server.process.pid)
        connection, answer = open_stream(server, "1024", **headers)
        # Waits until the server takes no more chunks, so that its buffers are full when measured.
        assert standstill(tmp_path) < 1024
        assert memory(server.process.pid) < before + 16
        for number in range(100):
            assert server.post(text="n%d" % number).body == b"n%d" % number
        assert memory(server.process.pid) < before + 16
        answer.close()
        connection.close()


@pytest.mark.parametrize("headers", [{}, EVENTS], ids=["chunked", "events"])
def test_a_slow_reader_gets_every_byte(program, tmp_path, headers):
    with serve(program(COUNTED), cwd=tmp_path) as server:
        _, answer = open_stream(server, "256", **headers)
        body = b""
        while True:
            piece = answer.read(1 << 20)
            if not piece:
                break
            body += piece
            time.sleep(0.02)
        if headers:
            told = events(body.decode())
            assert [name for name, _ in told] == ["started", *["chunk"] * 256, "result"]
            body = b"".join(base64.b64decode(data["base64"]) for _, data in told[1:-1])
        whole = (hashlib.sha256(b"%d" % number).digest() * 2048 for number in range(256))
        assert body == b"".join(whole)


def test_the_last_event_of_a_stream_that_fails_is_the_error(program, tmp_path):
    source = """
        import os, time
        import ai_integration

        while True:
            with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}):
                ai_integration.progress(0.5, "half")
                ai_integration.send_chunk("begun")
                while not os.path.exists("fail"):
                    time.sleep(0.005)
                ai_integration.send_result({"success": False, "error": "out of paint"})
    """
    with serve(program(source), cwd=tmp_path) as server:
        # A response without events breaks off, so no client takes it for complete.
        _, answer = open_stream(server, "x")
        assert answer.read(5) == b"begun"
        (tmp_path / "fail").touch()
        with pytest.raises(http.client.IncompleteRead):
            answer.read()
        _, answer = open_stream(server, "x", **EVENTS)
        told = events(answer.read().decode())
        assert [name for name, _ in told] == ["started", "progress", "chunk", "error"]
        assert told[-1][1]["code"] == "model_failed"
        assert told[-1][1]["detail"] == "out of paint"


ENDINGS = """
    import os, time
    import ai_integration

    def wait_for_reader():
        while not os.path.exists("read"):
            time.sleep(0.005)

    def fails():
        yield "begun"
        wait_for_reader()
        raise ValueError("out of paint")

    def flood():
        for _ in range(256):
            yield b"x" * 65536

    STREAMS = {"fails": fails, "flood": flood}

    while True:
        with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
            text = inputs["text"]
            if text in STREAMS:
                answer = {"content-type": "text/plain", "data": STREAMS[text](), "success": True}
                ai_integration.send_result(answer)
                continue
            ai_integration.send_chunk("begun")
            while text == "waits":
                ai_integration.send_chunk("more")
            if text != "ends":
                wait_for_reader()
            if text == "dies":
                os._exit(1)
            if text == "reports":
                ai_integration.send_result({"success": False, "error": "out of paint"})
            else:
                ai_integration.send_result({"success": True, "content-type": "text/plain"})
"""


AT_ONCE = """
    import time
    import ai_integration

    def failing(pieces, pause):
        for _ in range(pieces):
            yield "piece "
        time.sleep(pause)
        raise ValueError("out of paint")

    STREAMS = {
        "values": lambda: iter([1, float("nan")]),
        "one": lambda: failing(1, 0),
        "several": lambda: failing(20, 0),
        "many": lambda: failing(2000, 0),
        "soon": lambda: failing(1, 0.002),
    }

    while True:
        with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
            kind = "application/json" if inputs["text"] == "values" else "text/plain"
            data = STREAMS[inputs["text"]]()
            ai_integration.send_result({"content-type": kind, "data": data, "success": True})
"""


@pytest.mark.parametrize("text", ["values", "one", "several", "many", "soon"])
def test_a_stream_that_fails_at_once_is_a_failure_or_breaks_off_after_its_begin(program, text):
    begin = b"1\n" if text == "values" else b"piece "
    said = "NaN" if text == "values" else "out of paint"
    with serve(program(AT_ONCE)) as server:
        for _ in range(20):
            try:
                answer = server.post(text=text)
            except http.client.IncompleteRead as broken:
                came = broken.partial
            else:
                # No part of the response had been sent yet.
                assert answer.status == 500
                assert said in answer.json()["detail"]
                continue
            assert came.startswith(begin)


def old_stream(server, text, *headers):
    """Sends a request in HTTP/1.0, whose response is not chunked, and returns the socket."""
    address = urlsplit(server.url)
    client = socket.create_connection((address.hostname, address.port), timeout=60)
    body = json.dumps({"text": text})
    head = ["POST /infer HTTP/1.0", "Host: localhost", "Content-Type: application/json", *headers]
    head.append("Content-Length: %d" % len(body))
    client.sendall(("\r\n".join(head) + "\r\n\r\n" + body).encode())
    return client


def read_to_the_end(client):
    pieces = []
    while piece := client.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


@pytest.mark.parametrize("text", ["fails", "reports", "dies"])
@pytest.mark.parametrize("headers", [[], ["Connection: keep-alive"]])
def test_a_stream_that_fails_resets_the_connection_of_a_client_without_chunks(
    program, tmp_path, text, headers
):
    path = program(ENDINGS)
    with serve(path, cwd=tmp_path) as server, old_stream(server, text, *headers) as client:
        assert client.recv(100)
        (tmp_path / "read").touch()
        with pytest.raises(ConnectionResetError):
            read_to_the_end(client)


def test_a_stream_whose_server_is_killed_resets_the_connection_of_such_a_client(program):
    with serve(program(ENDINGS)) as server, old_stream(server, "waits") as client:
        assert client.recv(100)
        server.process.kill()
        with pytest.raises(ConnectionResetError):
            read_to_the_end(client)


@pytest.mark.parametrize("headers", [[], ["Connection: keep-alive"]])
def test_a_whole_stream_closes_the_connection_of_such_a_client_normally(program, tmp_path, headers):
    (tmp_path / "read").touch()
    with serve(program(ENDINGS), cwd=tmp_path) as server:
        with old_stream(server, "ends", *headers) as client:
            assert read_to_the_end(client).endswith(b"\r\n\r\nbegun")
        with old_stream(server, "flood", *headers) as client:
            # By now the server has written everything. Much of it is still in the socket's buffer.
            time.sleep(0.5)
            assert len(read_to_the_end(client).partition(b"\r\n\r\n")[2]) == 256 * 65536
        with old_stream(server, "fails", "Accept: text/event-stream") as client:
            told = events(read_to_the_end(client).partition(b"\r\n\r\n")[2].decode())
            assert told[-1][0] == "error"


def test_the_command_line_prints_a_chunk_within_5_ms(program):
    with started([sys.executable, program(MODEL), "--text", "clock"], bufsize=0) as process:
        in_background(process.stderr.read)
        delays = []
        for line in process.stdout:
            delays.append(time.time() - float(line))
        assert process.wait(30) == 0
    assert len(delays) == 25
    assert statistics.median(delays) < 0.005, delays


def test_a_stalled_pipe_costs_the_command_line_little_memory(program, tmp_path):
    command = [sys.executable, program(COUNTED), "--text", "1024"]
    with started(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        assert standstill(tmp_path) < 1024
        pids = [process.pid, *children(process.pid)]
        # The engine and the model, with all that they hold from the start.
        assert sum(map(memory, pids)) < 64 + 16
        body = process.stdout.read()
        assert process.wait(30) == 0
    whole = (hashlib.sha256(b"%d" % number).digest() * 2048 for number in range(1024))
    assert body == b"".join(whole)


def test_an_interrupt_ends_a_stream_on_the_command_line(program, tmp_path):
    command = [sys.executable, program(MODEL), "--text", "endless"]
    with started(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        assert process.stdout.readline() == b"more\n"
        pids = [process.pid, *children(process.pid)]
        assert len(pids) > 1
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(15) != 0
        eventually(lambda: not any(map(alive, pids)), "nothing is left of it")


def test_a_closed_pipe_ends_the_command_line(program, tmp_path):
    command = [sys.executable, program(MODEL), "--text", "endless"]
    with started(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        assert process.stdout.readline() == b"more\n"
        process.stdout.close()
        assert process.wait(15) != 0
    assert (tmp_path / "ended").exists()
