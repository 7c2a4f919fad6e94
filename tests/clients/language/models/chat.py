"""A model of conversations, which holds many at a time. The last message says what it does."""

import asyncio
import json
import os

import ai_integration

SCHEMA = {
    "messages": {"type": "json"},
    "max_tokens": {"type": "integer", "min": 1, "required": False},
    "temperature": {"type": "number", "min": 0, "max": 2, "required": False},
    "tools": {"type": "json", "required": False},
    "mood": {"type": "text", "required": False},
}
AT_ONCE = 16
TOOL_CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city": "Oslo"}'},
}
USAGE = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
ANSWERS = {
    "use a tool": {"content": None, "tool_calls": [TOOL_CALL], "finish_reason": "tool_calls"},
    "be cut": {"content": "so it", "finish_reason": "length", "usage": USAGE},
}


def asked(messages):
    """Returns the text of the last message."""
    content = messages[-1]["content"]
    if isinstance(content, list):
        content = "".join(part.get("text", "") for part in content)
    return content


async def stream(request, chunks, kind=None):
    for chunk in chunks:
        await request.send_chunk(chunk, kind)


async def answer(request, meeting):
    inputs = request.inputs
    task = asked(inputs["messages"])
    if task == "show":
        await request.send(json.dumps(inputs, sort_keys=True))
    elif task in ANSWERS:
        await request.send(ANSWERS[task])
    elif task == "be cut in chunks":
        lines = [{"content": "so "}, {"content": "it"}, {"finish_reason": "length", "usage": USAGE}]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        # A line may arrive in two chunks.
        kind = "application/x-ndjson"
        await stream(request, [text[:8], text[8:]], kind)
        await request.send({"content-type": kind, "data": "", "success": True})
    elif task == "fail":
        await request.send({"success": False, "error": "out of words"})
    elif task in ("fail late", "crash late"):
        await stream(request, ["so ", "it "])
        # So late that the response has begun.
        await asyncio.sleep(0.2)
        if task == "crash late":
            os._exit(3)
        await request.send({"success": False, "error": "out of words"})
    elif task.startswith("wait"):
        await wait(request, task)
    elif task.startswith("count "):
        await request.send_chunk("0 ")
        # No conversation goes on before all have begun.
        await meeting.wait()
        for number in range(1, 20):
            await request.send_chunk("%d " % number)
            await asyncio.sleep(0.02)
        await request.send("of " + task)
    else:
        await stream(request, ["You ", "said: ", task])
        await request.send("")


async def wait(request, task):
    print(task, "begins", flush=True)
    await request.send_chunk("so ")
    try:
        await asyncio.sleep(60)
    finally:
        print(task, "ends", flush=True)


async def main():
    meeting = asyncio.Barrier(AT_ONCE)
    requests = ai_integration.requests(
        inputs_schema=SCHEMA, concurrency=AT_ONCE, task=["chat", "completion"]
    )
    async for request in requests:
        asyncio.create_task(answer(request, meeting))


if __name__ == "__main__":
    asyncio.run(main())
