"""Anthropic's client: messages, whole and as a stream."""

import json
from dataclasses import dataclass

import language
import pytest
from compat import picture

pytestmark = pytest.mark.clients

PNG = picture((4, 3))
MODEL = "m"
NO_USAGE = {"input_tokens": 0, "output_tokens": 0}
USAGE = {"input_tokens": 3, "output_tokens": 5}
SAID = "You said: Hello"


@dataclass
class Case:
    name: str
    arguments: dict
    expected: object
    model: str = "chat"
    method: str = "messages.create"

    def __str__(self):
        return self.name

    def sent(self, addresses):
        arguments = {"model": "any", "max_tokens": 9, **self.arguments}
        return {"address": addresses[self.model], "method": self.method, "arguments": arguments}


def asked(content, **more):
    return {"messages": [user(content)], **more}


def user(content):
    return {"role": "user", "content": content}


def message(*blocks, reason="end_turn", usage=NO_USAGE):
    """The answer to a request."""
    blocks = [{"type": "text", "text": one} if isinstance(one, str) else one for one in blocks]
    return {
        "id": "msg_…",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": blocks,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": usage,
    }


def events(block, *deltas, reason="end_turn", usage=NO_USAGE):
    """The events of a stream with one block."""
    return [
        {"type": "message_start", "message": message(reason=None)},
        {"type": "content_block_start", "index": 0, "content_block": block},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": None},
            "usage": usage,
        },
        {"type": "message_stop"},
    ]


def text_events(*texts, **more):
    deltas = [{"type": "text_delta", "text": text} for text in texts]
    return events({"type": "text", "text": ""}, *deltas, **more)


def shown(**inputs):
    return json.dumps(inputs, sort_keys=True)


PICTURE = language.file("", PNG, "image/png")["base64"]
IMAGE = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": PICTURE},
}
TOOL_USE = {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Oslo"}}
TOOL_CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city":"Oslo"}'},
}
TOOLS = [{"name": "weather", "description": "It.", "input_schema": {"type": "object"}}]
TOOLS_OF_OPENAI = [
    {
        "type": "function",
        "function": {"name": "weather", "description": "It.", "parameters": {"type": "object"}},
    }
]
CASES = [
    Case("a message", asked("Hello"), message(SAID)),
    Case("a stream", asked("Hello", stream=True), text_events("You ", "said: ", "Hello")),
    Case(
        "the helper",
        asked("Hello"),
        [["You ", "said: ", "Hello"], SAID],
        "chat",
        "messages.stream",
    ),
    Case("blocks of text", asked([{"type": "text", "text": "Hello"}]), message(SAID)),
    Case(
        "what the model reports",
        asked("be cut"),
        message("so it", reason="max_tokens", usage=USAGE),
    ),
    Case(
        "what the model reports of a stream",
        asked("be cut in chunks", stream=True),
        text_events("so ", "it", reason="max_tokens", usage=USAGE),
    ),
    Case(
        "a call of a tool",
        asked("use a tool", tools=TOOLS),
        message(TOOL_USE, reason="tool_use"),
    ),
    Case(
        "a call of a tool in a stream",
        asked("use a tool", tools=TOOLS, stream=True),
        events(
            {**TOOL_USE, "input": {}},
            {"type": "input_json_delta", "partial_json": '{"city": "Oslo"}'},
            reason="tool_use",
        ),
    ),
    Case(
        "a conversation with a tool",
        {
            "system": "Be brief.",
            "messages": [
                user([{"type": "text", "text": "Look."}, IMAGE]),
                {"role": "assistant", "content": [{"type": "text", "text": "So."}, TOOL_USE]},
                user([{"type": "tool_result", "tool_use_id": "call_1", "content": "cold"}]),
                user("show"),
            ],
            "tools": TOOLS,
            "stop_sequences": ["."],
            "extra_body": {"temperature": 0.5, "unknown": {"a": 1}},
            "metadata": {"user_id": "me"},
        },
        message(
            shown(
                messages=[
                    {"role": "system", "content": "Be brief."},
                    user(
                        [
                            {"type": "text", "text": "Look."},
                            {
                                "type": "image_url",
                                "image_url": {"url": language.data_url(PNG, "image/png")},
                            },
                        ]
                    ),
                    {"role": "assistant", "content": "So.", "tool_calls": [TOOL_CALL]},
                    {"role": "tool", "tool_call_id": "call_1", "content": "cold"},
                    user("show"),
                ],
                max_tokens=9,
                temperature=0.5,
                tools=TOOLS_OF_OPENAI,
            )
        ),
    ),
    Case(
        "a model of one prompt",
        {"system": "Be brief.", **asked([{"type": "text", "text": "What is it?"}, IMAGE])},
        message(
            shown(
                prompt="What is it?",
                system="Be brief.",
                history=[],
                pictures=[len(PNG)],
                max_tokens=9,
            )
        ),
        "prompt",
    ),
]


@pytest.fixture(scope="module")
def answers(addresses):
    return language.call("call_anthropic.py", [case.sent(addresses) for case in CASES])


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: str(CASES[number]))
def test_a_call(answers, number):
    assert language.steady(answers[number]) == CASES[number].expected
