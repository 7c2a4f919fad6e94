"""Anthropic's API by plain bytes: messages, and their streams."""

import json
import re

import pytest
from chat_model import ID, JSON, MODEL, anthropic_error, body, events, late_events, send
from support import serve

PATH = "/v1/messages"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    file = tmp_path_factory.mktemp("model") / "model.py"
    file.write_text(MODEL, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def server(model):
    with serve(model, OPEN=8, AI_INTEGRATION_MAX_BODY="100kB") as running:
        yield running


def said(text):
    return [{"role": "user", "content": text}]


def message(server, text, **more):
    """Returns the content of an answer, the reason of its end, and its numbers of tokens."""
    status, answer = send(server, PATH, model="claude", max_tokens=9, messages=said(text), **more)
    assert status == 200
    assert re.fullmatch("msg_[0-9a-f]{32}", answer.pop("id"))
    content, reason, usage = (answer.pop(name) for name in ("content", "stop_reason", "usage"))
    expected = {"type": "message", "role": "assistant", "model": ID, "stop_sequence": None}
    assert answer == expected
    return content, reason, (usage["input_tokens"], usage["output_tokens"])


def call(name, function, **arguments):
    return {"type": "tool_use", "id": name, "name": function, "input": arguments}


def text(content):
    return {"type": "text", "text": content}


def test_a_message_has_the_result_of_the_model(server):
    for given, expected in [
        ("caf\u00e9", ([text("caf\u00e9")], "end_turn", (0, 0))),
        ("stream", ([text("once upon a time")], "end_turn", (0, 0))),
        ("object", ([text("hi")], "max_tokens", (3, 4))),
        ("call", ([call("c1", "f", a=1)], "tool_use", (0, 0))),
        (
            "parts",
            ([text("Let me see."), call("c1", "f", a=1), call("c2", "g")], "tool_use", (3, 4)),
        ),
    ]:
        assert message(server, given) == expected, given


def test_a_request_is_converted_into_openais_messages(server):
    messages = [
        *said("hello"),
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                text("calling"),
                call("t1", "f", a=1),
            ],
        },
        *said(
            [
                {"type": "tool_result", "tool_use_id": "t1", "content": [text("sunny")]},
                {
                    "type": "tool_result",
                    "tool_use_id": "t2",
                    "content": "failed",
                    "is_error": True,
                },
                text("ec"),
                text("ho"),
                {
                    "type": "image",
                    "source": {"type": "base64", "media_type": "image/jpeg", "data": "AAAA"},
                },
                {"type": "image", "source": {"type": "url", "url": "https://a.test/b.png"}},
            ]
        ),
    ]
    tools = [{"name": "f", "description": "d", "input_schema": {"type": "object"}}]
    options = {"tools": tools, "tool_choice": {"type": "tool", "name": "f"}}
    options.update(stop_sequences=["END"], temperature=0.5, metadata={"user_id": "me"})
    status, answer = send(
        server, PATH, max_tokens=5, system=[text("be"), text("nice")], messages=messages, **options
    )
    assert status == 200
    function = {"name": "f", "description": "d", "parameters": {"type": "object"}}
    called = {"id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    assert json.loads(answer["content"][0]["text"]) == {
        "messages": [
            {"role": "system", "content": "be\nnice"},
            *said("hello"),
            {"role": "assistant", "content": "calling", "tool_calls": [called]},
            {"role": "tool", "tool_call_id": "t1", "content": "sunny"},
            {"role": "tool", "tool_call_id": "t2", "content": "failed", "is_error": True},
            *said(
                [
                    text("ec"),
                    text("ho"),
                    {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,AAAA"}},
                    {"type": "image_url", "image_url": {"url": "https://a.test/b.png"}},
                ]
            ),
        ],
        "temperature": 0.5,
        "max_tokens": 5,
        "stop": ["END"],
        "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
    }


def test_a_streamed_message(server):
    (_, start), (_, block), *deltas, (_, stop), (_, last), (_, end) = events(
        server, PATH, messages=said("stream")
    )
    assert start["type"] == "message_start"
    assert start["message"]["usage"] == {"input_tokens": 0, "output_tokens": 0}
    assert (start["message"]["content"], start["message"]["stop_reason"]) == ([], None)
    assert block == {"type": "content_block_start", "index": 0, "content_block": text("")}
    assert {name for name, _ in deltas} == {"content_block_delta"}
    assert {(one["index"], one["delta"]["type"]) for _, one in deltas} == {(0, "text_delta")}
    assert "".join(one["delta"]["text"] for _, one in deltas) == "once upon a time"
    assert stop == {"type": "content_block_stop", "index": 0}
    assert last == {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"input_tokens": 0, "output_tokens": 0},
    }
    assert end == {"type": "message_stop"}


def test_an_answer_has_the_id_of_its_request(server):
    for is_streamed in [False, True]:
        sent = body(messages=said("hi"), stream=is_streamed)
        status, headers, _ = server.send("POST", PATH, sent, {**JSON, "X-Request-Id": "one"})
        assert (status, headers["Request-Id"]) == (200, "one")


def test_streamed_calls_of_tools(server):
    sent = events(server, PATH, messages=said("parts"))
    assert all(name == data["type"] for name, data in sent)
    blocks = [
        (data["index"], data.get("delta") or data.get("content_block"))
        for name, data in sent
        if name.startswith("content_block")
    ]
    json_delta = "input_json_delta"
    calls = [
        (1, call("c1", "f")),
        (1, {"type": json_delta, "partial_json": '{"a": 1}'}),
        (1, None),
        (2, call("c2", "g")),
        (2, {"type": json_delta, "partial_json": "{}"}),
        (2, None),
    ]
    said_before = [
        (0, text("")),
        (0, {"type": "text_delta", "text": "Let me see."}),
        (0, None),
    ]
    assert blocks == [*said_before, *calls]
    # A block ends before the next one begins, though the model gives the parts in turn.
    in_turn = [
        (data["index"] + 1, data.get("delta") or data.get("content_block"))
        for name, data in events(server, PATH, messages=said("turns"))
        if name.startswith("content_block")
    ]
    assert in_turn == calls
    (_, last), _ = sent[-2:]
    assert last["delta"]["stop_reason"] == "tool_use"
    assert last["usage"] == {"input_tokens": 3, "output_tokens": 4}


def test_a_call_whose_arguments_are_cut_off_is_a_failure(server):
    status, answer = send(server, PATH, messages=said("cut"))
    assert (status, error(answer)[0]) == (500, "api_error")
    assert "the arguments of tool_calls[0] are not a JSON object" in error(answer)[1]


def error(data):
    """Returns the type and the message of an error."""
    assert sorted(data) == ["error", "request_id", "type"]
    assert (data["type"], sorted(data["error"])) == ("error", ["message", "type"])
    return data["error"]["type"], data["error"]["message"]


def test_a_late_failure_ends_the_stream_with_an_error(model):
    with serve(model, OPEN=2, AI_INTEGRATION_ERRORS="brief") as server:
        *_, (name, data) = late_events(server, PATH, messages=said("late"))
        assert (name, error(data)) == ("error", ("api_error", "RuntimeError: it broke"))


GOOD = body(messages=said("hello"))
INVALID = (400, "invalid_request_error")
FILE = {"type": "document"}
UNKNOWN = {"type": "image", "source": {"type": "file", "file_id": "f"}}


@pytest.mark.parametrize(
    ("method", "path", "sent", "headers", "expected", "words"),
    [
        ("POST", PATH, b"{}", JSON, INVALID, "messages: expected a list"),
        ("POST", PATH, body(messages=["a"]), JSON, INVALID, "messages[0]: expected an object"),
        ("POST", PATH, body(messages=said([FILE])), JSON, INVALID, '"document"'),
        ("POST", PATH, body(messages=said([UNKNOWN])), JSON, INVALID, '"file"'),
        ("POST", PATH, body(messages=said("a"), system=5), JSON, INVALID, "system: expected"),
        ("POST", PATH, body(messages=said(5), system="s"), JSON, INVALID, "messages[0].content:"),
        ("POST", PATH + "/count_tokens", GOOD, JSON, (404, "not_found_error"), "nothing"),
    ],
)
def test_a_refusal_has_its_status_and_its_words(
    server, method, path, sent, headers, expected, words
):
    seen, said_of_it = anthropic_error(server.send(method, path, sent, headers))
    assert (seen, words in said_of_it) == (expected, True), said_of_it


def test_a_token_and_a_rate_limit(model):
    settings = {"AI_INTEGRATION_TOKEN": "secret", "AI_INTEGRATION_RATE_LIMIT": "2/h"}
    with serve(model, OPEN=1, **settings) as server:
        headers = {**JSON, "x-api-key": "secret", "anthropic-version": "2023-06-01"}
        assert server.send("POST", PATH, GOOD, headers)[0] == 200
        assert anthropic_error(server.send("POST", PATH, GOOD, JSON))[0] == (
            401,
            "authentication_error",
        )
        answer = server.send("POST", PATH, GOOD, headers)
        assert anthropic_error(answer)[0] == (429, "rate_limit_error")
        assert int(answer[1]["Retry-After"]) > 0


def test_a_model_without_the_task(program):
    source = """
        import ai_integration
        while True:
            with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
                ai_integration.send_result(inputs["text"])
    """
    with serve(program(source)) as server:
        seen, words = anthropic_error(server.send("POST", PATH, GOOD, JSON))
        assert seen == (404, "not_found_error")
        assert 'task="chat"' in words
        assert PATH not in server.get("/openapi.json").json()["paths"]


def test_the_address_is_described(server):
    operation = server.get("/openapi.json").json()["paths"][PATH]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert schema["required"] == ["messages"]
