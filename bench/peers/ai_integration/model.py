import ai_integration  # isort: skip  # First: here the engine replaces a process that serves.
import os

import benchmodel
from ai_integration import public_interface

TEXT = {"text": {"type": "text"}}


def answer(value):
    return {"content-type": "application/json", "data": value, "success": True}


def serve(work, schema, name):
    while True:
        with ai_integration.get_next_input(inputs_schema=schema) as inputs:
            ai_integration.send_result(answer(work(inputs[name])))


def serve_batches():
    while True:
        with ai_integration.get_next_inputs(
            inputs_schema=TEXT, max_batch_size=32, max_wait_ms=5
        ) as batch:
            answers = benchmodel.batch([inputs["text"] for inputs in batch])
            ai_integration.send_results([answer(value) for value in answers])


def infer(inputs):
    return answer(benchmodel.wait_long(inputs["text"]))


WORK = os.environ["WORK"]
if WORK == "text":
    serve(benchmodel.echo, TEXT, "text")
elif WORK == "image":
    serve(benchmodel.look, {"image": {"type": "image"}}, "image")
elif WORK == "compute":
    serve(benchmodel.compute, TEXT, "text")
elif WORK == "batch":
    serve_batches()
elif WORK == "loop":
    public_interface.start_loop(infer, inputs_schema=TEXT)
else:
    functions = {
        "wait": benchmodel.wait,
        "stream": benchmodel.stream,
        "pace": benchmodel.pace,
        "chat": benchmodel.stream,
        "chat-pace": benchmodel.pace,
    }
    task = "chat" if WORK.startswith("chat") else None
    ai_integration.run(functions[WORK], concurrency=64, task=task)
