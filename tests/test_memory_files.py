"""Inputs and results of any size arrive unchanged, large ones in memory files over the link."""

import base64
import hashlib
import json
import random
import re
import stat
import sys
import textwrap
import time
from pathlib import Path

import pytest
from support import BINARY, children, descriptors, eventually, run, serve
from test_batching import EVENTS, at_once, connect, events_of, together

KIB = 1024
MIB = 1024 * KIB
# From 256 KiB on a body travels as a sealed memory file, where both sides can.
SIZES = [100 * KIB, 256 * KIB - 1, 256 * KIB, MIB, 20 * MIB]

# Returns the picture as it arrived, or the text if there is no picture.
MIRROR = """
    import hashlib, os, time
    import ai_integration

    SCHEMA = {"text": {"type": "text"}, "blob": {"type": "file", "required": False}}
    seen = []

    def mirror(inputs):
        if "blob" in inputs:
            assert type(inputs["blob"]) is bytes
            return {"content-type": "image/png", "data": inputs["blob"], "success": True}
        assert type(inputs["text"]) is str
        return {"content-type": "text/plain", "data": inputs["text"], "success": True}
"""

MIRROR_LOOPS = {
    "single": """
    while True:
        with ai_integration.get_next_input(SCHEMA) as inputs:
            ai_integration.send_result(mirror(inputs))
""",
    "batch": """
    while True:
        with ai_integration.get_next_inputs(SCHEMA, max_batch_size=8, max_wait_ms=20) as batch:
            texts = [inputs["text"][:9] for inputs in batch]
            print("batch 1: %s" % texts, "of %d" % len(batch))
            while "hold" in texts and not os.path.exists("release"):
                time.sleep(0.005)
            ai_integration.send_results([mirror(inputs) for inputs in batch])
""",
}


def blob(size):
    return random.Random(size).randbytes(size)


def words(size):
    """Returns a text of `size` bytes in UTF-8, with characters of more than one byte."""
    line = "größer als %d – 大きい\n" % size
    encoded = line.encode() * (size // len(line.encode()))
    return (encoded + b"x" * (size - len(encoded))).decode()


def same(answer, expected):
    """Returns true if a response has the expected body. A plain `==` would print megabytes."""
    assert answer.status == 200, answer
    return len(answer.body) == len(expected) and answer.body == expected


@pytest.mark.parametrize("loop", MIRROR_LOOPS)
def test_big_inputs_and_results_come_back_identical(program, loop):
    with serve(program(MIRROR + MIRROR_LOOPS[loop])) as server:
        for size in SIZES:
            data, text = blob(size), words(size)
            assert same(server.post(text="a blob", blob=data), data)
            answer = server.post(text=text)
            assert answer.type == "text/plain"
            assert same(answer, text.encode())


def test_big_and_small_members_of_one_batch_come_back_identical(program, tmp_path):
    with serve(program(MIRROR + MIRROR_LOOPS["batch"]), cwd=tmp_path) as server:
        sizes = [10, 100 * KIB, 20 * MIB, MIB]
        expected = []
        requests = []
        for size in sizes:
            requests += [{"text": words(size)}, {"text": "blob", "blob": blob(size)}]
            expected += [words(size).encode(), blob(size)]
        answers = together(server, tmp_path, requests)
        assert max(map(int, re.findall(r"\] of (\d)", server.output()))) >= 4
        for answer, data in zip(answers, expected):
            assert same(answer, data)


def test_several_big_inputs_of_one_request_are_not_mixed_up(program):
    loop = """
    while True:
        with ai_integration.get_next_input(SCHEMA) as inputs:
            lengths = ["%s %d %s" % (name, len(inputs[name]), digest(inputs[name]))
                       for name in sorted(inputs)]
            ai_integration.send_result(
                {"content-type": "text/plain", "data": "\\n".join(lengths), "success": True}
            )
"""
    digest = """
    def digest(data):
        encoded = data if isinstance(data, bytes) else data.encode("utf-8")
        return hashlib.sha256(encoded).hexdigest()
"""
    fields = {"a": blob(300 * KIB), "b": b"", "c": blob(5), "d": blob(2 * MIB), "text": words(MIB)}
    with serve(program(MIRROR + digest + loop)) as server:
        answer = server.post(**fields)
        expected = []
        for name, value in fields.items():
            encoded = value if isinstance(value, bytes) else value.encode()
            digest = hashlib.sha256(encoded).hexdigest()
            expected.append("%s %d %s" % (name, len(value), digest))
        assert answer.body.decode().splitlines() == expected


# Every way in which JSON can have the same file in base64.
SPELLINGS = {
    "plain": lambda data: json.dumps(base64.b64encode(data).decode()),
    "a data: URL": lambda data: json.dumps(
        "data:application/octet-stream;base64," + base64.b64encode(data).decode()
    ),
    "url-safe, unpadded": lambda data: json.dumps(
        base64.urlsafe_b64encode(data).decode().rstrip("=")
    ),
    "escaped slashes": lambda data: json.dumps(base64.b64encode(data).decode()).replace("/", "\\/"),
    "lines": lambda data: json.dumps(base64.encodebytes(data).decode()),
    "one space": lambda data: json.dumps(" " + base64.b64encode(data).decode()),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_big_files_in_json_arrive_identical(program, spelling):
    kind = {"Content-Type": "application/json"}
    with serve(program(MIRROR + MIRROR_LOOPS["single"])) as server:
        for size in [0, 1, 5 * KIB, *SIZES]:
            data = blob(size)
            body = '{"text": "a blob", "blob": %s}' % SPELLINGS[spelling](data)
            answer = server.request("/infer", body.encode(), kind)
            if size:
                assert same(answer, data)
            else:
                assert answer.json()["errors"][0]["name"] == "blob"


def test_lists_of_files_in_json_arrive_identical(program):
    loop = """
    SCHEMA = {"files": {"type": "file", "list": True}}
    while True:
        with ai_integration.get_next_input(SCHEMA) as inputs:
            digests = [hashlib.sha256(file).hexdigest() for file in inputs["files"]]
            ai_integration.send_result(
                {"content-type": "application/json", "data": digests, "success": True}
            )
"""
    kind = {"Content-Type": "application/json"}
    with serve(program(MIRROR + loop)) as server:
        files = [blob(size) for size in (300 * KIB, 5, 2 * MIB, 10 * KIB, 70 * KIB)]
        spelled = [write(data) for write, data in zip(SPELLINGS.values(), files)]
        answer = server.request("/infer", ('{"files": [%s]}' % ",".join(spelled)).encode(), kind)
        assert answer.json() == [hashlib.sha256(file).hexdigest() for file in files]
        spelled[3] = '"no base64!"'
        answer = server.request("/infer", ('{"files": [%s]}' % ",".join(spelled)).encode(), kind)
        [error] = answer.json()["errors"]
        assert (answer.status, error["name"]) == (422, "files[3]")
        assert error["message"].endswith('got "no base64!"')
        answer = server.request("/infer", ('{"files": %s}' % spelled[0]).encode(), kind)
        assert "put it in brackets" in answer.json()["errors"][0]["message"]


def test_a_file_in_base64_is_copied_once(program):
    """The peak of the engine's memory shows the copies: body, text and file, nothing more."""

    def peak(server):
        status = Path("/proc/%d/status" % server.process.pid).read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) * KIB

    with serve(program(MIRROR + MIRROR_LOOPS["single"])) as server:
        assert server.post(text="warm").status == 200
        before, data = peak(server), blob(30 * MIB)
        body = json.dumps({"text": "x", "blob": base64.b64encode(data).decode()}).encode()
        answer = server.request("/infer", body, {"Content-Type": "application/json"})
        assert same(answer, data)
        # The result is in memory too.
        assert peak(server) - before < 2 * len(body) + 1.3 * len(data)


def test_a_big_result_reaches_the_other_readers_too(program, tmp_path):
    with serve(program(MIRROR + MIRROR_LOOPS["batch"])) as server:
        data, text = blob(3 * MIB), words(3 * MIB)
        picture = server.classic(text="x", blob=data)["output_url"]
        assert base64.b64decode(picture.split(",", 1)[1]) == data
        assert server.classic(text=text)["output"] == text
        events = events_of(server.post(text="x", blob=data, headers=EVENTS))
        assert base64.b64decode(events[-1][1]["base64"]) == data
    path = program(MIRROR + MIRROR_LOOPS["batch"])
    source = json.dumps({"text": text}).encode()
    done = run(path, mode="test_inputs_dict_json", stdin=source)
    assert done.returncode == 0, done.stderr[-2000:]


def test_big_chunks_of_a_stream_arrive_whole_and_in_order(program, tmp_path):
    loop = """
    def pieces(data):
        for start in range(0, len(data), 700000):
            yield data[start : start + 700000]

    def streamed(inputs):
        return dict(mirror(inputs), data=pieces(inputs.get("blob", b"none")))
"""
    batch = MIRROR_LOOPS["batch"].replace("[mirror(inputs)", "[streamed(inputs)")
    with serve(program(MIRROR + loop + batch), cwd=tmp_path) as server:
        data = [blob(8 * MIB), blob(5 * MIB), blob(10)]
        answers = together(server, tmp_path, [{"text": "x", "blob": one} for one in data])
        assert all(same(answer, one) for answer, one in zip(answers, data))


# Models that speak the worker protocol by hand

# As in the documentation: four bytes of header length, four of body length, JSON, bytes.
SPEAKING = """\
    #!{python}
    import array, fcntl, json, os, socket, struct, sys

    link = socket.socket(fileno=int(os.environ.pop("AI_INTEGRATION_LINK")))
    link.set_inheritable(False)
    descriptors = []
    SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    # With F_SEAL_FUTURE_WRITE, which Python has no name for.
    ENGINE_SEALS = SEALS & ~fcntl.F_SEAL_WRITE | 0x10

    def read(size):
        data = bytearray()
        while len(data) < size:
            piece, files, _, _ = socket.recv_fds(link, min(size - len(data), 1 << 20), 1)
            descriptors.extend(files)
            if not piece:
                sys.exit(0)
            data += piece
        return bytes(data)

    def receive():
        header, body = struct.unpack(">II", read(8))
        return json.loads(read(header)), read(body)

    def send(body=b"", descriptor=None, **header):
        head = json.dumps(header).encode()
        frame = struct.pack(">II", len(head), len(body)) + head
        if descriptor is not None:
            socket.send_fds(link, [frame[:1]], [descriptor])
            frame = frame[1:]
        link.sendall(frame)
        link.sendall(body)

    def memory_file(data, seals=SEALS):
        descriptor = os.memfd_create("result", os.MFD_ALLOW_SEALING)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest):]
        if seals:
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
        return descriptor

    def ready(**more):
        send(type="ready", protocol=1, client="by-hand/1",
             inputs_schema={{"text": {{"type": "text"}}}}, **more)

    # The job's inputs by name, text and bytes alike.
    def inputs_of(job, body):
        inputs, start = {{}}, 0
        for name, kind, value in job["inputs"]:
            if kind != "value":
                value, start = body[start : start + value], start + value
            inputs[name] = value
        return inputs

    def result(job, data, kind="bytes"):
        send(data, type="result", id=job["id"], success=True, content_type="image/png", data=kind)
"""


@pytest.fixture
def executable(tmp_path):
    """Writes a program that is executed as it is, with this interpreter in its first line."""

    def write(source):
        path = tmp_path / "model"
        path.write_text(textwrap.dedent(source).format(python=sys.executable))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    return write


RUN = [BINARY, "run"]


def test_a_worker_without_shared_memory_gets_everything_through_the_socket(executable):
    source = (
        SPEAKING
        + """\

    ready()
    while True:
        job, body = receive()
        if job["type"] == "job":
            assert "shared" not in job and not descriptors
            # Without a board, a worker sends a message for each start.
            send(type="start", id=job["id"])
            result(job, inputs_of(job, body)["blob"])
"""
    )
    with serve(executable(source), command=RUN) as server:
        for size in SIZES:
            data = blob(size)
            assert same(server.post(text=words(size), blob=data), data)
        several = [blob(MIB + number) for number in range(6)]
        answers = at_once(6, lambda number: server.post(text="x", blob=several[number]))
        assert all(same(answer, data) for answer, data in zip(answers, several))
        assert server.stop() == 0


def test_a_worker_by_hand_may_take_batches_without_a_board(executable, tmp_path):
    source = (
        SPEAKING
        + """\

    ready(batch={{"max_size": 4, "max_wait_ms": 20}})
    while True:
        jobs = []
        while not jobs or jobs[-1][0].get("more"):
            job, body = receive()
            if job["type"] == "job":
                jobs.append((job, inputs_of(job, body)))
        texts = [inputs["text"].decode() for _, inputs in jobs]
        print("batch 1:", texts, flush=True)
        while "hold" in texts and not os.path.exists("release"):
            pass
        for job, _ in jobs:
            send(type="start", id=job["id"])
        # In any order.
        for job, inputs in reversed(jobs):
            result(job, inputs.get("blob", b"") + b"%d" % len(jobs))
"""
    )
    with serve(executable(source), command=RUN, cwd=tmp_path) as server:
        data = [blob(size) for size in (10, 100 * KIB, MIB, 3 * MIB, 20, 30)]
        requests = [{"text": str(n), "blob": one} for n, one in enumerate(data)]
        answers = together(server, tmp_path, requests)
        sizes = [answer.body[-1:] for answer in answers]
        # The order of arrival decides which requests share a batch.
        assert sorted(sizes) == [b"2"] * 2 + [b"4"] * 4
        for answer, one, size in zip(answers, data, sizes):
            assert same(answer, one + size)


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="memory files are Linux's")


@linux_only
def test_a_worker_by_hand_may_share_memory(executable):
    source = (
        SPEAKING
        + """\

    ready(shared_memory=True)
    while True:
        job, body = receive()
        if job["type"] != "job":
            continue
        send(type="start", id=job["id"])
        was_shared = "shared" in job
        if was_shared:
            assert body == b""
            shared = descriptors.pop(0)
            assert fcntl.fcntl(shared, fcntl.F_GET_SEALS) & ENGINE_SEALS == ENGINE_SEALS
            try:
                os.pwrite(shared, b"x", 0)
                raise AssertionError("it can be written to")
            except PermissionError:
                pass
            [[name, kind, length, offset]] = job["inputs"]
            text = os.pread(shared, length, offset)
            os.close(shared)
        else:
            text = inputs_of(job, body)["text"]
        data = b"%d " % was_shared + text
        answer = memory_file(data)
        send(type="result", id=job["id"], success=True, content_type="text/plain", data="text",
             shared=len(data), descriptor=answer)
        os.close(answer)
"""
    )
    with serve(executable(source), command=RUN) as server:
        # The worker decides how it sends a result, also a small one.
        assert same(server.post(text="x"), b"0 x")
        for size in SIZES:
            text = words(size)
            assert same(server.post(text=text), b"%d %s" % (size >= 256 * KIB, text.encode()))


@linux_only
def test_inputs_may_lie_in_the_memory_file_and_beside_it(executable):
    source = (
        SPEAKING
        + """\

    ready(shared_memory=True)
    while True:
        job, body = receive()
        if job["type"] != "job":
            continue
        send(type="start", id=job["id"])
        inline = [entry for entry in job["inputs"] if len(entry) == 3]
        inputs = inputs_of({{"inputs": inline}}, body)
        if job.get("shared"):
            shared = descriptors.pop(0)
            for name, kind, length, offset in (e for e in job["inputs"] if len(e) == 4):
                inputs[name] = os.pread(shared, length, offset)
            os.close(shared)
        where = "".join("ms"[len(entry) == 4] for entry in job["inputs"])
        digest = hashlib.sha256(b"".join(inputs[entry[0]] for entry in job["inputs"])).hexdigest()
        result(job, (where + " " + digest).encode())
"""
    )
    source = source.replace("import ", "import hashlib, ", 1)
    blobs = [blob(size) for size in (MIB, 100, 300 * KIB, 20 * KIB, 3 * MIB)]

    def digest(text, *parts):
        return hashlib.sha256(b"".join((text.encode(), *parts))).hexdigest().encode()

    with serve(executable(source), command=RUN) as server:
        one, two, three, four, five = blobs
        short, long = "short", "long " * 100_000
        # The larger inputs of a form are in the memory file that holds the form. Small ones are
        # sent beside it.
        for text, more, where in [
            (short, {"a": one}, b"ms"),
            (short, {"a": one, "b": two, "c": three, "d": four, "e": five}, b"msmsss"),
            (short, {"a": two, "b": four}, b"mmm"),
            # A long text is decoded when the form is read, so it is no longer in that file.
            (long, {"a": two}, b"sm"),
            (long, {"a": one, "b": two}, b"ssm"),
        ]:
            answer = server.post(text=text, **more)
            assert answer.body == where + b" " + digest(text, *more.values())


@linux_only
def test_many_large_uploads_at_once_leave_descriptors_for_connections(program):
    source = """
        import hashlib
        import ai_integration

        while True:
            with ai_integration.get_next_input({"file": {"type": "file"}}) as inputs:
                ai_integration.send_result({
                    "content-type": "text/plain", "success": True,
                    "data": hashlib.sha256(inputs["file"]).hexdigest(),
                })
    """
    with serve(program(source)) as server:
        assert server.post(file=blob(10)).status == 200
        before = descriptors(server.process.pid)
        uploads = []
        for number in range(300):
            content = blob(300 * KIB + number)
            body = (
                b'--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
                + content
                + b"\r\n--x--\r\n"
            )
            connection = connect(server)
            connection.putrequest("POST", "/infer")
            connection.putheader("Content-Type", "multipart/form-data; boundary=x")
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body[:-1])
            uploads.append((connection, body[-1:], hashlib.sha256(content).hexdigest()))
        eventually(
            lambda: descriptors(server.process.pid) >= before + 300 + 250, "large bodies in files"
        )
        time.sleep(0.2)
        assert descriptors(server.process.pid) <= before + 300 + 256 + 4
        for connection, rest, _ in uploads:
            connection.send(rest)
        for connection, _, expected in uploads:
            assert connection.getresponse().read().decode() == expected
            connection.close()


# Does to its shared result what the request says.
BAD_SHARING = (
    SPEAKING
    + """\

    ready(shared_memory=True)
    while True:
        job, body = receive()
        if job["type"] != "job":
            continue
        send(type="start", id=job["id"])
        how, data = body.decode(), b"shared"
        answer, length = None, len(data)
        if how == "fine":
            answer = memory_file(data)
        elif how == "unsealed":
            answer = memory_file(data, seals=0)
        elif how == "not sealed against writing":
            answer = memory_file(data, seals=SEALS & ~fcntl.F_SEAL_WRITE)
        elif how == "not sealed against shrinking":
            answer = memory_file(data, seals=SEALS & ~fcntl.F_SEAL_SHRINK)
        elif how == "seals not sealed":
            answer = memory_file(data, seals=SEALS & ~fcntl.F_SEAL_SEAL)
        elif how == "too short":
            answer, length = memory_file(data), len(data) + 1
        elif how == "too long":
            answer, length = memory_file(data), len(data) - 1
        elif how == "a pipe":
            answer = os.pipe()[0]
        elif how == "a file":
            answer = os.open(__file__, os.O_RDONLY)
            length = os.fstat(answer).st_size
        elif how == "negative":
            answer, length = memory_file(data), -1
        elif how == "huge":
            answer, length = memory_file(data), 1 << 40
        rest = b""
        if how == "a body as well":
            answer, rest = memory_file(data), data
        send(rest, type="result", id=job["id"], success=True, content_type="text/plain",
             data="text", shared=length, descriptor=answer)
"""
)


@linux_only
@pytest.mark.parametrize(
    "how",
    [
        "without a descriptor",
        "unsealed",
        "not sealed against writing",
        "not sealed against shrinking",
        "seals not sealed",
        "too short",
        "too long",
        "a pipe",
        "a file",
        "negative",
        "huge",
        "a body as well",
    ],
)
def test_a_worker_that_shares_what_it_must_not_is_cut_off(executable, how):
    with serve(executable(BAD_SHARING), command=RUN) as server:
        assert server.post(text="fine").body == b"shared"
        answer = server.post(text=how)
        assert answer.status == 500, answer
        assert answer.json()["code"] == "model_crashed"
        assert server.post(text="fine").body == b"shared"
        server.wait_for_output("starting it again")


# Sends the text "stray" in the stream, with a descriptor that nobody needs, and all else shared.
STRAY = (
    SPEAKING
    + """\

    ready(shared_memory=True)
    while True:
        job, body = receive()
        if job["type"] != "job":
            continue
        send(type="start", id=job["id"])
        data = inputs_of(job, body)["text"]
        send(data if data == b"stray" else b"", type="result", id=job["id"], success=True,
             content_type="text/plain", data="text", shared=len(data),
             descriptor=memory_file(data))
"""
)


@linux_only
def test_a_stray_descriptor_reaches_no_other_request(executable):
    with serve(executable(STRAY), command=RUN) as server:
        assert server.post(text="stray").status in (200, 500)
        for word in ("first", "other", "third"):
            assert server.post(text=word).body == word.encode()


@linux_only
def test_sharing_leaves_no_descriptors_behind(program):
    with serve(program(MIRROR + MIRROR_LOOPS["batch"])) as server:
        data = blob(MIB)
        counts = []
        for _ in range(2):
            answers = at_once(12, lambda _: server.post(text="x", blob=data))
            assert all(same(answer, data) for answer in answers)
            (worker,) = children(server.process.pid)
            # The clients' own connections are closed, if not at once.
            eventually(lambda: descriptors(server.process.pid) <= 40, "connections are closed")
            counts.append(descriptors(worker))
        assert counts[0] == counts[1]
