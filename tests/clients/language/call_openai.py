"""Makes calls with OpenAI's client: reads them as JSON, and prints the answers as JSON.

The environment that runs this has `language.txt` installed, and none of the packages of the tests.
"""

import asyncio
import base64
import itertools
import json
import sys

import openai
from openai.pagination import SyncPage

# For a single answer, in seconds.
TIMEOUT = 60


def options(call):
    return {
        "base_url": "http://%s/v1" % call["address"],
        "api_key": call.get("key", "none"),
        "default_headers": call.get("headers"),
        "timeout": TIMEOUT,
        **{name: call[name] for name in ("max_retries",) if name in call},
    }


def method_of(client, call):
    for part in call["method"].split("."):
        client = getattr(client, part)
    return client


def argument(value):
    """An argument; a file is its name, its bytes and its type."""
    if isinstance(value, list):
        return list(map(argument, value))
    if isinstance(value, dict) and "file" in value:
        return value["file"], base64.b64decode(value["base64"]), value["type"]
    return value


def arguments(call):
    return {name: argument(value) for name, value in call.get("arguments", {}).items()}


def plain(answer):
    if hasattr(answer, "model_dump"):
        return answer.model_dump(mode="json", exclude_unset=True, by_alias=True)
    if isinstance(answer, openai.HttpxBinaryResponseContent):
        sound = base64.b64encode(answer.read()).decode()
        return {"base64": sound, "type": answer.response.headers["content-type"]}
    return answer


def failure(error):
    """Returns the class of an exception, its status, and the error as the server described it."""
    told = error.body if isinstance(getattr(error, "body", None), dict) else {}
    return {
        "raised": type(error).__name__,
        "status": getattr(error, "status_code", None),
        "error": told or str(error),
    }


def read(stream, call):
    """Reads the chunks of a stream, or the first ones; a failure stands beside those before it."""
    chunks = []
    try:
        with stream:
            for chunk in itertools.islice(stream, call.get("stop_after")):
                chunks.append(plain(chunk))
    except openai.OpenAIError as error:
        return {"chunks": chunks, **failure(error)}
    return chunks


def finished(call):
    """Reads a stream with the client's own helper, and returns the text that it puts together."""
    client = openai.OpenAI(**options(call))
    with client, method_of(client, call)(**arguments(call)) as stream:
        if call["method"].startswith("responses"):
            return stream.get_final_response().output_text
        return stream.get_final_completion().choices[0].message.content


def made(call):
    if "together" in call:
        return asyncio.run(together(call))
    try:
        if call["method"].endswith(".stream"):
            return finished(call)
        with openai.OpenAI(**options(call)) as client:
            answer = method_of(client, call)(**arguments(call))
            if isinstance(answer, openai.Stream):
                return read(answer, call)
            if isinstance(answer, SyncPage):
                return [plain(one) for one in answer]
            return plain(answer)
    except openai.OpenAIError as error:
        return failure(error)


async def together(call):
    """Reads many streams at once. Returns the number of the stream and the text of each chunk."""
    seen = []

    async def follow(client, number):
        async for chunk in await method_of(client, call)(**arguments(call)):
            if chunk.choices and chunk.choices[0].delta.content:
                seen.append([number, chunk.choices[0].delta.content])

    async with openai.AsyncOpenAI(**options(call)) as client:
        await asyncio.gather(*(follow(client, number) for number in range(call["together"])))
    return seen


if __name__ == "__main__":
    json.dump([made(call) for call in json.load(sys.stdin)], sys.stdout)
