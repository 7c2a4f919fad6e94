"""A worker with RunPod's own SDK, which does the same as `runpod_model.py`."""

import asyncio
import os

import runpod

together = 0


async def handler(job):
    given = job["input"]
    kind = given["kind"]
    if kind == "text":
        return given["text"].upper()
    if kind == "json":
        return {"text": given["text"], "list": [1, 2.5, None]}
    if kind == "failure":
        raise ValueError(given["text"])
    if kind == "meet":
        return await meet(given["count"])
    if kind == "gate":
        return await gate(given["text"])
    await asyncio.sleep(600)
    return "was not cancelled"


async def meet(count):
    """Waits until that many jobs run at the same time."""
    global together
    together += 1
    while together < count:
        await asyncio.sleep(0.01)
    return "met"


async def gate(path):
    print("at the gate", flush=True)
    while not os.path.exists(path):
        await asyncio.sleep(0.01)
    return "passed"


def stream(job):
    given = job["input"]
    if given["kind"] == "words":
        yield from given["text"].split(" ")
    elif given["kind"] == "values":
        for number in range(3):
            yield {"number": number}
    else:
        yield "begun"
        raise ValueError(given["text"])


if os.environ.get("STREAMS"):
    runpod.serverless.start({"handler": stream, "return_aggregate_stream": True})
else:
    concurrency = int(os.environ.get("CONCURRENCY", "1"))
    runpod.serverless.start({"handler": handler, "concurrency_modifier": lambda _: concurrency})
