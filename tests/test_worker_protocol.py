"""Malformed frames, in both directions: neither the engine nor the Python client is at a loss."""

import array
import base64
import json
import os
import random
import re
import socket
import stat
import struct
import subprocess
import sys
import textwrap
import time

import pytest
from load import Load, payload
from support import (
    BINARY,
    PYTHON,
    TIMEOUT,
    descriptors,
    environment,
    eventually,
    in_background,
    memory,
    run,
    serve,
)

RUN = [BINARY, "run"]
STREAM = {"Accept": "text/event-stream"}

# A worker by hand: a text that begins with `!` chooses its reply.
WORKER = """\
    #!{python}
    import array, json, os, random, socket, struct, tempfile, time

    link = socket.socket(fileno=int(os.environ.pop("AI_INTEGRATION_LINK")))

    def exactly(size):
        data = b""
        while len(data) < size:
            piece = link.recv(size - len(data))
            if not piece:
                os._exit(0)
            data += piece
        return data

    def frame(header, body=b""):
        head = json.dumps(header).encode()
        return struct.pack(">II", len(head), len(body)) + head + body

    def send_with(files, data):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))]
        link.sendmsg([data], rights if files else [])

    def memory(size):
        number = os.memfd_create("x", os.MFD_ALLOW_SEALING)
        os.ftruncate(number, size)
        return number

    def sealed(size):
        import fcntl
        number = memory(size)
        fcntl.fcntl(number, 1033, 1 | 2 | 4 | 8)
        return number

    def mutated(data, seed):
        chance = random.Random(seed)
        data = bytearray(data)
        for _ in range(chance.choice([1, 1, 2, 5])):
            at = chance.randrange(len(data))
            way = chance.randrange(4)
            if way == 0:
                data[at] ^= 1 << chance.randrange(8)
            elif way == 1:
                del data[at:at + chance.randint(1, 8)]
            elif way == 2:
                data[at:at] = chance.randbytes(chance.randint(1, 8))
            else:
                del data[at:]
            data = data or bytearray(b"x")
        return bytes(data)

    def result(number, **more):
        return dict(type="result", id=number, success=True, content_type="text/plain", **more)

    link.sendall(frame({{"type": "ready", "protocol": 1, "client": "by hand", "shared_memory": True,
                         "concurrency": json.loads(os.environ.get("CONCURRENCY", "null")),
                         "inputs_schema": {{"text": {{"type": "text"}}}}}}))
    while True:
        head, body = struct.unpack(">II", exactly(8))
        job, body = json.loads(exactly(head)), exactly(body)
        if job["type"] != "job":
            continue
        number, text = job["id"], body.decode()
        link.sendall(frame({{"type": "start", "id": number}}))
        right = frame(result(number, data="text"), body)
        way, _, rest = text[1:].partition(" ")
        if text[0] != "!":
            link.sendall(right)
            continue
        elif way in ("type", "chunk"):
            rest = eval(rest)
            if way == "chunk":
                piece = dict(type="chunk", id=number, data="text", content_type=rest)
                link.sendall(frame(piece, b"piece"))
                rest = None
            link.sendall(frame(dict(result(number), content_type=rest)))
            continue
        elif way == "list":
            parts, body = eval(rest)
            listed = dict(result(number, data="list", parts=parts), content_type="image/png")
            link.sendall(frame(listed, body))
            continue
        elif way == "unfit":
            refused = dict(result(number), success=False, error="in short", fields=eval(rest))
            link.sendall(frame(refused))
            continue
        elif way == "leave":
            link.sendall(right)
        elif way == "again":
            link.sendall(frame({{"type": "start", "id": number}}))
        elif way == "other-result":
            link.sendall(frame(result(number + 1000, data="text"), body))
        elif way == "other-start":
            link.sendall(frame({{"type": "start", "id": number + 1000}}))
        elif way == "other-chunk":
            link.sendall(frame({{"type": "chunk", "id": number + 1000, "data": "text"}}, b"x"))
        elif way == "twice":
            link.sendall(right + right)
        elif way == "late":
            link.sendall(right + frame({{"type": "chunk", "id": number, "data": "text"}}, b"x"))
        elif way == "mutate":
            link.sendall(mutated(right, int(rest)))
        elif way == "cut":
            link.sendall(right[:int(rest)])
        elif way == "random":
            link.sendall(random.Random(int(rest)).randbytes(200))
        elif way == "unannounced":
            send_with([sealed(8)] * int(rest), right)
        elif way == "missing":
            link.sendall(frame(result(number, data="bytes", shared=1000)))
        elif way == "shorter":
            send_with([sealed(8)], frame(result(number, data="bytes", shared=1000)))
        elif way == "longer":
            send_with([sealed(1000)], frame(result(number, data="bytes", shared=8)))
        elif way == "unsealed":
            send_with([memory(1000)], frame(result(number, data="bytes", shared=1000)))
        elif way == "pipe":
            send_with([os.pipe()[0]], frame(result(number, data="bytes", shared=1000)))
        elif way == "folder":
            send_with([os.open("/", os.O_RDONLY)], frame(result(number, data="bytes", shared=1)))
        elif way == "file":
            send_with([tempfile.TemporaryFile().fileno()],
                      frame(result(number, data="bytes", shared=0)))
        elif way == "both":
            send_with([sealed(8)], frame(result(number, data="bytes", shared=8), b"12345678"))
        elif way == "negative":
            send_with([sealed(8)], frame(result(number, data="bytes", shared=-8)))
        elif way == "huge":
            send_with([sealed(8)], frame(result(number, data="bytes", shared=1 << 62)))
        elif way == "text":
            send_with([sealed(8)], frame(result(number, data="bytes", shared="8")))
        # The worker sends nothing more.
        link.shutdown(socket.SHUT_WR)
        time.sleep(float(rest) if way == "leave" else 0.1)
        os._exit(0)
"""
FRAME = len('12345678{"type":"result","id":7,"success":true,"content_type":"text/plain"}')
# The lengths of a list's members, and its body.
WRONG_LISTS = [
    (None, b"xy"),
    ([], b""),
    ([2], b"xy"),
    ([1, 2], b"xy"),
    ([1, 0], b"xy"),
    ([3, -1], b"xy"),
    ([1, 1.0], b"xy"),
    ([1, "1"], b"xy"),
    ([1 << 63, 1 << 63, 2], b"xy"),
    ([0] * 1001, b""),
    ({"1": 1}, b"xy"),
]
WRONG = [
    *("!missing", "!shorter", "!longer", "!unsealed", "!pipe", "!folder", "!file", "!both"),
    *("!negative", "!huge", "!text", "!unannounced 1", "!unannounced 64"),
    *("!again", "!other-result", "!other-start", "!other-chunk", "!twice", "!late"),
    *("!list %r" % (parts,) for parts in WRONG_LISTS),
    *("!unfit %r" % (fields,) for fields in (["text"], [{"name": "text"}], 1, {"text": "wrong"})),
    *("!cut %d" % length for length in range(0, FRAME, 7)),
    *("!random %d" % seed for seed in range(30)),
    *("!mutate %d" % seed for seed in range(100)),
]


@pytest.fixture
def worker(tmp_path):
    path = tmp_path / "model"
    path.write_text(textwrap.dedent(WORKER).format(python=sys.executable))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="memory files are Linux's")
@pytest.mark.parametrize("concurrency", [None, 8])
def test_the_engine_takes_anything_from_a_worker(worker, concurrency):
    settings = {
        "AI_INTEGRATION_WORKERS": 3,
        "AI_INTEGRATION_START_ATTEMPTS": 1000,
        "CONCURRENCY": concurrency,
    }
    with serve(worker, command=RUN, HOST="127.0.0.1", **settings) as server:
        eventually(lambda: server.get("/readyz").json().get("workers") == 3, "all workers")
        engine = server.process.pid
        before = descriptors(engine), memory(engine)
        load = Load(server, (payload(number) for number in range(3000)), 2)
        others = in_background(load.run)
        refused = 0
        for text in WRONG:
            begin = time.monotonic()
            answer = server.post(text=text)
            assert time.monotonic() - begin < 3, text
            # Some of what chance makes of a result is one too.
            may_be_right = text.startswith(("!mutate", "!cut", "!unannounced", "!twice", "!late"))
            assert answer.status in ((200, 500) if may_be_right else (500,)), (text, answer)
            if answer.status == 500:
                assert answer.json()["code"] in ("model_crashed", "model_failed"), (text, answer)
                refused += 1
        others()
        assert (load.right, load.crashed, load.wrong) == (3000, [], [])
        assert refused > len(WRONG) * 0.7
        eventually(lambda: server.get("/readyz").json().get("workers") == 3, "all workers")
        eventually(lambda: descriptors(engine) <= before[0] + 2, "the descriptors of before")
        assert memory(engine) < before[1] + 10


def test_a_worker_refuses_inputs_in_the_clients_terms(worker):
    with serve(worker, command=RUN, HOST="127.0.0.1") as server:
        fields = [{"name": "text", "message": "expected a poem, got prose"}] * 2
        answer = server.post(text="!unfit %r" % (fields,))
        assert answer.status == 422, answer
        problem = answer.json()
        assert (problem["code"], problem["errors"]) == ("invalid_input", fields)
        assert problem["detail"] == "; ".join(["text: expected a poem, got prose"] * 2)
        # Without one it is a failure like any other.
        answer = server.post(text="!unfit []")
        assert (answer.status, answer.json()["detail"]) == (500, "in short")
        assert server.post(text="fine").body == b"fine"
        metrics = server.get("/metrics").body.decode()
        assert 'ai_integration_jobs_total{outcome="invalid_input"} 1' in metrics
        assert 'ai_integration_jobs_total{outcome="failed"} 1' in metrics


def test_a_list_is_cut_as_its_lengths_say(worker):
    with serve(worker, command=RUN, HOST="127.0.0.1") as server:
        for parts, body in [([1, 2], b"abc"), ([0, 3, 0], b"abc"), ([1] * 1000, b"x" * 1000)]:
            answer = server.post(text="!list %r" % ((parts, body),))
            assert (answer.status, answer.type) == (200, "application/json"), answer
            got = [base64.b64decode(url.partition(",")[2]) for url in answer.json()]
            assert [len(member) for member in got] == parts
            assert b"".join(got) == body
        assert "ended" not in server.output()


def test_a_worker_without_a_link_gets_nothing_more(worker):
    with serve(worker, command=RUN, HOST="127.0.0.1", AI_INTEGRATION_WORKERS=2) as server:
        eventually(lambda: server.get("/readyz").json().get("workers") == 2, "both workers")
        begin = time.monotonic()
        assert server.post(text="!leave 2").status == 200
        for number in range(20):
            assert server.post(text=str(number)).body == b"%d" % number
        assert time.monotonic() - begin < 1
        eventually(lambda: server.get("/readyz").json().get("workers") == 2, "both workers")


# What no header of HTTP can carry, or no reader would keep; and what just goes through.
UNFIT = [
    r"'text/plain\r\nSet-Cookie: a=b'",
    r"'a\0b'",
    r"'image/\x7f'",
    "'x' * 1025",
    "'x' * 500_000",
]
FIT = ["'x' * 1024", r"'text/plain;\tcharset=utf-8'"]


@pytest.mark.parametrize("way", ["type", "chunk"])
def test_a_content_type_that_cannot_be_passed_on_is_the_models_error(worker, way):
    with serve(worker, command=RUN, HOST="127.0.0.1") as server:
        for kind in UNFIT:
            for path, headers in [("/infer", {}), ("/", {}), ("/infer", STREAM)]:
                answer = server.post(path, headers, text="!%s %s" % (way, kind))
                assert "Set-Cookie" not in answer.headers
                told = answer.body.decode()
                assert "content type" in told, (path, answer)
                assert len(told) < 1000
                if path == "/infer" and not headers:
                    assert (answer.status, answer.json()["code"]) == (500, "model_failed")
        for kind in FIT:
            answer = server.post(text="!%s %s" % (way, kind))
            assert (answer.status, answer.headers["Content-Type"]) == (200, eval(kind))
        # The same worker has gone through all of it.
        assert "ended" not in server.output()
    done = run(worker, "--text", "!%s %s" % (way, UNFIT[3]), command=RUN, mode="command_line")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"content type" in done.stderr


def test_an_input_whose_name_has_a_control_character_is_refused_at_the_start(worker):
    path = worker.with_name("named")
    for name, escaped in [(r"a\0b", r"a\0b"), (r"a\nb", r"a\nb"), (r"\x7f", r"\u{7f}")]:
        path.write_text(worker.read_text().replace('{"text": {"type"', '{"%s": {"type"' % name))
        path.chmod(worker.stat().st_mode)
        for mode in ["command_line", "http"]:
            settings = {"PORT": 0, "AI_INTEGRATION_START_ATTEMPTS": 1}
            done = run(path, command=RUN, mode=mode, **settings)
            assert done.returncode in (69, 70), done
            assert ('the name "%s"' % escaped).encode() in done.stderr
            assert b"control characters" in done.stderr


BEGIN = """
    import asyncio
    import ai_integration

    SCHEMA = {"text": {"type": "text"}}

    def result(inputs):
        assert isinstance(inputs, dict) and all(isinstance(name, str) for name in inputs)
        return {"content-type": "text/plain", "data": repr(inputs), "success": True}

"""
ONE_BY_ONE = """
    while True:
        with ai_integration.get_next_input(inputs_schema=SCHEMA) as inputs:
            ai_integration.send_result(result(inputs))
"""
IN_TASKS = """
    async def answer(request):
        # What comes after the job is read while it runs.
        await asyncio.sleep(0.1)
        await request.send(result(request.inputs))

    async def main():
        async for request in ai_integration.requests(SCHEMA, concurrency=8):
            asyncio.create_task(answer(request))

    asyncio.run(main())
"""


def frame(header, body=b""):
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack(">II", len(head), len(body)) + head + body


def job(*inputs, body=b"", **more):
    return frame(
        {"type": "job", "id": 7, "inputs": [list(entry) for entry in inputs], **more}, body
    )


RIGHT = job(("text", "text", 5), ("more", "value", [1]), body=b"hello")
MALFORMED = {
    "nothing": b"",
    "a long header": struct.pack(">II", (1 << 20) + 1, 0),
    "no header": struct.pack(">II", 0, 0),
    "a huge body": struct.pack(">II", 2, (1 << 30) + 1) + b"{}",
    "a body that does not come": struct.pack(">II", 2, 1 << 30) + b"{}",
    "no JSON": frame(b"{oh n"),
    "no UTF-8": frame(b'{"type": "\xff"}'),
    "a list": frame(b"[]"),
    "a number": frame(b"17"),
    "deep JSON": frame(b"[" * 100000),
    "no type": frame({}),
    "a type that is none": frame({"type": 7}),
    "no inputs": frame({"type": "job", "id": 7}),
    "no id": frame({"type": "job", "inputs": []}),
    "an id that is none": frame({"type": "job", "id": "seven", "inputs": []}),
    "an id that is a list": frame({"type": "job", "id": [], "inputs": []}),
    "inputs that are none": frame({"type": "job", "id": 7, "inputs": 7}),
    "inputs by name": frame({"type": "job", "id": 7, "inputs": {"text": 5}}),
    "an empty entry": job(()),
    "a short entry": job(("text",)),
    "an entry of five": job(("text", "text", 5, 0, 0), body=b"hello"),
    "a name that is none": job((7, "text", 5), body=b"hello"),
    "an unknown kind": job(("text", "sound", 5), body=b"hello"),
    "a length that is none": job(("text", "text", "five"), body=b"hello"),
    "a negative length": job(("text", "text", -5), body=b"hello"),
    "a length beyond the body": job(("text", "text", 50), body=b"hello"),
    "less than the body": job(("text", "text", 2), body=b"hello"),
    "text that is none": job(("text", "text", 2), body=b"\xff\xfe"),
    "JSON that is none": job(("text", "json", 5), body=b"hello"),
    "a list that is none": job(("text", "list", 5), body=b"hello"),
    "a list of numbers": job(("text", "list", [5]), body=b"hello"),
    "a list of words": job(("text", "list", ["bytes", 5]), body=b"hello"),
    "a list of nothing": job(("text", "list", [[]]), body=b"hello"),
    "a list of an unknown kind": job(("text", "list", [["sound", 5]]), body=b"hello"),
    "a list in a list": job(("text", "list", [["list", [["bytes", 5]]]]), body=b"hello"),
    "a list beyond the body": job(("text", "list", [["bytes", 5], ["text", 1]]), body=b"hello"),
    "a list of less than the body": job(("text", "list", [["bytes", 4]]), body=b"hello"),
    "a list of text that is none": job(("text", "list", [["text", 2]]), body=b"\xff\xfe"),
    "a memory file that is missing": job(("text", "text", 5, 0), shared=True),
    "an offset without a file": job(("text", "text", 5, 0)),
    "a cancellation of nothing": frame({"type": "cancel"}),
    "a cancellation of a list": frame({"type": "cancel", "id": []}),
    "a cancellation of another": frame({"type": "cancel", "id": 8}),
    "a window of another": RIGHT + frame({"type": "window", "id": 8, "bytes": -1}),
    "an unknown message": frame({"type": "weather", "cloudy": True}),
}


# What a program that runs one job at a time does not know.
WINDOWS = {
    "a window of nothing": {},
    "a window of words": {"bytes": "many"},
    "a window of null": {"bytes": None},
    "a negative window": {"bytes": -1},
    "a window of half a byte": {"bytes": 0.5},
}

# What may be said by a newer engine, or changes nothing.
HARMLESS = (
    *("nothing", "a body that does not come", "no type", "a type that is none", "an entry of five"),
    *("a cancellation", "a window", "an unknown message"),
)


@pytest.fixture(params=[ONE_BY_ONE, IN_TASKS], ids=["one by one", "in tasks"])
def speak(program, request):
    """Sends bytes, and perhaps files, to a new worker as its engine would, and gives its status,
    what it printed and what it answered."""
    path = program(BEGIN + request.param)

    def say(data, files=()):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.settimeout(TIMEOUT)
            process = subprocess.Popen(
                [PYTHON, str(path)],
                env=environment(MODE="http", AI_INTEGRATION_LINK=theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            theirs.close()
            try:
                assert b'"ready"' in ours.recv(65536)
                if files:
                    rights = array.array("i", files)
                    ours.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
                else:
                    ours.sendall(data)
                ours.shutdown(socket.SHUT_WR)
                printed, _ = process.communicate(timeout=TIMEOUT)
                answered = b""
                try:
                    while piece := ours.recv(65536):
                        answered += piece
                except ConnectionResetError:
                    pass
            finally:
                process.kill()
                process.wait()
        return process.returncode, printed.decode(errors="replace"), answered

    return say


def check(told):
    status, printed, answered = told
    assert "Traceback" not in printed, told
    assert status in (0, 1), told
    if status == 1:
        # One line, which says whose fault it is.
        (line,) = printed.strip().splitlines()
        assert "the engine broke the worker protocol" in line, told
        assert b'"result"' not in answered, told
    else:
        assert printed == "", told


def test_the_client_understands_what_is_right(speak):
    status, printed, answered = speak(RIGHT)
    assert (status, printed) == (0, "")
    assert b"{'text': 'hello', 'more': [1]}" in answered


def test_the_client_understands_a_list(speak):
    items = [["bytes", 2], ["text", 3], ["value", 7], ["json", 4], ["bytes", 0]]
    data = job(("all", "list", items), ("text", "text", 1), body=b"\xff\0abc[{}]e")
    status, printed, answered = speak(data)
    assert (status, printed) == (0, "")
    assert rb"{'all': [b'\xff\x00', 'abc', 7, [{}], b''], 'text': 'e'}" in answered


def test_the_client_finds_items_of_a_list_in_a_memory_file(speak):
    number = os.memfd_create("x")
    try:
        os.write(number, b"__hello_world")
        items = [["text", 5, 8], ["bytes", 1], ["bytes", 5, 2]]
        status, printed, answered = speak(
            job(("all", "list", items), body=b"!", shared=True), [number]
        )
    finally:
        os.close(number)
    assert (status, printed) == (0, "")
    assert b"{'all': ['world', b'!', b'hello']}" in answered


@pytest.mark.parametrize("what", MALFORMED)
def test_the_client_takes_anything_from_an_engine(speak, what):
    told = speak(MALFORMED[what])
    check(told)
    if not what.startswith(HARMLESS):
        # A job that cannot be read does not reach the model; the engine may get a failure.
        assert told[0] == 1 or b'"success":false' in told[2], told


@pytest.mark.parametrize("what", WINDOWS)
@pytest.mark.parametrize("speak", [IN_TASKS], ids=["in tasks"], indirect=True)
def test_a_program_with_concurrent_jobs_refuses_a_wrong_window(speak, what):
    told = speak(RIGHT + frame({"type": "window", "id": 7, **WINDOWS[what]}))
    check(told)
    assert told[0] == 1, told


def test_the_client_takes_descriptors_that_nobody_announced(speak):
    with open(__file__) as file:
        check(speak(RIGHT, [file.fileno()] * 10))
        check(speak(job(("text", "text", 5, 1 << 40), shared=True), [file.fileno()]))
        check(speak(job(("text", "text", 5, -1), shared=True), [file.fileno()]))
    reader, writer = os.pipe()
    try:
        check(speak(job(("text", "text", 5, 0), shared=True), [reader]))
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize("start", range(0, 60, 10))
def test_the_client_takes_frames_that_chance_has_been_at(speak, start):
    for seed in range(start, start + 10):
        chance = random.Random(seed)
        data = bytearray(RIGHT)
        for _ in range(chance.choice([1, 1, 2, 5])):
            at = chance.randrange(len(data))
            way = chance.randrange(4)
            if way == 0:
                data[at] ^= 1 << chance.randrange(8)
            elif way == 1:
                del data[at : at + chance.randint(1, 8)]
            elif way == 2:
                data[at:at] = chance.randbytes(chance.randint(1, 8))
            else:
                del data[at:]
            data = data or bytearray(b"x")
        status, printed, _ = told = speak(bytes(data))
        # Chance may leave a right job whose inputs are others.
        assert not re.search(r"File .*ai_integration/_", printed), (seed, bytes(data), told)
        check(told)
