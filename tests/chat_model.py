"""A chat model for tests of protocols: the last message of the user says what it does."""

import contextlib
import json
import re
import textwrap
import urllib.request

from support import TIMEOUT

MODEL = r"""
import asyncio
import json
import os
import ai_integration

SCHEMA = {
    "messages": {"type": "json"},
    "temperature": {"type": "number", "min": 0, "max": 2, "required": False},
    "max_tokens": {"type": "integer", "required": False},
    "stop": {"type": "json", "required": False},
    "tools": {"type": "json", "required": False},
    "tool_choice": {"type": "json", "required": False},
}
USAGE = {"prompt_tokens": 3, "completion_tokens": 4}
RESULTS = {
    "json": {"answer": [1]},
    "object": {"content": "hi", "finish_reason": "length", "usage": USAGE},
    "call": {
        "content": None,
        "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": {"a": 1}}}],
    },
    "details": {
        "usage": {
            **USAGE,
            "prompt_tokens_details": {"cached_tokens": 2},
            "output_tokens_details": {"reasoning_tokens": 1},
        },
    },
    "cut": {"tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": "{\"a\": 1"}}]},
    "fault": {"content": 5},
    "file": {"content-type": "image/png", "data": b"\x89PNG", "success": True},
    "failure": {"success": False, "error": "too dark"},
}
PARTS = [
    {"content": "Let me see."},
    {"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "f", "arguments": ""}}]},
    {"tool_calls": [{"index": 0, "function": {"arguments": "{\"a\":"}}]},
    {"tool_calls": [{"index": 0, "function": {"arguments": " 1}"}}]},
    {"tool_calls": [{"index": 1, "id": "c2", "function": {"name": "g", "arguments": "{}"}}]},
    {"usage": USAGE},
]

# The parts of two calls in turn.
TURNS = [PARTS[1], PARTS[4], PARTS[2], PARTS[3]]

def text_of(content):
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)

async def words(text):
    for word in ["once ", "upon ", "a time"]:
        yield word
        await asyncio.sleep(0)
    if text.startswith("late"):
        await GO.wait()
        if text == "late crash":
            os._exit(3)
        raise RuntimeError("it broke")

GO = asyncio.Event()

async def many(name):
    for number in range(50):
        yield "%s-%d " % (name, number)
        await asyncio.sleep(0.002)

async def endless():
    try:
        while True:
            yield "more "
            await asyncio.sleep(0.01)
    finally:
        print("the stream was closed", flush=True)

async def answer(request):
    inputs = dict(request.inputs)
    text = text_of(inputs["messages"][-1]["content"])
    if text == "echo":
        result = {"content": json.dumps(inputs)}
    elif text in ("stream", "late", "late crash"):
        result = words(text)
    elif text == "go":
        GO.set()
        result = text
    elif text == "flood":
        result = iter(["x" * (1 << 20)] * 17)
    elif text in ("parts", "turns"):
        result = iter(PARTS if text == "parts" else TURNS)
    elif text.startswith("many "):
        result = many(text[5:])
    elif text == "endless":
        result = endless()
    elif text == "slow":
        print("slow begins", flush=True)
        await asyncio.sleep(60)
        result = "late"
    elif text == "thoughtful":
        await GO.wait()
        result = "at last"
    elif text == "crash":
        os._exit(3)
    else:
        result = RESULTS.get(text, text)
    await request.send(result)

async def main():
    options = {"inputs_schema": SCHEMA, "task": ["chat", "completion"]}
    async for request in ai_integration.requests(concurrency=int(os.environ["OPEN"]), **options):
        asyncio.create_task(answer(request))

asyncio.run(main())
"""
# The model has no name, so its id is this.
ID = "model"
JSON = {"Content-Type": "application/json"}
TEXT_MODEL = textwrap.dedent("""
    import json
    import ai_integration

    SCHEMA = {
        "prompt": {"type": "text"},
        "system": {"type": "text", "required": False},
        "history": {"type": "json", "required": False},
        "photo": {"type": "image", "required": False},
        "seed": {"type": "integer", "required": False},
    }

    while True:
        with ai_integration.get_next_input(inputs_schema=SCHEMA, task="chat") as inputs:
            given = {name: value for name, value in inputs.items() if name != "photo"}
            given["photo"] = len(inputs.get("photo") or b"")
            ai_integration.send_result({"content": json.dumps(given)})
""")


def body(**members):
    return json.dumps(members).encode()


def send(server, path, headers=None, **members):
    """Returns the status and the answer to a request."""
    status, answered, answer = server.send(
        "POST", path, body(**members), {**JSON, **(headers or {})}
    )
    assert answered["Content-Type"] == "application/json"
    return status, json.loads(answer)


def events(server, path, **members):
    """Returns the events of a stream, each as its name and its data."""
    sent = body(stream=True, **members)
    status, headers, answer = server.send("POST", path, sent, JSON)
    assert (status, headers["Content-Type"]) == (200, "text/event-stream; charset=utf-8")
    assert headers["X-Accel-Buffering"] == "no"
    return parsed(answer.decode())


def parsed(stream):
    """Returns the events in a text, each as its name and its data. Comments are left out."""
    assert stream.endswith("\n\n")
    found = []
    for block in stream[:-2].split("\n\n"):
        lines = block.split("\n")
        if lines[0].startswith(":"):
            assert len(lines) == 1
            continue
        name = lines[0][len("event: ") :] if len(lines) == 2 else None
        assert lines[-1].startswith("data: ")
        data = lines[-1][len("data: ") :]
        found.append((name, data if data == "[DONE]" else json.loads(data)))
    return found


@contextlib.contextmanager
def opened(server, path, **members):
    """Opens a stream, and reads up to the first token."""
    request = urllib.request.Request(server.url + path, body(stream=True, **members), JSON)
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        begun = b""
        while not re.search(b"once |more ", begun):
            line = answer.readline()
            assert line, begun
            begun += line
        yield begun, answer


def late_events(server, path, **members):
    """Returns the events of a stream of a model that fails after the first token."""
    with opened(server, path, **members) as (begun, answer):
        go = body(messages=[{"role": "user", "content": "go"}])
        server.send("POST", "/v1/chat/completions", go, JSON)
        return parsed((begun + answer.read()).decode())


def openai_error(answer):
    """Returns the status of a refusal, the error's members but its message, and the message."""
    status, headers, content = answer
    assert headers["Content-Type"] == "application/json"
    error = json.loads(content)
    assert list(error) == ["error"]
    error = error["error"]
    assert list(error) == ["message", "type", "param", "code"]
    return (status, error["type"], error["param"], error["code"]), error["message"]


def anthropic_error(answer):
    """Returns the status and the type of a refusal, and its message."""
    status, headers, content = answer
    assert headers["Content-Type"] == "application/json"
    error = json.loads(content)
    assert sorted(error) == ["error", "request_id", "type"]
    assert error["request_id"] == headers["X-Request-Id"] == headers["Request-Id"]
    assert (error["type"], sorted(error["error"])) == ("error", ["message", "type"])
    return (status, error["error"]["type"]), error["error"]["message"]
