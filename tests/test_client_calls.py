"""The calls beside `get_next_input` and `send_result`: batches, chunks, progress and cancellation.
Large data must arrive unchanged over every transport."""

import base64
import concurrent.futures
import contextlib
import hashlib
import http.client
import json
import random
import re
import textwrap

import compat
import pytest
from support import BINARY, run, serve

BATCHES = """
    import os, sys, time
    import ai_integration

    SCHEMA = {"text": {"type": "text"}}

    def text(data):
        return {"content-type": "text/plain", "data": data, "success": True}

    def wait_for(name):
        while not os.path.exists(name):
            time.sleep(0.005)

    def answer(given):
        if given == "failing":
            return {"success": False, "error": "my words"}
        if given == "raised":
            return ValueError("no such word")
        if given == "unsendable":
            return text(object())
        if given == "pieces":
            return text(letter for letter in "abc")
        return text(given.upper())
"""
# Holds the first batch until a file appears, so that the next requests wait and share a batch.
HELD = """
    while True:
        with ai_integration.get_next_inputs(SCHEMA, max_batch_size=8, max_wait_ms=200) as batch:
            texts = [inputs["text"] for inputs in batch]
            print("batch:", sorted(texts))
            if texts == ["hold"]:
                wait_for("go on")
"""
CALLS = """
    import os, sys, time
    import ai_integration

    SCHEMA = {"text": {"type": "text"}}

    def wait_for(name):
        while not os.path.exists(name):
            time.sleep(0.005)

    def text(data=None):
        return {"content-type": "text/plain", "data": data, "success": True}
"""


@contextlib.contextmanager
def asking(path, cwd, texts, address="/infer", **variables):
    """Runs a server, and sends all `texts` at once. Yields the server and the responses."""
    with serve(path, cwd=cwd, **variables) as server:
        with concurrent.futures.ThreadPoolExecutor(len(texts) + 1) as threads:
            first = threads.submit(server.post, text="hold")
            server.wait_for_output(r"batch: \['hold'\]")
            rest = [threads.submit(server.post, address, text=text) for text in texts]
            (cwd / "go on").touch()
            answers = {text: answer.result() for text, answer in zip(texts, rest)}
            first.result()
        yield server, answers


@contextlib.contextmanager
def streaming(server, text, accept=None):
    """A response that is read while the model makes it."""
    connection = http.client.HTTPConnection(server.url.split("//")[1], timeout=30)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    if accept:
        headers["Accept"] = accept
    connection.request("POST", "/infer", "text=" + text, headers)
    try:
        yield connection
    finally:
        connection.close()


def events(server, text):
    """All server-sent events of a request: pairs of a name and an object."""
    with streaming(server, text, accept="text/event-stream") as connection:
        answer = connection.getresponse()
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        return list(parsed(answer))


def parsed(answer):
    """Yields the events of a response as they arrive."""
    name, data = None, None
    for line in answer:
        field, _, value = line.decode().rstrip("\r\n").partition(":")
        value = value[1:] if value.startswith(" ") else value
        if field == "event":
            name = value
        elif field == "data":
            data = value
        elif not field and name is not None:
            yield name, json.loads(data)
            name = data = None


# --- batches ---


def test_requests_that_wait_are_given_together(program, tmp_path):
    source = HELD + "            ai_integration.send_results([answer(one) for one in texts])\n"
    texts = ["one", "two", "three", "four"]
    with asking(program(BATCHES + source), tmp_path, texts) as (server, answers):
        assert {text: answer.body.decode() for text, answer in answers.items()} == {
            text: text.upper() for text in texts
        }
        sizes = [len(found.split(",")) for found in re.findall("batch: (.*)", server.output())]
        assert sum(sizes) == 5
        assert max(sizes) > 1, server.output()


def test_a_batch_is_no_larger_than_the_model_allows(program, tmp_path):
    source = HELD.replace("max_batch_size=8", "max_batch_size=3")
    source += "            ai_integration.send_results([answer(one) for one in texts])\n"
    texts = ["text %d" % number for number in range(20)]
    with asking(program(BATCHES + source), tmp_path, texts) as (server, answers):
        assert all(answers[text].body.decode() == text.upper() for text in texts)
        sizes = [len(found.split(",")) for found in re.findall("batch: (.*)", server.output())]
        assert max(sizes) == 3


def test_each_member_of_a_batch_fails_alone(program, tmp_path):
    source = HELD + "            ai_integration.send_results([answer(one) for one in texts])\n"
    texts = ["good", "failing", "raised", "unsendable", "pieces", "fine"]
    with asking(program(BATCHES + source), tmp_path, texts) as (_, answers):
        assert answers["good"].body == b"GOOD"
        assert answers["fine"].body == b"FINE"
        assert answers["pieces"].body == b"abc"
        for text, words in [
            ("failing", "my words"),
            ("raised", "ValueError: no such word"),
            ("unsendable", "cannot be sent"),
        ]:
            assert answers[text].status == 500
            assert words in answers[text].json()["detail"]


@pytest.mark.parametrize("given", ["[]", "[text('x')] * (len(batch) + 1)", "None", "text('x')"])
def test_a_list_of_the_wrong_length_fails_all_members_and_raises(program, tmp_path, given):
    source = HELD + (
        "            if texts == ['good']:\n"
        "                ai_integration.send_results([answer('good')])\n"
        "            else:\n"
        "                ai_integration.send_results(%s)\n" % given
    )
    keep = {"AI_INTEGRATION_ON_EXCEPTION": "continue"}
    with asking(program(BATCHES + source), tmp_path, ["a", "b"], **keep) as (server, answers):
        for answer in answers.values():
            assert answer.status == 500
            assert "send_results" in answer.json()["detail"]
            assert "Programming Error" in answer.json()["detail"]
        server.wait_for_output("ValueError: Programming Error")
        assert server.post(text="good").body == b"GOOD"


def test_an_exception_in_the_block_fails_all_and_the_program_starts_again(program, tmp_path):
    source = HELD + (
        "            if 'bad' in texts:\n"
        "                raise KeyError('the whole batch')\n"
        "            ai_integration.send_results([answer(one) for one in texts])\n"
    )
    with asking(program(BATCHES + source), tmp_path, ["bad", "bad too"]) as (server, answers):
        assert "KeyError: 'the whole batch'" in answers["bad"].json()["detail"]
        assert server.post(text="next").body == b"NEXT"


def test_a_block_without_results_is_a_programming_error_for_all(program, tmp_path):
    source = HELD + (
        "            if texts == ['good']:\n"
        "                ai_integration.send_results([answer('good')])\n"
    )
    with asking(program(BATCHES + source), tmp_path, ["a", "b"]) as (server, answers):
        assert all("Programming Error" in one.json()["detail"] for one in answers.values())
        assert server.post(text="good").body == b"GOOD"


def test_if_an_iterator_ends_the_program_every_request_gets_a_response(program, tmp_path):
    source = HELD + (
        "            def pieces(given):\n"
        "                if given == 'stop':\n"
        "                    sys.exit(3)\n"
        "                yield given\n"
        "            ai_integration.send_results([text(pieces(one)) for one in texts])\n"
    )
    # At this address a response that has begun can still become a failure.
    asked = asking(program(BATCHES + source), tmp_path, ["stop", "a", "b"], address="/")
    with asked as (server, answers):
        # Each member of the batch gets a response; the next process serves the other requests.
        assert "err" in answers["stop"].json()
        assert all(set(answer.json()) & {"err", "output"} for answer in answers.values())
        assert server.post(text="next").body == b"next"


def test_start_loop_takes_lists(program, tmp_path):
    source = """
    from ai_integration.public_interface import start_loop

    def infer(batch):
        print("batch:", sorted(inputs["text"] for inputs in batch))
        if batch[0]["text"] == "hold":
            wait_for("go on")
        return [answer(inputs["text"]) for inputs in batch]

    start_loop(inference_function=infer, inputs_schema=SCHEMA, max_batch_size=4, max_wait_ms=200)
    """
    texts = ["one", "failing", "three"]
    with asking(program(BATCHES + source), tmp_path, texts) as (_, answers):
        assert answers["one"].body == b"ONE"
        assert answers["three"].body == b"THREE"
        assert "my words" in answers["failing"].json()["detail"]


def test_one_and_several_can_be_mixed(program, tmp_path):
    source = HELD + (
        "            ai_integration.send_results([answer(one) for one in texts])\n"
        "        for _ in range(2):\n"
        "            with ai_integration.get_next_input(SCHEMA) as inputs:\n"
        "                print('single:', inputs['text'])\n"
        "                ai_integration.send_result(answer(inputs['text']))\n"
    )
    texts = ["text %d" % number for number in range(12)]
    with asking(program(BATCHES + source), tmp_path, texts) as (server, answers):
        assert all(answers[text].body.decode() == text.upper() for text in texts)
        server.wait_for_output("single:")


@pytest.mark.parametrize("mode", ["command_line", "test_inputs_dict_json"])
def test_a_batch_has_one_member_where_one_request_is_all(program, mode):
    source = HELD + "            ai_integration.send_results([answer(one) for one in texts])\n"
    path = program(BATCHES + source)
    if mode == "command_line":
        done = run(path, "--text", "x", mode=mode)
    else:
        done = run(path, mode=mode, stdin=b'{"text": "x"}')
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == b"X"
    assert b"batch: ['x']" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ("max_batch_size=0", "max_batch_size"),
        ("max_batch_size=1025", "max_batch_size"),
        ("max_batch_size=2.5", "max_batch_size"),
        ("max_batch_size='4'", "max_batch_size"),
        ("max_batch_size=True", "max_batch_size"),
        ("max_wait_ms=-1", "max_wait_ms"),
        ("max_wait_ms=60001", "max_wait_ms"),
        ("max_wait_ms=float('nan')", "max_wait_ms"),
        ("max_wait_ms='5'", "max_wait_ms"),
        ("max_wait_ms=True", "max_wait_ms"),
    ],
)
def test_an_invalid_option_of_a_batch_is_refused_by_name(program, arguments, word):
    done = run(program("import ai_integration\nai_integration.get_next_inputs({}, %s)" % arguments))
    assert done.returncode == 1
    assert re.search("ValueError: .*%s" % word, done.stderr.decode())


# --- chunks of a result, and progress ---

ONE_CALL_EACH = """
    while True:
        with ai_integration.get_next_input(SCHEMA) as inputs:
            how = inputs["text"]
            if how == "pieces":
                ai_integration.send_chunk(u"one \\xfc, ")
                wait_for("go on")
                ai_integration.send_chunk("two, ")
                ai_integration.send_result(text("three"))
            elif how == "bytes":
                ai_integration.send_chunk(b"\\xff\\x00", content_type="application/zip")
                ai_integration.send_chunk(bytearray(b"\\x01"), content_type="ignored/here")
                ai_integration.send_result({"success": True})
            elif how == "untyped":
                ai_integration.send_chunk(b"\\xff")
                ai_integration.send_result({"success": True})
            elif how == "progress":
                ai_integration.progress(0.25, "denoising")
                ai_integration.progress(7)
                ai_integration.progress(message="nearly there")
                ai_integration.send_result(text("done"))
            elif how == "generator":
                def pieces():
                    for number in range(2):
                        ai_integration.progress(number / 2.0)
                        yield str(number)
                ai_integration.send_result(text(pieces()))
            elif how == "failing":
                ai_integration.send_chunk("begun")
                ai_integration.send_result({"success": False, "error": "my words"})
            elif how == "raising":
                ai_integration.send_chunk("begun")
                raise KeyError("half-way")
            elif how == "wrong":
                refused = []
                for call in [
                    lambda: ai_integration.send_chunk(5),
                    lambda: ai_integration.send_chunk(None),
                    lambda: ai_integration.send_chunk(u"\\ud800"),
                    lambda: ai_integration.send_chunk("x", content_type=5),
                    lambda: ai_integration.send_chunk("x", content_type="a/b\\r\\nX-Evil: 1"),
                    lambda: ai_integration.progress("half"),
                    lambda: ai_integration.progress(float("nan")),
                ]:
                    try:
                        call()
                    except (TypeError, ValueError) as reason:
                        refused.append(type(reason).__name__)
                ai_integration.send_result(text(str(len(refused))))
            elif how == "long":
                ai_integration.progress(0.5, "x" * 3000000)
                ai_integration.send_result(text("done"))
"""


@pytest.fixture
def calls(program, tmp_path):
    with serve(
        program(CALLS + ONE_CALL_EACH), cwd=tmp_path, AI_INTEGRATION_ON_EXCEPTION="continue"
    ) as server:
        yield server


def test_chunks_arrive_while_the_model_works(calls, tmp_path):
    with streaming(calls, "pieces") as connection:
        answer = connection.getresponse()
        assert answer.status == 200
        assert answer.headers["Content-Type"].split(";")[0] == "text/plain"
        assert answer.read(len("one ü, ".encode())).decode() == "one ü, "
        (tmp_path / "go on").touch()
        assert answer.read() == b"two, three"


def test_chunks_are_one_response_for_a_client_without_streaming(calls, tmp_path):
    (tmp_path / "go on").touch()
    assert calls.classic(text="pieces")["output"] == "one ü, two, three"


def test_chunks_of_bytes_have_the_content_type_of_the_first(calls):
    answer = calls.post(text="bytes")
    assert (answer.type, answer.body) == ("application/zip", b"\xff\x00\x01")
    answer = calls.post(text="untyped")
    assert (answer.type, answer.body) == ("application/octet-stream", b"\xff")


def test_events_report_the_steps_of_a_request(calls, tmp_path):
    (tmp_path / "go on").touch()
    seen = events(calls, "pieces")
    assert seen[0] == ("started", {})
    chunks = [data for name, data in seen if name == "chunk"]
    assert "".join(chunk["text"] for chunk in chunks) == "one ü, two, three"
    assert chunks[0]["content_type"] == "text/plain"
    assert seen[-1][0] == "result"
    chunks = [data for name, data in events(calls, "bytes") if name == "chunk"]
    assert b"".join(base64.b64decode(chunk["base64"]) for chunk in chunks) == b"\xff\x00\x01"


def test_events_report_the_progress(calls):
    seen = events(calls, "progress")
    assert [data for name, data in seen if name == "progress"] == [
        {"fraction": 0.25, "message": "denoising"},
        {"fraction": 1, "message": None},
        {"fraction": None, "message": "nearly there"},
    ]
    assert seen[-1][0] == "result"
    assert seen[-1][1]["text"] == "done"


def test_an_iterator_reports_its_progress(calls):
    seen = events(calls, "generator")
    assert [data["fraction"] for name, data in seen if name == "progress"] == [0, 0.5]
    assert "".join(data["text"] for name, data in seen if name == "chunk") == "01"


@pytest.mark.parametrize(("text", "words"), [("failing", "my words"), ("raising", "half-way")])
def test_a_failure_after_chunks_is_a_failure(calls, text, words):
    name, data = events(calls, text)[-1]
    assert name == "error"
    assert data["code"] == "model_failed"
    assert words in data["detail"]
    assert words in calls.classic(text=text)["err"]


def test_invalid_progress_is_refused_and_the_request_goes_on(calls):
    assert calls.post(text="wrong").body == b"7"


def test_a_message_that_is_too_long_is_cut(calls):
    seen = events(calls, "long")
    (told,) = [data for name, data in seen if name == "progress"]
    assert 1000 < len(told["message"]) < 1 << 20
    assert seen[-1][0] == "result"


def test_chunks_on_the_command_line(program, tmp_path):
    path = program(CALLS + ONE_CALL_EACH.replace('wait_for("go on")', "pass"))
    file = tmp_path / "result"
    done = run(path, "--text", "pieces", "--output", file)
    assert done.returncode == 0, done.stderr
    assert file.read_text() == "one ü, two, three"
    assert run(path, "--text", "bytes").stdout == b"\xff\x00\x01"
    done = run(path, "--text", "failing")
    assert done.returncode == 1
    assert b"my words" in done.stderr
    assert run(path, "--text", "progress").stdout == b"done\n"


def test_calls_without_a_request_are_ignored_with_a_warning(program):
    source = """
    ai_integration.send_chunk("x")
    ai_integration.progress(0.5)
    ai_integration.send_results([])
    assert ai_integration.cancelled() is False
    while True:
        with ai_integration.get_next_input(SCHEMA) as inputs:
            ai_integration.send_result(text(inputs["text"]))
            ai_integration.send_chunk("late")
    """
    done = run(program(CALLS + source), "--text", "x")
    assert (done.returncode, done.stdout) == (0, b"x\n")
    for words in [b"send_chunk was", b"progress was", b"send_results was", b"a chunk was ignored"]:
        assert words in done.stderr


def test_the_error_of_a_call_in_the_other_kind_of_block_names_the_right_call(program):
    source = """
    with ai_integration.get_next_inputs(SCHEMA) as batch:
        told = []
        for call in [lambda: ai_integration.send_chunk("x"),
                     lambda: ai_integration.send_result(text("x"))]:
            try:
                call()
            except RuntimeError as reason:
                told.append(str(reason))
        ai_integration.progress(0.5)
        ai_integration.send_results([text("\\n".join(told))])
    with ai_integration.get_next_inputs(SCHEMA):
        pass
    """
    done = run(program(CALLS + source), "--text", "x")
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.decode().splitlines()
    assert "iterator" in first
    assert "get_next_input" in second


# --- cancellation ---

CANCELLATION = """
    while True:
        with ai_integration.get_next_input(SCHEMA) as inputs:
            how = inputs["text"]
            if how == "next":
                ai_integration.send_result(text("next"))
                continue
            ai_integration.send_chunk("begun")
            try:
                while how == "look" and not ai_integration.cancelled():
                    time.sleep(0.005)
                while how == "chunk":
                    time.sleep(0.005)
                    ai_integration.send_chunk(".")
                while how == "progress":
                    time.sleep(0.005)
                    ai_integration.progress(0.5)
            except Exception as reason:
                print("WRONG: swallowed", reason)
            except ai_integration.Cancelled:
                print("raised in", how)
                raise
            def pieces():
                try:
                    while True:
                        time.sleep(0.005)
                        yield "."
                finally:
                    print("closed")
            if how == "iterator":
                ai_integration.send_result(text(pieces()))
            print("the end of", how)
            if how == "look":
                ai_integration.send_result(text())
"""


@pytest.mark.parametrize(
    ("how", "told", "not_told"),
    [
        ("look", "the end of look", "raised"),
        ("chunk", "raised in chunk", "the end of"),
        ("progress", "raised in progress", "the end of"),
        ("iterator", "closed\nthe end of iterator", "raised"),
    ],
)
@pytest.mark.parametrize("accept", [None, "text/event-stream"])
def test_a_client_that_disconnects_frees_the_model(program, how, told, not_told, accept):
    with serve(program(CALLS + CANCELLATION)) as server:
        with streaming(server, how, accept) as connection:
            answer = connection.getresponse()
            # Waits until the model is at the place where it notices the cancellation.
            if accept:
                assert any(name == "chunk" for name, _ in parsed(answer))
            else:
                assert answer.read(5) == b"begun"
        assert server.post(text="next").body == b"next"
        server.wait_for_output(told)
        output = server.output()
        assert not_told not in output
        assert "WRONG" not in output
        # `Cancelled` does not count as an exception, at which this server would stop.
        assert "Traceback" not in output


def test_a_request_that_is_cancelled_while_it_waits_affects_no_other(program, tmp_path):
    source = """
    while True:
        with ai_integration.get_next_input(SCHEMA) as inputs:
            print("got", inputs["text"])
            if inputs["text"] == "hold":
                wait_for("go on")
            ai_integration.send_result(text(inputs["text"]))
    """
    with serve(program(CALLS + source), cwd=tmp_path) as server:
        with concurrent.futures.ThreadPoolExecutor(1) as threads:
            held = threads.submit(server.post, text="hold")
            server.wait_for_output("got hold")
            for number in range(5):
                with streaming(server, "given+up+%d" % number):
                    pass
            (tmp_path / "go on").touch()
            assert held.result().body == b"hold"
        assert server.post(text="last").body == b"last"
        assert "Traceback" not in server.output()


def test_a_batch_is_cancelled_when_all_its_clients_have_left(program, tmp_path):
    source = HELD + (
        "            if texts[0] in ('hold', 'next'):\n"
        "                ai_integration.send_results([answer(one) for one in texts])\n"
        "                continue\n"
        "            while not ai_integration.cancelled():\n"
        "                time.sleep(0.005)\n"
        "            print('nobody is left')\n"
        "            ai_integration.progress(0.5)\n"
        "            print('WRONG')\n"
    )
    with serve(program(BATCHES + source), cwd=tmp_path) as server:
        with streaming(server, "a"), streaming(server, "b"):
            server.wait_for_output(r"batch: .*'[ab]'")
        server.wait_for_output("nobody is left")
        assert server.post(text="next").body == b"NEXT"
        assert "WRONG" not in server.output()
        assert "Traceback" not in server.output()


# --- modes of one's own ---

OWN_MODE = """
def mine(inference_function=None, inputs_schema=None):
    import json
    for how in ["text", "bytes", "last", "iterator", "number", "failing"]:
        result = inference_function({"text": how})
        print(json.dumps([how, result["success"], result.get("content-type"),
                          repr(result.get("data")), result.get("error")]))

MODULE_MODES = {"mine": mine}
"""


def own_mode(program, tmp_path, source):
    folder = tmp_path / "modes"
    folder.mkdir()
    (folder / "mine.py").write_text(OWN_MODE)
    done = run(program(source), mode="mine", AI_INTEGRATION_MODES_PATH=folder)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {row[0]: row[1:] for row in rows}


def test_a_custom_mode_gets_the_chunks_joined(program, tmp_path):
    source = """
    last = {"last": "c", "iterator": iter(["c", "d"]), "number": 5}
    while True:
        with ai_integration.get_next_input(SCHEMA) as inputs:
            how = inputs["text"]
            ai_integration.progress(0.5)
            assert ai_integration.cancelled() is False
            ai_integration.send_chunk("a")
            ai_integration.send_chunk(b"\\xff" if how == "bytes" else "b")
            if how == "failing":
                ai_integration.send_result({"success": False, "error": "my words"})
            else:
                ai_integration.send_result(dict(text(last.get(how)), **{"content-type": None})
                                           if how == "bytes" else text(last.get(how)))
    """
    seen = own_mode(program, tmp_path, CALLS + source)
    assert seen == {
        "text": [True, "text/plain", "'ab'", None],
        "bytes": [True, "text/plain", repr(b"a\xff"), None],
        "last": [True, "text/plain", "'abc'", None],
        "iterator": [True, "text/plain", "'abcd'", None],
        "number": [True, "text/plain", "'ab5'", None],
        "failing": [False, None, "None", "my words"],
    }


def test_a_custom_mode_gets_batches_of_one(program, tmp_path):
    source = """
    while True:
        with ai_integration.get_next_inputs(SCHEMA) as batch:
            assert len(batch) == 1
            how = batch[0]["text"]
            if how == "failing":
                ai_integration.send_results([ValueError("no such word")])
            else:
                ai_integration.send_results([text(how)])
    """
    seen = own_mode(program, tmp_path, CALLS + source)
    assert seen["text"] == [True, "text/plain", "'text'", None]
    assert seen["failing"][0] is False
    assert "ValueError: no such word" in seen["failing"][3]


# --- large data ---

ECHO = """
    import ai_integration

    while True:
        with ai_integration.get_next_input({"data": {"type": "file"}}) as inputs:
            ai_integration.send_result(
                {"content-type": "application/octet-stream", "data": inputs["data"],
                 "success": True}
            )
"""
# A worker that does not announce shared memory, as on systems without it.
BY_HAND = """
    import json, os, socket, struct

    link = socket.socket(fileno=int(os.environ.pop("AI_INTEGRATION_LINK")))

    def exactly(size):
        data = b""
        while len(data) < size:
            piece = link.recv(min(size - len(data), 1 << 20))
            if not piece:
                os._exit(0)
            data += piece
        return data

    def send(header, body=b""):
        head = json.dumps(header).encode()
        link.sendall(struct.pack(">II", len(head), len(body)) + head + body)

    send({"type": "ready", "protocol": 1, "client": "by hand",
          "inputs_schema": {"data": {"type": "file"}}})
    while True:
        head_size, body_size = struct.unpack(">II", exactly(8))
        header, body = json.loads(exactly(head_size)), exactly(body_size)
        assert "shared" not in header
        if header["type"] == "job":
            send({"type": "start", "id": header["id"]})
            send({"type": "result", "id": header["id"], "success": True,
                  "content_type": "application/octet-stream", "data": "bytes"}, body)
"""
# Around the size from which memory files are used, and 0.1, 1 and 20 MB.
SIZES = [1, 65536, 100000, 262143, 262144, 262145, 1000000, 20000000]


def noise(size):
    return random.Random(size).randbytes(size)


@pytest.fixture(scope="module", params=[ECHO, BY_HAND], ids=["client", "by hand"])
def echo(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("echo") / "entrypoint.py"
    path.write_text(textwrap.dedent(request.param))
    if request.param is ECHO:
        with serve(path) as server:
            yield server
    else:
        with serve(path, command=[BINARY, "run"], MODE="http") as server:
            yield server


@pytest.mark.parametrize("size", SIZES)
def test_data_of_any_size_comes_back_as_it_was_sent(echo, size):
    sent = noise(size)
    answer = echo.post(data=sent)
    assert answer.status == 200, answer
    # Their difference would be long to print.
    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(sent).digest()


def test_large_data_of_many_requests_is_not_mixed_up(echo):
    def ask(number):
        sent = noise(300000 + number)
        return echo.post(data=sent).body == sent

    with concurrent.futures.ThreadPoolExecutor(6) as threads:
        assert all(threads.map(ask, range(30)))


def test_large_data_on_the_command_line(program, tmp_path):
    given, result = tmp_path / "given", tmp_path / "result"
    given.write_bytes(noise(5000000))
    done = run(program(ECHO), "--data", given, "--output", result)
    assert done.returncode == 0, done.stderr
    assert result.read_bytes() == given.read_bytes()


# --- functions that name their inputs ---

NAMING = """
    import functools
    from ai_integration.public_interface import start_loop

    def told(*words):
        return {"content-type": "text/plain", "data": repr(words), "success": True}

    def two(text, style):
        return told(text, style)

    def keywords(*, text, style="ink"):
        return told(text, style)

    def rest(*, text, **more):
        return told(text, sorted(more.items()))

    class Model:
        def infer(self, text, style):
            return told(text, style)

    SCHEMA = {"text": {"type": "text"}, "style": {"type": "text", "required": False}}
    start_loop(inference_function=FUNCTION, inputs_schema=SCHEMA)
"""
FUNCTIONS = {
    "two": "('hi', 'oil')",
    "keywords": "('hi', 'oil')",
    "Model().infer": "('hi', 'oil')",
    "functools.partial(keywords, style='mine')": "('hi', 'mine')",
    "rest": "('hi', [('style', 'oil'), ('token', 'x')])",
    "lambda inputs: told(inputs['text'], inputs['token'])": "('hi', 'x')",
}


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("mode", compat.MODES_FOR_ANY_INPUT)
def test_a_function_gets_the_inputs_that_it_names_and_no_others(program, tmp_path, mode, function):
    path = program(NAMING.replace("FUNCTION", function))
    given = {"text": "hi", "style": "oil", "token": "x"}
    if mode == "command_line":
        done = run(path, "--text=hi", "--style=oil", "--option", "token=x", mode=mode)
        assert done.stdout.decode() == FUNCTIONS[function] + "\n", done.stderr
    else:
        reply = compat.ask(mode, path, given, tmp_path)
        assert reply.text.strip() == FUNCTIONS[function], reply
