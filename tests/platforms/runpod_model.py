"""The model of `test_runpod.py`."""

import os
import threading
import time

import ai_integration
from ai_integration.public_interface import start_loop
from runpod_cases import PNG

SCHEMA = {
    "kind": {"type": "text"},
    "text": {"type": "text", "required": False},
    "count": {"type": "integer", "required": False},
    "file": {"type": "file", "required": False},
}
together = [0]
lock = threading.Lock()


def words(text):
    yield from text.split(" ")


def values():
    for number in range(3):
        yield {"number": number}


def broken(text):
    yield "begun"
    raise ValueError(text)


def meet(count):
    with lock:
        together[0] += 1
    while together[0] < count:
        time.sleep(0.01)
    return "met"


def gate(path):
    print("at the gate", flush=True)
    while not os.path.exists(path):
        time.sleep(0.01)
    return "passed"


def wait():
    print("waits", flush=True)
    while not ai_integration.cancelled():
        time.sleep(0.01)
    print("was cancelled", flush=True)
    return "late"


def answer(inputs):
    kind, text = inputs["kind"], inputs.get("text")
    if kind == "text":
        return text.upper()
    if kind == "json":
        return {"text": text, "list": [1, 2.5, None]}
    if kind == "failure":
        raise ValueError(text)
    if kind == "reported":
        return {"success": False, "error": text}
    if kind == "picture":
        return {"content-type": "image/png", "data": PNG, "success": True}
    if kind == "pictures":
        return {"content-type": "image/png", "data": [PNG, PNG], "success": True}
    if kind == "size":
        return len(inputs["file"])
    if kind == "crash":
        os._exit(3)
    if kind == "large":
        return "x" * inputs["count"]
    if kind == "key":
        return os.environ.get("RUNPOD_AI_API_KEY", "hidden")
    if kind == "gate":
        return gate(text)
    streams = {"words": lambda: words(text), "values": values, "broken": lambda: broken(text)}
    if kind in streams:
        return streams[kind]()
    return meet(inputs["count"]) if kind == "meet" else wait()


if os.environ.get("AI_INTEGRATION_CONCURRENCY"):
    start_loop(inference_function=answer, inputs_schema=SCHEMA)
while True:
    with ai_integration.get_next_input(inputs_schema=SCHEMA) as inputs:
        ai_integration.send_result(answer(inputs))
