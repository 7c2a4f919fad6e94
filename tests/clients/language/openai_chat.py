"""The table of calls for OpenAI's clients: chats and completions."""

import json
from dataclasses import dataclass

import language
from compat import picture

MODEL = "m"
PNG = picture((4, 3))
NO_USAGE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
USAGE = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
TOOL_CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city": "Oslo"}'},
}
CHUNKS = ["You ", "said: ", "Hello"]
SAID = "You said: Hello"


@dataclass
class Case:
    """A call of a method, and its answer."""

    name: str
    model: str
    method: str
    arguments: dict
    expected: object

    def __str__(self):
        return self.name

    def sent(self, addresses):
        arguments = self.arguments
        if not self.method.startswith("models."):
            # A request may name any model.
            arguments = {"model": "any", **arguments}
        return {"address": addresses[self.model], "method": self.method, "arguments": arguments}


def refused(member, words):
    """The exception for a member of the request that does not fit."""
    error = {"message": "%s: %s" % (member, words), "type": "invalid_request_error"}
    error = {**error, "param": member, "code": "invalid_input"}
    return {"raised": "BadRequestError", "status": 400, "error": error}


def user(content):
    return {"role": "user", "content": content}


def chat(name, content, expected, model="chat", **more):
    arguments = {"messages": [user(content)], **more}
    return Case(name, model, "chat.completions.create", arguments, expected)


def completion(content, reason="stop", usage=None, **message):
    """The answer to a request for a chat."""
    message = {"role": "assistant", "content": content, "refusal": None, **message}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
    return {**head("chat.completion"), "choices": [choice], "usage": usage or NO_USAGE}


def head(kind, identity="chatcmpl-…"):
    return {"id": identity, "object": kind, "created": 0, "model": MODEL}


def chunks(*deltas, reason="stop", usage=None):
    """The chunks of a chat: the role, what the model says, the end and, if asked for, the usage."""
    choices = [{"delta": {"role": "assistant", "content": ""}, "finish_reason": None}]
    choices += [{"delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"delta": {}, "finish_reason": reason})
    kind = "chat.completion.chunk"
    listed = [{**head(kind), "choices": [{"index": 0, **choice}]} for choice in choices]
    return listed + ([{**head(kind), "choices": [], "usage": usage}] if usage else [])


def said(*words):
    return [{"content": word} for word in words]


def shown(**inputs):
    """The inputs as the models show them."""
    return json.dumps(inputs, sort_keys=True)


PICTURE_PART = {"type": "image_url", "image_url": {"url": language.data_url(PNG, "image/png")}}
CONVERSATION = [
    {"role": "system", "content": "Be brief."},
    user("Hi"),
    {"role": "assistant", "content": "Hello."},
    user([{"type": "text", "text": "What is it?"}, PICTURE_PART]),
]
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]

CHATS = [
    chat("a chat", "Hello", completion(SAID)),
    chat("a stream", "Hello", chunks(*said(*CHUNKS)), stream=True),
    chat(
        "a stream with its usage",
        "Hello",
        chunks(*said(*CHUNKS), usage=NO_USAGE),
        stream=True,
        stream_options={"include_usage": True},
    ),
    chat(
        "no options of a stream",
        "Hello",
        chunks(*said(*CHUNKS)),
        stream=True,
        stream_options={},
    ),
    chat(
        "a call of a tool",
        "use a tool",
        completion(None, "tool_calls", tool_calls=[TOOL_CALL]),
        tools=TOOLS,
    ),
    chat(
        "a call of a tool in a stream",
        "use a tool",
        chunks({"tool_calls": [{"index": 0, **TOOL_CALL}]}, reason="tool_calls"),
        tools=TOOLS,
        stream=True,
    ),
    chat("what the model reports", "be cut", completion("so it", "length", USAGE)),
    chat(
        "what the model reports of a stream",
        "be cut in chunks",
        chunks(*said("so ", "it"), reason="length", usage=USAGE),
        stream=True,
        stream_options={"include_usage": True},
    ),
    chat("objects in chunks as a whole", "be cut in chunks", completion("so it", "length", USAGE)),
    chat(
        "options that are declared, and others",
        "show",
        completion(
            shown(messages=[user("show")], max_tokens=7, temperature=0.5, tools=TOOLS, mood="calm")
        ),
        max_completion_tokens=7,
        temperature=0.5,
        tools=TOOLS,
        n=1,
        top_p=0.9,
        seed=3,
        stop=["."],
        user="me",
        response_format={"type": "text"},
        extra_body={"mood": "calm", "unknown": {"a": 1}},
    ),
    Case(
        "a conversation for a model of one prompt",
        "prompt",
        "chat.completions.create",
        {"messages": CONVERSATION, "max_tokens": 5},
        completion(
            shown(
                prompt="What is it?",
                system="Be brief.",
                history=CONVERSATION[1:3],
                pictures=[len(PNG)],
                max_tokens=5,
            )
        ),
    ),
    Case("the helper", "chat", "chat.completions.stream", {"messages": [user("Hello")]}, SAID),
]


def of_text(text, usage=NO_USAGE):
    choice = {"index": 0, "text": text, "finish_reason": "stop", "logprobs": None}
    return {**head("text_completion", "cmpl-…"), "choices": [choice], "usage": usage}


def parts(*texts):
    """The chunks of a completion: the texts, and the end."""
    ends = [*((text, None) for text in texts), ("", "stop")]
    return [
        {
            **head("text_completion", "cmpl-…"),
            "choices": [{"index": 0, "text": text, "finish_reason": end, "logprobs": None}],
        }
        for text, end in ends
    ]


REFUSED = [
    chat(
        "two answers",
        "Hello",
        refused("n", "expected 1, because each request gets one answer"),
        n=2,
    ),
    Case(
        "no message",
        "chat",
        "chat.completions.create",
        {"messages": []},
        refused("messages", "expected at least one message"),
    ),
    Case(
        "tokens to complete",
        "chat",
        "completions.create",
        {"prompt": [1, 2]},
        refused("prompt", "expected one text; lists of texts and of tokens are not supported"),
    ),
]
COMPLETIONS = [
    Case("a completion", "chat", "completions.create", {"prompt": "Hello"}, of_text(SAID)),
    Case(
        "a completion as a stream",
        "chat",
        "completions.create",
        {"prompt": "Hello", "stream": True},
        parts(*CHUNKS),
    ),
]


CASES = [*CHATS, *COMPLETIONS, *REFUSED]
