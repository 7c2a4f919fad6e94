"""Batches of requests: each client gets its own result; a failed request fails no other."""

import collections
import http.client
import json
import re
import sys
import textwrap
import threading
import time
import urllib.parse

import pytest
from support import BINARY, Answer, eventually, in_background, multipart, run, serve

# What the models below have in common. The request "hold" keeps its batch until a file appears.
HEAD = """
    import json, os, sys, time
    import ai_integration

    SCHEMA = {"text": {"type": "text"}}
    batches = []

    def text(data):
        return {"content-type": "text/plain", "data": data, "success": True}

    def begin(batch):
        batches.append(batch)
        texts = [inputs["text"] for inputs in batch]
        print("batch %d: %s" % (len(batches), texts))
        while "hold" in texts and not os.path.exists("release"):
            time.sleep(0.005)

    # Returns the reversed text, the number and the size of its batch, and the process.
    def answer(inputs):
        about = [inputs["text"][::-1], len(batches), len(batches[-1]), os.getpid()]
        return text(json.dumps(about))

    def answers(batch):
        begin(batch)
        return [answer(inputs) for inputs in batch]
"""

LOOP = """
    while True:
        with ai_integration.get_next_inputs(SCHEMA, max_batch_size=8, max_wait_ms=20) as batch:
            ai_integration.send_results(answers(batch))
"""

START_LOOP = """
    ai_integration.public_interface.start_loop(answers, SCHEMA, max_batch_size=8, max_wait_ms=20)
"""

# The model fails in a different way for each text.
FAILING = """
    def failing(inputs):
        if inputs["text"] == "failed":
            return {"content-type": "text/plain", "data": None, "success": False,
                    "error": "the model's own words"}
        if inputs["text"] == "exception":
            return KeyError("handed over")
        if inputs["text"] == "raised":
            try:
                raise LookupError("was raised")
            except LookupError as error:
                return error
        if inputs["text"] == "unsendable":
            return text(object())
        if inputs["text"] == "nothing":
            return None
        return answer(inputs)

    def answers(batch):
        begin(batch)
        return [failing(inputs) for inputs in batch]
"""

styles = pytest.mark.parametrize("style", [LOOP, START_LOOP], ids=["loop", "start_loop"])


def connect(server):
    address = urllib.parse.urlsplit(server.url)
    return http.client.HTTPConnection(address.hostname, address.port, timeout=30)


def send(server, path="/infer", headers=None, **fields):
    """Sends a whole request, and returns a function that waits for the response."""
    connection = connect(server)
    body, kind = multipart(fields)
    connection.request("POST", path, body, {"Content-Type": kind, **(headers or {})})

    def answer():
        try:
            received = connection.getresponse()
            return Answer(received.status, received.headers, received.read())
        finally:
            connection.close()

    return answer


def arrived(server):
    """Returns the number of jobs so far: those that wait, run or have ended."""
    jobs = r"^ai_integration_(?:queue_depth|jobs_in_flight|jobs_total\{.*\}) (\d+)$"
    return sum(map(int, re.findall(jobs, server.get("/metrics").body.decode(), re.MULTILINE)))


def together(server, folder, requests):
    """Sends all requests (dicts of fields) while the model is held, so that those that fit into a
    batch are one, and gives the answers in order."""
    held = in_background(server.post, text="hold")
    server.wait_for_output(r"batch \d+: \['hold'\]")
    before = arrived(server)
    waiting = [send(server, **fields) for fields in requests]
    eventually(lambda: arrived(server) == before + len(requests), "all requests have arrived")
    (folder / "release").touch()
    # The responses are read at the same time: a stream of a batch waits for the readers of the
    # others.
    reading = [in_background(answer) for answer in waiting]
    answers = [answer() for answer in reading]
    assert held().status == 200
    return answers


def texts(*words):
    return [{"text": word} for word in words]


def at_once(count, ask):
    """Calls `ask(number)` on `count` threads at once, and returns the results in order."""
    gate = threading.Barrier(count)

    def wait_and_ask(number):
        gate.wait(30)
        return ask(number)

    return [result() for result in [in_background(wait_and_ask, n) for n in range(count)]]


def json_of(answer):
    assert answer.status == 200, answer
    return answer.json()


def process_of(answer):
    """Returns the id of the process in a response of the model's function `answer`."""
    return json_of(answer)[3]


# Which client gets which result, and in which batch


@styles
def test_each_of_many_concurrent_requests_gets_its_own_result_of_a_batch(program, style):
    slow = HEAD.replace("begin(batch)\n", "begin(batch); time.sleep(0.01)\n")
    assert slow != HEAD
    with serve(program(slow + style)) as server:
        answers = at_once(120, lambda number: server.post(text="request %d" % number))
        members = collections.Counter()
        sizes = {}
        for number, answer in enumerate(answers):
            reversed_text, turn, size, _ = json_of(answer)
            assert reversed_text == ("request %d" % number)[::-1]
            members[turn] += 1
            sizes[turn] = size
        # Each member of each batch got its own response.
        assert members == sizes
        assert max(sizes.values()) == 8
        assert len(sizes) <= 40


@styles
@pytest.mark.parametrize("workers", [1, 2])
def test_waiting_requests_run_in_full_batches_and_never_larger_ones(
    program, tmp_path, style, workers
):
    options = {"cwd": tmp_path, "AI_INTEGRATION_WORKERS": workers}
    with serve(program(HEAD + style), **options) as server:
        words = ["request %d" % number for number in range(60)]
        about = [json_of(answer) for answer in together(server, tmp_path, texts(*words))]
        assert [one[0][::-1] for one in about] == words
        sizes = {(pid, turn): size for _, turn, size, pid in about}
        assert sum(sizes.values()) == 60
        assert max(sizes.values()) <= 8
        if workers == 1:
            assert sorted(sizes.values()) == [4] + [8] * 7


def test_a_batch_may_have_one_member(program, tmp_path):
    source = HEAD + LOOP.replace("max_batch_size=8", "max_batch_size=1")
    with serve(program(source), cwd=tmp_path) as server:
        answers = together(server, tmp_path, texts("a", "b", "c"))
        assert [json_of(answer)[:3] for answer in answers] == [
            ["a", 2, 1],
            ["b", 3, 1],
            ["c", 4, 1],
        ]


# How long a batch waits for more


@styles
def test_a_lone_request_is_begun_at_once(program, style):
    source = HEAD + style.replace("max_wait_ms=20", "max_wait_ms=2000")
    with serve(program(source)) as server:
        for number in range(3):
            begin = time.monotonic()
            assert json_of(server.post(text="alone"))[:3] == ["enola", number + 1, 1]
            assert time.monotonic() - begin < 0.5
            # After this pause the next request is not part of a burst.
            time.sleep(0.3)


def test_a_client_that_asks_one_by_one_is_never_kept_waiting(program):
    source = HEAD + LOOP.replace("max_wait_ms=20", "max_wait_ms=2000")
    with serve(program(source)) as server:
        for number in range(40):
            begin = time.monotonic()
            assert json_of(server.post(text="x"))[1] == number + 1
            assert time.monotonic() - begin < 0.5


@styles
def test_a_burst_at_an_idle_worker_ends_in_few_batches(program, style):
    slow = HEAD.replace("begin(batch)\n", "begin(batch); time.sleep(0.05)\n")
    source = slow + style.replace("max_wait_ms=20", "max_wait_ms=100")
    with serve(program(source)) as server:
        answers = at_once(8, lambda number: server.post(text=str(number)))
        assert [json_of(answer)[0] for answer in answers] == [str(n) for n in range(8)]
        assert len({json_of(answer)[1] for answer in answers}) <= 3


def test_a_wait_of_zero_is_allowed(program, tmp_path):
    source = HEAD + LOOP.replace("max_wait_ms=20", "max_wait_ms=0")
    with serve(program(source), cwd=tmp_path) as server:
        answers = together(server, tmp_path, texts(*"abcde"))
        assert [json_of(answer)[2] for answer in answers] == [5] * 5


# Failures in a batch


@styles
def test_a_member_fails_alone(program, tmp_path, style):
    words = ["first", "failed", "exception", "raised", "unsendable", "nothing", "last"]
    with serve(program(HEAD + FAILING + style), cwd=tmp_path) as server:
        answers = dict(zip(words, together(server, tmp_path, texts(*words))))
        assert json_of(answers["first"])[:3] == ["tsrif", 2, 7]
        assert json_of(answers["last"])[:3] == ["tsal", 2, 7]
        told = {
            "failed": "the model's own words",
            "exception": "KeyError: 'handed over'",
            "raised": "LookupError: was raised",
            "unsendable": "cannot be sent",
            "nothing": "",
        }
        for word, detail in told.items():
            assert answers[word].status == 500, answers[word]
            assert answers[word].json()["code"] == "model_failed"
            assert detail in answers[word].json()["detail"]
        assert "Traceback" in answers["raised"].json()["detail"]
        assert process_of(server.post(text="on")) == process_of(answers["first"])


# Iterators of chunks that raise at the start or later.
ITERATING = """
    def pieces(word):
        if word == "bad at once":
            raise ValueError("no first piece")
        for number in range(3):
            yield "%s %d\\n" % (word, number)
            if word == "bad later":
                raise ValueError("no second piece")

    def answers(batch):
        begin(batch)
        return [text(pieces(inputs["text"])) for inputs in batch]
"""


@styles
@pytest.mark.parametrize("policy", ["stop", "continue"])
def test_an_iterator_that_raises_fails_only_its_own_request(program, tmp_path, style, policy):
    source = program(HEAD + ITERATING + style)
    options = {"cwd": tmp_path, "AI_INTEGRATION_ON_EXCEPTION": policy}
    with serve(source, **options) as server:
        words = ["one", "bad at once", "bad later", "two"]
        requests = texts(*words)
        # At this address the chunks are joined, so a later failure can still be reported.
        requests[2]["path"] = "/"
        one, at_the_start, later, two = together(server, tmp_path, requests)
        assert one.body == b"one 0\none 1\none 2\n"
        assert two.body == b"two 0\ntwo 1\ntwo 2\n"
        assert at_the_start.status == 500
        assert "ValueError: no first piece" in at_the_start.json()["detail"]
        assert "ValueError: no second piece" in later.json()["err"]
        # It is still the author's error.
        server.wait_for_output("Traceback")
        assert server.post(text="on").body == b"on 0\non 1\non 2\n"
        assert ("starting it again" in server.output()) == (policy == "stop")


# Hands over a wrong number of results, or no list, if a text of the batch asks for it.
WRONG_LENGTH = """
    def answers(batch):
        begin(batch)
        results = [answer(inputs) for inputs in batch]
        words = [inputs["text"] for inputs in batch]
        if "short" in words:
            return results[1:]
        if "long" in words:
            return results + results
        if "dict" in words:
            return results[0]
        if "iterator" in words:
            return iter(results)
        if "None" in words:
            return None
        return results
"""

CATCHING = """
    while True:
        with ai_integration.get_next_inputs(SCHEMA, max_batch_size=8, max_wait_ms=20) as batch:
            try:
                ai_integration.send_results(answers(batch))
            except ValueError as error:
                print("caught:", error)
"""

wrong_lengths = pytest.mark.parametrize(
    ("word", "given"),
    [
        ("short", "2 results"),
        ("long", "6 results"),
        ("dict", "a dict"),
        ("iterator", "a list_iterator"),
        ("None", "a NoneType"),
    ],
)


@wrong_lengths
def test_a_list_of_the_wrong_length_fails_all_members_and_raises(program, tmp_path, word, given):
    with serve(program(HEAD + WRONG_LENGTH + CATCHING), cwd=tmp_path) as server:
        before = process_of(server.post(text="before"))
        answers = together(server, tmp_path, texts("x", word, "z"))
        expected = "send_results was called with %s for a batch of 3" % given
        for answer in answers:
            assert answer.status == 500
            assert answer.json()["code"] == "model_failed"
            assert "Programming Error" in answer.json()["detail"]
            assert expected in answer.json()["detail"]
        server.wait_for_output("caught: Programming Error: " + expected)
        assert process_of(server.post(text="after")) == before


@styles
def test_a_program_that_does_not_catch_the_wrong_length_is_started_again(program, tmp_path, style):
    options = {"cwd": tmp_path, "AI_INTEGRATION_ON_EXCEPTION": "stop"}
    with serve(program(HEAD + WRONG_LENGTH + style), **options) as server:
        before = process_of(server.post(text="before"))
        for answer in together(server, tmp_path, texts("x", "short", "z")):
            assert answer.status == 500
            assert "Programming Error" in answer.json()["detail"]
        assert process_of(server.post(text="after")) != before
        server.wait_for_output("ValueError: Programming Error")


RAISING = """
    def answers(batch):
        begin(batch)
        if any(inputs["text"] == "raise" for inputs in batch):
            raise ArithmeticError("does not add up")
        return [answer(inputs) for inputs in batch]
"""


@styles
@pytest.mark.parametrize("policy", ["auto", "stop", "continue"])
@pytest.mark.parametrize("retry", [None, 0])
def test_after_an_exception_in_the_block_only_the_faulty_member_fails(
    program, tmp_path, style, policy, retry
):
    options = {
        "cwd": tmp_path,
        "AI_INTEGRATION_ON_EXCEPTION": policy,
        "AI_INTEGRATION_RETRY": retry,
    }
    with serve(program(HEAD + RAISING + style), **options) as server:
        before = process_of(server.post(text="before"))
        x, raising, z = together(server, tmp_path, texts("x", "raise", "z"))
        for answer in [raising] if retry is None else [x, raising, z]:
            assert answer.status == 500
            assert answer.json()["code"] == "model_failed"
            assert "Traceback" in answer.json()["detail"]
            assert "ArithmeticError: does not add up" in answer.json()["detail"]
        if retry is None:
            # Each of them ran again, in a batch of one.
            assert json_of(x)[0::2][:2] == ["x", 1]
            assert json_of(z)[0::2][:2] == ["z", 1]
        after = process_of(server.post(text="after"))
        keeps = policy == "continue" or (policy == "auto" and style == LOOP)
        assert (after == before) == keeps
        server.wait_for_output("ArithmeticError: does not add up")


@pytest.mark.parametrize("end", ["os._exit(9)", "os.kill(os.getpid(), 11)", "sys.exit(9)"])
@pytest.mark.parametrize("retry", [None, 0])
def test_after_a_crash_only_the_member_that_caused_it_fails(program, tmp_path, end, retry):
    source = RAISING.replace('raise ArithmeticError("does not add up")', "import sys; " + end)
    assert source != RAISING
    options = {"cwd": tmp_path, "AI_INTEGRATION_RETRY": retry}
    with serve(program(HEAD + source + LOOP), **options) as server:
        words = ["a", "raise"] + ["b"] * 6 + ["c"] * 8
        answers = together(server, tmp_path, texts(*words))
        culprits = [answers[1]] if retry is None else answers[:8]
        for answer in culprits:
            assert answer.status == 500
            cause = "sys.exit(9)" if "sys" in end else "exit status 9" if "9" in end else "SIGSEGV"
            assert cause in answer.json()["detail"]
        for word, answer in zip(words, answers):
            if answer not in culprits:
                assert json_of(answer)[0] == word


def test_a_member_that_has_sent_a_chunk_is_not_run_again(program, tmp_path):
    source = """
    def pieces(word):
        for number in range(3):
            yield "%s %d " % (word, number)
            if word == "deadly" and number == 1:
                os._exit(9)

    def answers(batch):
        begin(batch)
        return [text(pieces(inputs["text"])) for inputs in batch]
    """
    with serve(program(HEAD + source + LOOP), cwd=tmp_path) as server:
        words = ["deadly", "other"]
        requests = [{"text": word, "headers": EVENTS} for word in words]
        for word, answer in zip(words, together(server, tmp_path, requests)):
            events = events_of(answer)
            said = [data["text"] for name, data in events if name == "chunk"]
            assert said in (["%s 0 " % word], ["%s 0 " % word, "%s 1 " % word])
            assert events[-1][0] == "error"
        assert server.post(text="on").body == b"on 0 on 1 on 2 "


def test_a_member_is_run_again_within_its_own_time(program, tmp_path):
    source = RAISING.replace("raise Arithmetic", "time.sleep(0.6); raise Arithmetic")
    options = {"cwd": tmp_path, "AI_INTEGRATION_TIMEOUT": 1}
    with serve(program(HEAD + source + LOOP), **options) as server:
        words = ["x", "raise", "z"]
        begun = time.monotonic()
        answers = together(server, tmp_path, texts(*words))
        assert time.monotonic() - begun < 5
        assert answers[1].status in (500, 504)
        assert json_of(answers[0])[0] == "x"


def test_a_block_without_results_fails_all_members(program, tmp_path):
    loop = """
    while True:
        with ai_integration.get_next_inputs(SCHEMA, max_batch_size=8) as batch:
            results = answers(batch)
            if batches[-1][0]["text"] != "nothing":
                ai_integration.send_results(results)
    """
    with serve(program(HEAD + loop), cwd=tmp_path) as server:
        before = process_of(server.post(text="before"))
        for answer in together(server, tmp_path, texts("nothing", "y", "z")):
            assert answer.status == 500
            assert "Programming Error" in answer.json()["detail"]
            assert "without send_result" in answer.json()["detail"]
        assert process_of(server.post(text="after")) == before


# Functions in the wrong place


def test_a_second_list_of_results_is_refused_with_a_warning(program, tmp_path):
    loop = """
    while True:
        with ai_integration.get_next_inputs(SCHEMA, max_batch_size=8) as batch:
            ai_integration.send_results(answers(batch))
            ai_integration.send_results([text("second") for _ in batch])
        ai_integration.send_results([text("late") for _ in batch])
    """
    with serve(program(HEAD + loop), cwd=tmp_path) as server:
        answers = together(server, tmp_path, texts("a", "b", "c"))
        assert [json_of(answer)[0] for answer in answers] == ["a", "b", "c"]
        assert json_of(server.post(text="after"))[0] == "retfa"
        server.wait_for_output("a second list of results for the same batch was ignored")
        server.wait_for_output("send_results was ignored: it was called with no request open")


@pytest.mark.parametrize(
    ("block", "call", "told"),
    [
        (
            "get_next_inputs",
            "send_result(text('x'))",
            "send_result was called in a block of get_next_inputs; it belongs in a block of"
            " get_next_input",
        ),
        (
            "get_next_input",
            "send_results([text('x')])",
            "send_results was called in a block of get_next_input; it belongs in a block of"
            " get_next_inputs",
        ),
        (
            "get_next_inputs",
            "send_chunk('x')",
            "send_chunk was called in a block of get_next_inputs; it belongs in a block of"
            " get_next_input",
        ),
    ],
)
@pytest.mark.parametrize("caught", [True, False])
def test_a_function_for_the_other_kind_of_block_raises_an_error(program, block, call, told, caught):
    loop = """
    while True:
        with ai_integration.%s(SCHEMA) as inputs:
            try:
                ai_integration.%s
            except RuntimeError as error:
                if not %s:
                    raise
                message = text(str(error))
            if isinstance(inputs, list):
                ai_integration.send_results([message for _ in inputs])
            else:
                ai_integration.send_result(message)
    """
    with serve(program(HEAD + loop % (block, call, caught))) as server:
        answer = server.post(text="x")
        if caught:
            assert answer.status == 200
            assert answer.body.decode().startswith(told)
        else:
            assert answer.status == 500
            assert "\nRuntimeError: " + told in answer.json()["detail"]


def test_a_batch_inside_a_batch_is_refused(program):
    loop = """
    while True:
        with ai_integration.get_next_inputs(SCHEMA) as batch:
            try:
                with ai_integration.get_next_inputs(SCHEMA) as more:
                    pass
            except RuntimeError as error:
                ai_integration.send_results([text(str(error)) for _ in batch])
    """
    with serve(program(HEAD + loop)) as server:
        for _ in range(2):
            assert b"while a request is open" in server.post(text="x").body


def test_a_batched_program_may_take_requests_one_by_one_too(program, tmp_path):
    loop = """
    turn = 0
    while True:
        turn += 1
        if turn % 3 == 2:
            with ai_integration.get_next_inputs(SCHEMA, max_batch_size=4) as batch:
                ai_integration.send_results(answers(batch))
        else:
            with ai_integration.get_next_input(SCHEMA) as inputs:
                ai_integration.send_result(answers([inputs])[0])
    """
    # The first call sets the maximum size of a batch. After `get_next_input` it is one.
    with serve(program(HEAD + loop), cwd=tmp_path) as server:
        words = [str(number) for number in range(20)]
        about = [json_of(answer) for answer in together(server, tmp_path, texts(*words))]
        assert [word for word, _, _, _ in about] == [word[::-1] for word in words]
        assert {size for _, _, size, _ in about} == {1}
        assert len({turn for _, turn, _, _ in about}) == 20


@pytest.mark.parametrize("ending", ["answered", "raised", "left"])
def test_after_a_batch_get_next_input_hands_the_members_out_one_by_one(program, tmp_path, ending):
    loop = """
    def one():
        with ai_integration.get_next_input(SCHEMA) as inputs:
            result = answers([inputs])[0]
            if inputs["text"] == "raised":
                raise ValueError("only this one")
            if inputs["text"] != "left":
                ai_integration.send_result(result)

    with ai_integration.get_next_inputs(SCHEMA, max_batch_size=8) as batch:
        ai_integration.send_results(answers(batch))
    while True:
        one()
    """
    options = {"cwd": tmp_path, "AI_INTEGRATION_ON_EXCEPTION": "continue"}
    with serve(program(HEAD + loop), **options) as server:
        words = ["a", "b", ending, "d", "e"] * 4
        answers = together(server, tmp_path, texts(*words))
        for number, (word, answer) in enumerate(zip(words, answers)):
            if word not in ("raised", "left"):
                assert json_of(answer)[:3] == [word[::-1], number + 2, 1]
                continue
            assert answer.status == 500
            told = {"raised": "ValueError: only this one", "left": "without send_result"}
            assert told[word] in answer.json()["detail"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("max_batch_size=0", "max_batch_size is 0; it is a whole number from 1 to 1024"),
        ("max_batch_size=-3", "max_batch_size is -3; it is a whole number"),
        ("max_batch_size=1025", "max_batch_size is 1025; it is a whole number"),
        ("max_batch_size=2.5", "max_batch_size is 2.5; it is a whole number"),
        ("max_batch_size=True", "max_batch_size is True; it is a whole number"),
        ("max_batch_size='8'", "max_batch_size is '8'; it is a whole number"),
        ("max_batch_size=4, max_wait_ms=-1", "max_wait_ms is -1; it is a number from 0 to 60000"),
        ("max_batch_size=4, max_wait_ms=60001", "max_wait_ms is 60001; it is a number"),
        ("max_batch_size=4, max_wait_ms='5'", "max_wait_ms is '5'; it is a number"),
        ("max_batch_size=4, max_wait_ms=None", "max_wait_ms is None; it is a number"),
        ("max_batch_size=4, max_wait_ms=float('nan')", "max_wait_ms is nan; it is a number"),
    ],
)
@pytest.mark.parametrize("style", ["get_next_inputs(", "public_interface.start_loop(answers, "])
def test_an_argument_that_makes_no_sense_is_a_value_error(arguments, told, style):
    # No request is waited for, so none of this needs an engine.
    source = "import ai_integration\nanswers = list\nai_integration.%s{}, %s)\n"
    done = run(source % (style, arguments), command=[sys.executable, "-c"])
    assert done.returncode == 1
    assert ("ValueError: " + told) in done.stderr.decode().splitlines()[-1]


# Events of a batch while it runs


def events_of(answer):
    """The names and data of server-sent events, without places in the queue and prints."""
    assert answer.status == 200, answer
    assert answer.type == "text/event-stream"
    found = re.findall(r"event: (\w+)\ndata: (.*)\n\n", answer.body.decode())
    return [(name, json.loads(data)) for name, data in found if name not in ("log", "queued")]


EVENTS = {"Accept": "text/event-stream"}


def test_progress_of_a_batch_reaches_every_listener(program, tmp_path):
    loop = """
    while True:
        with ai_integration.get_next_inputs(SCHEMA, max_batch_size=8, max_wait_ms=20) as batch:
            results = answers(batch)
            ai_integration.progress(0.25, "a quarter of %d" % len(batch))
            ai_integration.progress(1)
            ai_integration.send_results(results)
            ai_integration.progress(message="too late")
    """
    with serve(program(HEAD + loop), cwd=tmp_path) as server:
        requests = [{"text": word, "headers": EVENTS} for word in "abc"] + texts("d")
        answers = together(server, tmp_path, requests)
        for word, answer in zip("abc", answers):
            events = events_of(answer)
            assert [name for name, _ in events] == ["started", "progress", "progress", "result"]
            assert events[1][1] == {"fraction": 0.25, "message": "a quarter of 4"}
            assert events[2][1] == {"fraction": 1.0, "message": None}
            assert json.loads(events[3][1]["text"])[:3] == [word, 2, 4]
        assert json_of(answers[3])[:3] == ["d", 2, 4]


def test_the_chunks_of_a_batch_are_streamed_side_by_side(program, tmp_path):
    # Each member's next chunk comes only after the chunks before of all others.
    pieces = """
    order = []

    def pieces(word):
        for number in range(3):
            order.append(number)
            yield "%s%d " % (word, number)
        yield str(sorted(order[-3:]) == order[-3:])

    def answers(batch):
        begin(batch)
        order[:] = []
        return [text(pieces(inputs["text"])) for inputs in batch]
    """
    with serve(program(HEAD + pieces + LOOP), cwd=tmp_path) as server:
        requests = [{"text": word, "headers": EVENTS} for word in "ab"] + texts("c")
        first, second, third = together(server, tmp_path, requests)
        for word, answer in zip("ab", (first, second)):
            events = events_of(answer)
            assert [name for name, _ in events] == ["started"] + ["chunk"] * 4 + ["result"]
            said = "".join(data["text"] for name, data in events if name == "chunk")
            assert said.startswith("%s0 %s1 %s2 " % (word, word, word))
        assert third.body == b"c0 c1 c2 True"


def test_a_batch_is_cancelled_once_all_its_clients_have_left(program, tmp_path):
    loop = """
    while True:
        with ai_integration.get_next_inputs(SCHEMA, max_batch_size=8, max_wait_ms=20) as batch:
            results = answers(batch)
            while "gone" in [inputs["text"] for inputs in batch]:
                time.sleep(0.005)
                if ai_integration.cancelled():
                    print("noticed")
                    ai_integration.progress(0.5)
            ai_integration.send_results(results)
    """
    with serve(program(HEAD + loop), cwd=tmp_path) as server:
        before = process_of(server.post(text="before"))
        held = in_background(server.post, text="hold")
        server.wait_for_output(r"\['hold'\]")
        leaving = []
        for _ in range(2):
            connection = connect(server)
            body, kind = multipart({"text": "gone"})
            connection.request("POST", "/infer", body, {"Content-Type": kind})
            leaving.append(connection)
        assert server.get("/healthz").status == 200
        (tmp_path / "release").touch()
        assert held().status == 200
        server.wait_for_output(r"\['gone', 'gone'\]")
        leaving[0].close()
        # One client of the batch is still connected, so the next request waits for the batch.
        after = in_background(server.post, text="after")
        assert server.get("/healthz").status == 200
        assert "noticed" not in server.output()
        leaving[1].close()
        assert process_of(after()) == before
        assert server.times_printed("noticed", 1) == 1


def test_inputs_that_are_not_valid_never_reach_a_batch(program, tmp_path):
    source = (HEAD + LOOP).replace(
        '{"text": {"type": "text"}}', '{"text": {"type": "text"}, "steps": {"type": "integer"}}'
    )
    source = source.replace('inputs["text"][::-1]', 'inputs["text"] * inputs["steps"]')
    with serve(program(source), cwd=tmp_path) as server:
        held = in_background(server.post, text="hold", steps=1)
        server.wait_for_output(r"\['hold'\]")
        waiting = []
        for number in range(3):
            waiting.append(send(server, text="good", steps=number))
            # Refused at once, though the model is at work.
            for bad in ({"text": "bad", "steps": "many"}, {"text": "bad"}):
                refused = server.post(**bad)
                assert refused.status == 422
                assert refused.json()["errors"][0]["name"] == "steps"
        (tmp_path / "release").touch()
        about = [json_of(answer()) for answer in waiting]
        assert [one[:3] for one in about] == [["good" * n, 2, 3] for n in range(3)]
        assert held().status == 200
        assert "bad" not in server.output()


# Other modes


@styles
@pytest.mark.parametrize("command", [[sys.executable], [BINARY, "run"]], ids=["attached", "run"])
def test_a_batched_program_works_in_the_modes_that_ask_once(program, style, command):
    path = program(HEAD + style)
    begin = time.monotonic()
    done = run(path, "--text", "hello", mode="command_line", command=command)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])[:3] == ["olleh", 1, 1]
    done = run(path, mode="test_inputs_dict_json", stdin=b'{"text": "hi"}', command=command)
    assert done.returncode == 0, done.stderr
    assert b"ih" in done.stdout
    done = run(path, mode="test_model_integration", command=command)
    assert done.returncode == 0, done.stderr
    assert b"All 5 tries went well" in done.stdout
    assert time.monotonic() - begin < 10


@styles
def test_a_failure_of_a_batched_program_is_shown_on_the_command_line(program, style):
    done = run(program(HEAD + RAISING + style), "--text", "raise", mode="command_line")
    assert done.returncode == 1
    assert "ArithmeticError: does not add up" in done.stderr.decode()
    done = run(program(HEAD + FAILING + style), "--text", "failed", mode="command_line")
    assert done.returncode == 1
    assert "the model's own words" in done.stderr.decode()
    path = program(HEAD + WRONG_LENGTH + style)
    done = run(path, "--text", "long", mode="command_line")
    assert done.returncode == 1
    assert "send_results was called with 2 results for a batch of 1" in done.stderr.decode()


# A custom mode sends one request after the other, or several from threads.
MODES = """
    import faulthandler, json, threading

    # A call that never returns fails after 10 s, not after the timeout of the suite.
    faulthandler.dump_traceback_later(10, exit=True)

    def asking(inference_function=None, inputs_schema=None, words=("a", "b")):
        print(json.dumps([inference_function({"text": word}) for word in words]))

    def failing(inference_function=None, inputs_schema=None):
        words = ("failed", "exception", "unsendable", "raise", "short", "fine")
        asking(inference_function, words=words)

    def many(inference_function=None, inputs_schema=None):
        wrong = []
        def ask(number):
            for turn in range(20):
                word = "%d of %d" % (turn, number)
                if word[::-1] not in inference_function({"text": word})["data"]:
                    wrong.append(word)
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print("wrong:", wrong)

    MODULE_MODES = {"asking": asking, "failing": failing, "many": many}
"""


@pytest.fixture
def ask(program, tmp_path):
    """Runs a custom mode with a model, and gives the last line that was printed."""
    folder = tmp_path / "modes"
    folder.mkdir()
    (folder / "asking.py").write_text(textwrap.dedent(MODES))

    def ask(mode, source, **variables):
        done = run(program(source), mode=mode, AI_INTEGRATION_MODES_PATH=folder, **variables)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode().splitlines()[-1]

    return ask


@styles
def test_a_custom_mode_asks_a_batched_program(ask, style):
    results = json.loads(ask("asking", HEAD + style))
    assert [result["success"] for result in results] == [True, True]
    about = [json.loads(result["data"])[:3] for result in results]
    assert about == [["a", 1, 1], ["b", 2, 1]]
    assert ask("many", HEAD + style) == "wrong: []"


@styles
def test_a_custom_mode_gets_the_failures_of_a_batched_program(ask, style):
    source = FAILING.replace(
        "        return [failing(inputs) for inputs in batch]\n",
        """\
        if batch[0]["text"] == "raise":
            raise ArithmeticError("does not add up")
        if batch[0]["text"] == "short":
            return []
        return [failing(inputs) for inputs in batch]
""",
    )
    assert source != FAILING
    # A custom mode has no engine, so it accepts any object as data.
    source = source.replace("text(object())", "text('an object')")
    printed = ask("failing", HEAD + source + style, AI_INTEGRATION_ON_EXCEPTION="continue")
    failed, exception, _, raised, short, fine = json.loads(printed)
    assert failed["error"] == "the model's own words"
    assert "handed over" in exception["error"]
    assert "ArithmeticError: does not add up" in raised["error"]
    assert "send_results was called with 0 results for a batch of 1" in short["error"]
    assert [one["success"] for one in (failed, exception, raised, short)] == [False] * 4
    assert json.loads(fine["data"])[0] == "enif"


def test_in_a_custom_mode_chunks_are_joined(ask):
    loop = """
    while True:
        with ai_integration.get_next_input(SCHEMA) as inputs:
            word = inputs["text"]
            ai_integration.progress(0.5, "half")
            assert ai_integration.cancelled() is False
            ai_integration.send_chunk(word, "text/plain")
            ai_integration.send_chunk("2")
            ai_integration.send_result(text("3" if word == "a" else None))
    """
    first, second = json.loads(ask("asking", HEAD + loop))
    assert (first["success"], first["data"]) == (True, "a23")
    assert (second["success"], second["data"]) == (True, "b2")


def test_in_a_custom_mode_a_batch_may_report_its_progress(ask):
    loop = """
    while True:
        with ai_integration.get_next_inputs(SCHEMA, max_batch_size=4) as batch:
            results = answers(batch)
            ai_integration.progress(0.5, "half")
            assert ai_integration.cancelled() is False
            ai_integration.send_results(results)
    """
    results = json.loads(ask("asking", HEAD + loop))
    assert [json.loads(result["data"])[0] for result in results] == ["a", "b"]
