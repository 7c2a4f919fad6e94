"""The requests of Hugging Face's clients at `/`, by plain bytes."""

import base64
import concurrent.futures
import json

import pytest
from support import eventually, multipart, serve

# Answers with its inputs, or with the kind of result that the input `text` names.
TEXTS = r"""
import os, time
import ai_integration

SCHEMA = {
    "text": {"type": "text"},
    "candidate_labels": {"type": "json", "required": False},
    "max_new_tokens": {"type": "integer", "required": False},
}
RESULTS = {
    "text": "caf\u00e9",
    "file": {"content-type": "image/png", "data": b"\x89PNG\xff", "success": True},
    "files": {"content-type": "image/png", "data": [b"\x89PNG1", b"\x89PNG2"], "success": True},
    "nothing": {"content-type": "application/json", "data": "null", "success": True},
    "failure": {"success": False, "error": "too dark"},
}

def pieces(fails):
    yield "once "
    if fails:
        # The first piece has left the server by then.
        time.sleep(0.5)
        raise ValueError("out of paper")
    yield "upon"

while True:
    with ai_integration.get_next_input(inputs_schema=SCHEMA) as inputs:
        kind = inputs["text"]
        if kind == "crash":
            os._exit(3)
        elif kind == "slow":
            print("slow begins", flush=True)
            time.sleep(60)
        elif kind in ("pieces", "late"):
            ai_integration.send_result(pieces(kind == "late"))
        else:
            ai_integration.send_result(RESULTS.get(kind, dict(inputs)))
"""
# Answers with the length of its file and the other inputs.
FILES = r"""
import os
import ai_integration

KIND = os.environ["KIND"]
SCHEMA = {"file": KIND, "top_k": {"type": "integer", "required": False}}
SCHEMA["question"] = {"type": "text", "required": False}
while True:
    with ai_integration.get_next_input(inputs_schema=SCHEMA, task=os.environ["TASK"]) as inputs:
        data = inputs.pop("file")
        plain = data == b"plain" or KIND == "audio"
        ai_integration.send_result("heard" if plain else {"length": len(data), **inputs})
"""
JSON = {"Content-Type": "application/json"}
TEXT = "café"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def texts(folder):
    file = folder / "texts.py"
    file.write_text(TEXTS, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def files(folder):
    file = folder / "files.py"
    file.write_text(FILES, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def server(texts):
    settings = {"AI_INTEGRATION_QUEUE": 20, "AI_INTEGRATION_MAX_BODY": "100kB"}
    with serve(texts, **settings) as running:
        yield running


def post(server, headers=JSON, **members):
    return server.send("POST", "/", json.dumps(members).encode(), headers)


def ok(answer):
    status, headers, body = answer
    assert (status, headers["Content-Type"]) == (200, "application/json"), body
    return json.loads(body)


def error(answer):
    status, headers, body = answer
    assert headers["Content-Type"] == "application/json", body
    body = json.loads(body)
    assert list(body) == ["error"], body
    return status, body["error"]


def test_inputs_and_parameters_find_the_inputs_of_the_model(server):
    for members, expected in [
        ({"inputs": "a"}, {"text": "a"}),
        (
            {"inputs": "a", "parameters": {"max_new_tokens": 3, "top_k": 2}, "stream": False},
            {"max_new_tokens": 3, "text": "a"},
        ),
        ({"inputs": "a", "max_new_tokens": 3}, {"max_new_tokens": 3, "text": "a"}),
        ({"inputs": {"text": "a", "max_new_tokens": 3}}, {"text": "a", "max_new_tokens": 3}),
        (
            {"inputs": "a", "parameters": {"candidate_labels": ["x", "y"]}},
            {"candidate_labels": ["x", "y"], "text": "a"},
        ),
        (
            {"inputs": "a", "parameters": {"candidate_labels": "a"}},
            {"candidate_labels": "a", "text": "a"},
        ),
        ({"parameters": {}, "text": "a"}, {"text": "a"}),
        (
            {"inputs": ["a", "b"], "parameters": {"max_new_tokens": 1}},
            [{"max_new_tokens": 1, "text": "a"}, {"max_new_tokens": 1, "text": "b"}],
        ),
    ]:
        assert ok(post(server, **members)) == expected


def test_each_kind_of_result(server):
    any_text = dict.fromkeys(["generated_text", "summary_text", "translation_text"], TEXT)
    assert ok(post(server, inputs="text")) == [any_text]
    assert ok(post(server, inputs=["text", "b"])) == [any_text, {"text": "b"}]
    assert ok(post(server, inputs="nothing")) is None
    urls = ["data:image/png;base64," + base64.b64encode(b"\x89PNG%d" % n).decode() for n in (1, 2)]
    assert ok(post(server, inputs="files")) == urls
    status, headers, body = post(server, {**JSON, "Accept": "image/png"}, inputs="file")
    assert (status, headers["Content-Type"], body) == (200, "image/png", b"\x89PNG\xff")
    url = "data:image/png;base64," + base64.b64encode(b"\x89PNG\xff").decode()
    assert ok(post(server, inputs=["file"])) == [url]
    assert ok(post(server, inputs="pieces"))[0]["generated_text"] == "once upon"


def test_a_text_as_it_is_made(server):
    def ask(text):
        status, headers, body = post(server, inputs=text, stream=True)
        assert (status, headers["X-Accel-Buffering"]) == (200, "no"), body
        blocks = body.decode().split("\n\n")
        assert blocks.pop() == ""
        return [json.loads(block.removeprefix("data: ")) for block in blocks]

    *pieces, last = ask("pieces")
    assert [event["token"]["text"] for event in pieces] == ["once ", "upon"]
    assert [event["index"] for event in [*pieces, last]] == [1, 2, 3]
    assert {event["generated_text"] for event in pieces} == {None}
    assert (last["generated_text"], last["details"]["generated_tokens"]) == ("once upon", 2)
    assert last["token"]["special"] is True
    first, failure = ask("late")
    assert first["token"]["text"] == "once "
    assert list(failure) == ["error"]
    assert "out of paper" in failure["error"]
    assert error(post(server, inputs="failure", stream=True)) == (500, "too dark")


def test_a_file_without_a_name(files):
    with serve(files, KIND="file", TASK="classification") as server:
        encoded = base64.b64encode(b"abc").decode()
        for body, headers in [
            (b"abc", {}),
            (b"abc", {"Content-Type": ""}),
            (b"abc", {"Content-Type": "image/png"}),
            (b"abc", {"Content-Type": "text/plain"}),
            (b"abc", {"Content-Type": "application/octet-stream"}),
            (json.dumps({"inputs": encoded, "parameters": {}}).encode(), JSON),
        ]:
            assert ok(server.send("POST", "/", body, headers)) == {"length": 3}
        both = {"inputs": encoded, "parameters": {"top_k": 2}, "question": "?", "image": encoded}
        assert ok(post(server, **both)) == {"top_k": 2, "question": "?", "length": 3}
        twice = {"inputs": encoded, "parameters": {}, "question": "?", "file": encoded}
        assert ok(post(server, **twice)) == {"question": "?", "length": 3}
        assert ok(server.send("POST", "/", b"plain"))[0]["generated_text"] == "heard"


@pytest.mark.parametrize(("kind", "task"), [("audio", "text"), ("file", "transcription")])
def test_the_text_of_a_recording(files, kind, task):
    with serve(files, KIND=kind, TASK=task) as server:
        encoded = base64.b64encode(b"plain").decode()
        assert ok(server.send("POST", "/", b"plain")) == {"text": "heard"}
        assert ok(post(server, inputs=encoded, parameters={})) == {"text": "heard"}
        assert ok(post(server, inputs=[encoded])) == [{"text": "heard"}]


def test_a_text_of_a_chat_model_is_only_generated(program):
    source = """
        import ai_integration
        while True:
            schema = {"prompt": "text"}
            with ai_integration.get_next_input(inputs_schema=schema, task="chat") as inputs:
                ai_integration.send_result(inputs["prompt"] + "!")
    """
    with serve(program(source)) as server:
        assert ok(post(server, inputs="Hi")) == [{"generated_text": "Hi!"}]


def test_other_requests_stay_with_the_classic_dialect(server, program):
    for answer in [post(server, text="a"), post(server, text="a", parameters=3)]:
        assert ok(answer)["output"]["text"] == "a"
    body, kind = multipart({"text": "a", "inputs": "b"})
    form = ok(server.send("POST", "/", body, {"Content-Type": kind}))
    assert form["output"] == {"text": "a", "inputs": "b"}
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert ok(server.send("POST", "/", b"text=a&inputs=b", form))["output"]["text"] == "a"
    # This model takes no file, so that a file says nothing about the client.
    status, _, body = server.send("POST", "/", b"x", {"Content-Type": "image/png"})
    assert (status, list(json.loads(body))) == (415, ["err"])
    assert server.send("POST", "/")[0] == 422
    source = """
        import ai_integration
        schema = {"inputs": "text", "parameters": {"type": "json", "required": False}}
        while True:
            with ai_integration.get_next_input(inputs_schema=schema) as inputs:
                ai_integration.send_result(dict(inputs))
    """
    with serve(program(source)) as own:
        answer = ok(post(own, inputs="a", parameters={"b": 1}))
        assert answer["output"] == {"inputs": "a", "parameters": {"b": 1}}


def test_each_of_the_two_dialects_can_be_left_out(texts):
    with serve(texts, AI_INTEGRATION_DIALECTS="native,huggingface") as server:
        assert ok(post(server, inputs="a")) == {"text": "a"}
        for body, headers, expected, words in [
            (b'{"text": "a"}', JSON, 400, "neither"),
            (b"x", {"Content-Type": "image/png"}, 415, "inputs"),
            (b"text=a", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "a form"),
            (b"", {}, 415, "a form"),
            (b"{", JSON, 400, "not a JSON object"),
        ]:
            status, message = error(server.send("POST", "/", body, headers))
            assert (status, words in message) == (expected, True), message
        assert error(server.send("PUT", "/"))[0] == 405
    with serve(texts, AI_INTEGRATION_DIALECTS="native,classic") as server:
        status, _, body = post(server, inputs="a")
        assert (status, list(json.loads(body))) == (422, ["err"])


@pytest.mark.parametrize(
    ("members", "expected", "words"),
    [
        ({"inputs": {"txet": "a"}}, 400, "text: missing"),
        ({"inputs": None}, 400, "text: missing"),
        ({"inputs": []}, 400, "empty"),
        ({"inputs": "a", "parameters": 3}, 400, "not an object"),
        ({"inputs": "a", "parameters": {"max_new_tokens": "many"}}, 400, "max_new_tokens"),
        ({"inputs": "a", "stream": "yes"}, 400, "stream"),
        ({"inputs": ["a"], "stream": True}, 400, "stream"),
        ({"inputs": ["a"] * 21}, 413, "21 records"),
        ({"inputs": "failure"}, 500, "too dark"),
        ({"inputs": ["a", "failure"]}, 500, "too dark"),
        ({"inputs": "crash"}, 500, "3"),
    ],
)
def test_a_refusal_has_its_status_and_its_reason(server, members, expected, words):
    server.wait_until_ready()
    status, message = error(post(server, **members))
    assert (status, words in message) == (expected, True), message


def test_a_timeout_and_a_full_queue(texts):
    settings = {"AI_INTEGRATION_QUEUE": 1, "AI_INTEGRATION_STOP_TIMEOUT": "100ms"}
    with serve(texts, **settings) as server, concurrent.futures.ThreadPoolExecutor(2) as pool:
        hasty = {**JSON, "AI-Integration-Timeout": "0.3"}
        assert error(post(server, hasty, inputs="slow"))[0] == 504
        server.wait_until_ready()
        running = pool.submit(post, server, inputs="slow")
        eventually(lambda: server.output().count("slow begins") == 2, "a request runs")
        waiting = pool.submit(post, server, inputs="slow")
        queued = "ai_integration_queue_depth 1"
        eventually(lambda: queued in server.get("/metrics").body.decode(), "a request waits")
        answer = post(server, inputs="a")
        assert (error(answer)[0], answer[1]["Retry-After"]) == (503, "1")
        server.stop()
        assert {error(running.result())[0], error(waiting.result())[0]} == {503}


def test_refusals_before_the_form_of_a_request_is_known(texts):
    # They have the words of the classic dialect, or are problem documents. Both have `error` too.
    settings = {"AI_INTEGRATION_TOKEN": "secret", "AI_INTEGRATION_MAX_BODY": "1kB"}
    with serve(texts, **settings) as server:
        token = {**JSON, "Authorization": "Bearer secret"}
        evil = {**token, "Origin": "https://evil.test"}
        for headers, text, expected, same in [
            (JSON, "a", 401, "detail"),
            (evil, "a", 403, "detail"),
            (token, "a" * 2000, 413, "err"),
        ]:
            status, _, body = post(server, headers, inputs=text)
            body = json.loads(body)
            assert (status, body["error"]) == (expected, body[same])
