"""OpenAI's API of responses, by plain bytes."""

import json

import pytest
from chat_model import ID, MODEL, events, late_events, send
from support import serve

RESPONSES = "/v1/responses"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    file = tmp_path_factory.mktemp("model") / "model.py"
    file.write_text(MODEL, encoding="utf-8")
    with serve(file, OPEN=4, AI_INTEGRATION_ERRORS="brief") as running:
        yield running


def said(text):
    return [{"role": "user", "content": text}]


def test_a_whole_response(server):
    status, answer = send(server, RESPONSES, input="parts", instructions="be nice")
    assert (status, answer["object"], answer["model"]) == (200, "response", ID)
    assert (answer["status"], answer["error"], answer["store"]) == ("completed", None, False)
    assert answer["usage"] == {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 7,
    }
    message, first, second = answer["output"]
    (part,) = message["content"]
    assert (message["type"], message["role"], part["text"]) == (
        "message",
        "assistant",
        "Let me see.",
    )
    assert (part["type"], part["text"], part["annotations"]) == ("output_text", "Let me see.", [])
    for call, expected in [(first, ("c1", "f", '{"a": 1}')), (second, ("c2", "g", "{}"))]:
        assert (call["call_id"], call["name"], call["arguments"]) == expected
        assert (call["type"], call["status"]) == ("function_call", "completed")
    _, answer = send(server, RESPONSES, input="details")
    assert answer["usage"]["input_tokens_details"] == {"cached_tokens": 2}
    assert answer["usage"]["output_tokens_details"] == {"reasoning_tokens": 1}
    status, answer = send(server, RESPONSES, input="object")
    assert (answer["status"], answer["incomplete_details"]["reason"]) == (
        "incomplete",
        "max_output_tokens",
    )


def test_the_items_of_a_response_become_messages(server):
    items = [
        {"role": "developer", "content": "be brief"},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "g", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "echo"},
                {"type": "input_image", "image_url": "data:,"},
            ],
        },
    ]
    tools = [{"type": "function", "name": "f", "parameters": {"type": "object"}}]
    more = {"instructions": "be nice", "tools": tools, "max_output_tokens": 5}
    more["tool_choice"] = {"type": "function", "name": "f"}
    _, answer = send(server, RESPONSES, input=items, previous_response_id=None, **more)
    given = json.loads(answer["output"][0]["content"][0]["text"])
    calls = [
        {"id": name, "type": "function", "function": {"name": function, "arguments": "{}"}}
        for name, function in [("c1", "f"), ("c2", "g")]
    ]
    function = {"name": "f", "parameters": {"type": "object"}}
    picture = {"type": "image_url", "image_url": {"url": "data:,"}}
    assert given == {
        "messages": [
            {"role": "system", "content": "be nice"},
            {"role": "developer", "content": "be brief"},
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
            *said([{"type": "text", "text": "echo"}, picture]),
        ],
        "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "max_tokens": 5,
    }


def test_an_error_names_the_item(server):
    items = [{"type": "reasoning"}, *said("a"), *said(5)]
    status, answer = send(server, RESPONSES, input=items, instructions="be nice")
    words = "input[2].content: expected text or a list of parts"
    assert (status, answer["error"]["message"]) == (400, words)


def test_the_events_of_a_response(server):
    sent = events(server, RESPONSES, input="stream")
    assert [name for name, _ in sent] == [data["type"] for _, data in sent]
    assert [data["sequence_number"] for _, data in sent] == list(range(len(sent)))
    names = [name.removeprefix("response.") for name, _ in sent]
    middle = [name for name in names if name == "output_text.delta"]
    begin = ["created", "in_progress", "output_item.added", "content_part.added"]
    end = ["output_text.done", "content_part.done", "output_item.done", "completed"]
    assert names == begin + middle + end
    data = dict(sent)
    text = "once upon a time"
    assert "".join(one["delta"] for name, one in sent if name.endswith("text.delta")) == text
    assert data["response.output_text.done"]["text"] == text
    item = data["response.output_item.done"]["item"]
    assert item["content"][0]["text"] == text
    assert data["response.completed"]["response"]["output"] == [item]
    ids = {one["item_id"] for _, one in sent if "item_id" in one}
    assert ids == {item["id"]}


def test_the_events_of_calls_and_of_a_late_failure(server):
    sent = events(server, RESPONSES, input="parts")
    added = [data["item"]["type"] for name, data in sent if name.endswith("item.added")]
    assert added == ["message", "function_call", "function_call"]
    done = [data for name, data in sent if name == "response.function_call_arguments.done"]
    assert [(one["output_index"], one["name"], one["arguments"]) for one in done] == [
        (1, "f", '{"a": 1}'),
        (2, "g", "{}"),
    ]
    name, data = late_events(server, RESPONSES, input="late")[-1]
    assert (name, data["type"], data["code"]) == ("error", "error", "model_failed")
    assert data["error"]["message"] == data["message"] == "RuntimeError: it broke"


def test_a_stream_whose_text_is_repeated_has_a_maximum(server):
    name, data = events(server, RESPONSES, input="flood")[-1]
    assert name == data["type"]
    assert "it has more than 16777216 bytes" in json.dumps(data)
