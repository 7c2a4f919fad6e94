"""OpenAI's API by plain bytes: chat completions, completions, their streams, and refusals."""

import base64
import concurrent.futures
import json
import re
import urllib.request

import pytest
from chat_model import (
    ID,
    JSON,
    MODEL,
    TEXT_MODEL,
    body,
    events,
    late_events,
    openai_error,
    opened,
    parsed,
    send,
)
from support import TIMEOUT, eventually, in_background, serve

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
RESPONSES = "/v1/responses"
NO_TOKENS = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
TOKENS = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    file = tmp_path_factory.mktemp("model") / "model.py"
    file.write_text(MODEL, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def server(model):
    settings = {"AI_INTEGRATION_MAX_BODY": "100kB", "AI_INTEGRATION_ERRORS": "brief"}
    with serve(model, OPEN=32, **settings) as running:
        yield running


@pytest.fixture(scope="module", autouse=True)
def thoughtful(server):
    """Begins a stream whose first token comes after the first comment."""

    def read():
        sent = body(stream=True, messages=said("thoughtful"))
        request = urllib.request.Request(server.url + CHAT, sent, JSON)
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            comment = answer.readline()
            send(server, CHAT, messages=said("go"))
            return answer.status, (comment + answer.read()).decode()

    return in_background(read)


def said(text):
    return [{"role": "user", "content": text}]


def chat(server, text, **more):
    status, answer = send(server, CHAT, model="gpt", messages=said(text), **more)
    assert status == 200
    assert re.fullmatch("chatcmpl-[0-9a-f]{32}", answer.pop("id"))
    assert answer.pop("created") > 1_700_000_000
    (choice,) = answer.pop("choices")
    usage = answer.pop("usage")
    assert answer == {"object": "chat.completion", "model": ID}
    assert (choice.pop("index"), choice.pop("logprobs")) == (0, None)
    assert (choice["message"].pop("role"), choice["message"].pop("refusal")) == ("assistant", None)
    return choice["message"], choice["finish_reason"], usage


def test_a_chat_completion_has_the_result_of_the_model(server):
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    for text, expected in [
        ("caf\u00e9", ({"content": "caf\u00e9"}, "stop", NO_TOKENS)),
        ("stream", ({"content": "once upon a time"}, "stop", NO_TOKENS)),
        ("json", ({"content": '{"answer":[1]}'}, "stop", NO_TOKENS)),
        ("object", ({"content": "hi"}, "length", TOKENS)),
        ("call", ({"content": None, "tool_calls": [call]}, "tool_calls", NO_TOKENS)),
    ]:
        assert chat(server, text) == expected, text
    message, reason, usage = chat(server, "parts")
    assert [one["function"]["arguments"] for one in message["tool_calls"]] == ['{"a": 1}', "{}"]
    assert (message["content"], reason, usage) == ("Let me see.", "tool_calls", TOKENS)


def test_the_options_that_the_schema_has_reach_the_model(server):
    message, _, _ = chat(
        server,
        "echo",
        temperature=0.5,
        max_completion_tokens=7,
        stop=["END"],
        user="me",
        top_p=None,
        metadata={"a": "b"},
    )
    given = json.loads(message["content"])
    assert given == {
        "messages": said("echo"),
        "temperature": 0.5,
        "max_tokens": 7,
        "stop": ["END"],
    }


def test_a_model_of_text_gets_the_last_message(program):
    picture = "data:image/png;base64," + base64.b64encode(PNG).decode()
    parts = [
        {"type": "text", "text": "what is this?"},
        {"type": "image_url", "image_url": {"url": picture}},
    ]
    messages = [{"role": "system", "content": "be nice"}, *said("hi"), *said(parts)]
    with serve(program(TEXT_MODEL)) as server:
        status, answer = send(server, CHAT, messages=messages, seed=7)
        assert status == 200
        assert json.loads(answer["choices"][0]["message"]["content"]) == {
            "prompt": "what is this?",
            "system": "be nice",
            "history": said("hi"),
            "seed": 7,
            "photo": len(PNG),
        }
        status, answer = send(server, CHAT, messages=said([*parts, parts[1]]))
        assert (status, answer["error"]["param"]) == (400, "photo")
        # The model has no other task.
        status, answer = send(server, "/v1/embeddings", input="a")
        assert (status, answer["error"]["type"]) == (404, "invalid_request_error")


def test_completions(server):
    for prompt in ("caf\u00e9", ["caf\u00e9"]):
        status, answer = send(server, COMPLETIONS, model="m", prompt=prompt)
        assert re.fullmatch("cmpl-[0-9a-f]{32}", answer.pop("id"))
        assert (status, answer.pop("created") > 0) == (200, True)
        choice = {"index": 0, "text": "caf\u00e9", "logprobs": None, "finish_reason": "stop"}
        expected = {"object": "text_completion", "model": ID, "usage": NO_TOKENS}
        assert answer == {**expected, "choices": [choice]}
    chunks = events(server, COMPLETIONS, prompt="stream", stream_options={"include_usage": True})
    assert chunks.pop() == (None, "[DONE]")
    *chunks, (_, last) = chunks
    assert (last["choices"], last["usage"]) == ([], NO_TOKENS)
    assert {(chunk["id"], chunk["object"], chunk["model"]) for _, chunk in chunks} == {
        (last["id"], "text_completion", ID)
    }
    choices = [chunk["choices"][0] for _, chunk in chunks]
    assert "".join(choice["text"] for choice in choices) == "once upon a time"
    reasons = [choice["finish_reason"] for choice in choices]
    assert (set(reasons[:-1]), reasons[-1]) == ({None}, "stop")


def deltas(chunks):
    """Returns the choices of a stream of chat completions."""
    heads = {(one["id"], one["object"], one["created"], one["model"]) for _, one in chunks}
    ((identity, kind, _, name),) = heads
    assert re.fullmatch("chatcmpl-[0-9a-f]{32}", identity)
    assert (kind, name) == ("chat.completion.chunk", ID)
    return [chunk["choices"] for _, chunk in chunks]


def choice(delta, reason=None):
    return [{"index": 0, "delta": delta, "finish_reason": reason}]


BEGIN = choice({"role": "assistant", "content": ""})


def test_a_streamed_chat_completion(server):
    for text in ("stream", "caf\u00e9 \u2028\n\"'"):
        *chunks, end = events(server, CHAT, messages=said(text), stream_options={})
        assert end == (None, "[DONE]")
        first, *middle, last = deltas(chunks)
        assert (first, last) == (BEGIN, choice({}, "stop"))
        content = "".join(one[0]["delta"]["content"] for one in middle)
        assert content == ("once upon a time" if text == "stream" else text)
        assert not any("usage" in chunk for _, chunk in chunks)
    options = {"include_usage": True}
    *chunks, _ = events(server, CHAT, messages=said("object"), stream_options=options)
    assert chunks.pop()[1]["usage"] == TOKENS
    assert deltas(chunks) == [BEGIN, choice({"content": "hi"}), choice({}, "length")]


def test_streamed_calls_of_tools(server):
    def call(number, arguments, **new):
        function = {"arguments": arguments}
        if new:
            function["name"] = new.pop("name")
            new["type"] = "function"
        return choice({"tool_calls": [{"index": number, "function": function, **new}]})

    *chunks, _ = events(server, CHAT, messages=said("parts"))
    assert deltas(chunks) == [
        BEGIN,
        choice({"content": "Let me see."}),
        call(0, "", id="c1", name="f"),
        call(0, '{"a":'),
        call(0, " 1}"),
        call(1, "{}", id="c2", name="g"),
        choice({}, "tool_calls"),
    ]


def test_a_late_failure_ends_the_stream_with_an_error(model):
    with serve(model, OPEN=4) as server:
        for text, code in [("late", "model_failed"), ("late crash", "model_crashed")]:
            eventually(lambda: server.get("/readyz").status == 200, "the model is ready")
            *_, (_, failed), end = late_events(server, CHAT, messages=said(text))
            error = failed.pop("error")
            assert (failed, end) == ({}, (None, "[DONE]"))
            words = {"model_failed": "it broke", "model_crashed": "exit status 3"}[code]
            assert words in error.pop("message")
            assert error == {"type": "server_error", "param": None, "code": code}
            refused = 'http_failures_total{code="%s"}' % code
            assert refused in server.get("/metrics").body.decode()


# --- refusals ---


INVALID = "invalid_request_error"
GOOD = body(messages=said("hello"))


@pytest.mark.parametrize(
    ("method", "path", "sent", "headers", "expected", "words"),
    [
        ("POST", CHAT, b"", JSON, (400, INVALID, None, "malformed_request"), "empty"),
        ("POST", CHAT, b"[]", JSON, (400, INVALID, None, "malformed_request"), "not a JSON object"),
        ("POST", CHAT, b"{}", JSON, (400, INVALID, "messages", "invalid_input"), "a list of"),
        (
            "POST",
            CHAT,
            body(messages=said("a"), stream_options=5),
            JSON,
            (400, INVALID, "stream_options", "invalid_input"),
            "an object",
        ),
        (
            "POST",
            CHAT,
            body(messages=said("a"), n=2),
            JSON,
            (400, INVALID, "n", "invalid_input"),
            "one answer",
        ),
        (
            "POST",
            COMPLETIONS,
            body(prompt=[[1, 2]]),
            JSON,
            (400, INVALID, "prompt", "invalid_input"),
            "tokens",
        ),
        (
            "POST",
            RESPONSES,
            body(input="a", previous_response_id="resp_1"),
            JSON,
            (400, INVALID, "previous_response_id", "invalid_input"),
            "stores nothing",
        ),
        (
            "POST",
            RESPONSES,
            body(input=[{"type": "item_reference"}]),
            JSON,
            (400, INVALID, "input[0]", "invalid_input"),
            "item_reference",
        ),
        ("GET", RESPONSES + "/resp_1", None, {}, (404, INVALID, None, "not_found"), "nothing"),
        ("POST", "/v1/moderations", GOOD, JSON, (404, INVALID, None, "not_found"), "nothing"),
        (
            "POST",
            CHAT,
            body(messages=said("fault")),
            JSON,
            (500, "server_error", None, "model_failed"),
            "content is not text",
        ),
    ],
)
def test_a_refusal_has_its_status_and_its_words(
    server, method, path, sent, headers, expected, words
):
    seen, message = openai_error(server.send(method, path, sent, headers))
    assert (seen, words in message) == (expected, True), message


def test_a_token_in_either_header_and_a_rate_limit(model):
    settings = {"AI_INTEGRATION_TOKEN": "secret", "AI_INTEGRATION_RATE_LIMIT": "3/h"}
    with serve(model, OPEN=1, **settings) as server:
        for headers, status in [
            ({"x-api-key": "secret"}, 200),
            ({"Authorization": "Bearer secret"}, 200),
        ]:
            assert server.send("POST", CHAT, GOOD, {**JSON, **headers})[0] == status
        answer = server.send("POST", CHAT, GOOD, {**JSON, "x-api-key": "wrong"})
        seen, message = openai_error(answer)
        assert seen == (401, "authentication_error", None, "unauthorized")
        assert "Bearer TOKEN" in message
        answer = server.send("POST", CHAT, GOOD, {**JSON, "x-api-key": "secret"})
        assert openai_error(answer)[0] == (429, "rate_limit_error", None, "rate_limited")
        assert int(answer[1]["Retry-After"]) > 0
        assert "secret" not in server.output()


def test_a_model_without_the_task(program):
    source = """
        import ai_integration
        while True:
            with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
                ai_integration.send_result(inputs["text"])
    """
    with serve(program(source), AI_INTEGRATION_DIALECTS="openai") as server:
        for path, sent, name in [
            (CHAT, GOOD, "chat"),
            (COMPLETIONS, body(prompt="a"), "completion"),
            (RESPONSES, body(input="a"), "chat"),
        ]:
            seen, message = openai_error(server.send("POST", path, sent, JSON))
            assert seen == (404, INVALID, None, "not_found")
            assert message == (
                'the model does not have the task "%s"; its author declares it with task="%s"'
                % (name, name)
            )
        # Without KServe's protocol this one answers about the model.
        listed = server.get("/v1/models").json()
        assert (listed["data"][0]["id"], listed["object"]) == (ID, "list")
        assert server.get("/v1/models/" + ID).json()["id"] == ID
        assert openai_error(server.send("GET", "/v1/models/other"))[0][0] == 404
        assert set(server.get("/openapi.json").json()["paths"]) >= {"/v1/models"}


def test_a_model_that_is_not_ready(program):
    source = """
        import ai_integration, time
        time.sleep(600)
        ai_integration.get_next_input(inputs_schema={})
    """
    settings = {"AI_INTEGRATION_DIALECTS": "openai"}
    with serve(program(source), ready=False, **settings) as server:
        answer = server.send("GET", "/v1/models")
        assert openai_error(answer)[0] == (503, "server_error", None, "model_unavailable")
        assert answer[1]["Retry-After"] == "1"
        headers = {**JSON, "AI-Integration-Timeout": "0.3"}
        assert openai_error(server.send("POST", CHAT, GOOD, headers))[0][0] == 504


# --- streams ---


def test_streams_of_many_clients_take_turns_and_stay_whole(server):
    def content(name):
        sent = events(server, CHAT, messages=said("many " + name))
        return "".join(one[0]["delta"].get("content", "") for one in deltas(sent[:-1]))

    names = ["client%d" % number for number in range(16)]
    with concurrent.futures.ThreadPoolExecutor(len(names)) as pool:
        for name, text in zip(names, pool.map(content, names)):
            assert text == "".join("%s-%d " % (name, number) for number in range(50))


def test_a_client_that_leaves_cancels_its_stream(server):
    with opened(server, CHAT, messages=said("endless")):
        pass
    server.wait_for_output("the stream was closed")


def test_each_address_is_counted_and_described(server):
    chat(server, "hello")
    count = 'http_requests_total{route="%s",status="200"}' % CHAT
    eventually(lambda: count in server.get("/metrics").body.decode(), count)
    described = server.get("/openapi.json").json()
    for path, member in [(CHAT, "messages"), (COMPLETIONS, "prompt"), (RESPONSES, "input")]:
        content = described["paths"][path]["post"]["requestBody"]["content"]
        schema = content["application/json"]["schema"]
        assert schema["required"] == [member]
        options = {"temperature", "max_tokens", "stop", "tools", "tool_choice"}
        assert set(schema["properties"]) == {member, "stream", *options}


def test_a_comment_keeps_a_quiet_stream_open(thoughtful):
    status, text = thoughtful()
    assert status == 200
    assert text.startswith(": the model is at work\n\ndata: ")
    *chunks, _ = parsed(text)
    assert deltas(chunks) == [BEGIN, choice({"content": "at last"}), choice({}, "stop")]
