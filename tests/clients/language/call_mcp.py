"""Makes calls with the client of MCP's SDK: reads them as JSON, and prints the answers as JSON.

A call is a session: a server, a mode of the client, and the uses of the tool one after the other.
The environment that runs this has `language.txt` installed, and none of the packages of the tests.
"""

import asyncio
import json
import sys
from pathlib import Path

import httpx2
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

# For a session, in seconds.
TIMEOUT = 60


def transport(call):
    if "address" in call:
        url = "http://%s/mcp" % call["address"]
        if "headers" not in call:
            return url
        client = httpx2.AsyncClient(headers=call["headers"], timeout=TIMEOUT)
        return streamable_http_client(url, http_client=client)
    program, *arguments = call["command"]
    parameters = StdioServerParameters(command=program, args=arguments, env=call["env"])
    return stdio_client(parameters, errlog=open(call["errors"], "w"))


def plain(answer):
    return answer.model_dump(mode="json", exclude_none=True, by_alias=True)


def failure(error):
    if len(getattr(error, "exceptions", ())) == 1:
        # A group of one.
        return failure(error.exceptions[0])
    answer = {"raised": type(error).__name__, "text": str(error)}
    return {**answer, "code": error.code} if isinstance(error, MCPError) else answer


async def used(client, use):
    """Uses the tool, and returns the result with the progress before it."""
    progress = []

    async def note(done, total, message):
        progress.append([done, total, message])

    arguments = use.get("arguments", {})
    if "log" in use:
        return await cancelled(client, use)
    try:
        answer = await client.call_tool(use["tool"], arguments, progress_callback=note)
    except (MCPError, RuntimeError) as error:
        return failure(error)
    # The fields of one era only.
    left_out = ("resultType", "_meta")
    kept = {name: value for name, value in plain(answer).items() if name not in left_out}
    return {**kept, "progress": progress}


async def cancelled(client, use):
    """Uses the tool until the model's log says that it has begun, then cancels the request."""
    log = Path(use["log"])
    task = asyncio.create_task(client.call_tool(use["tool"], use["arguments"]))
    await has(log, "begins")
    task.cancel()
    try:
        return plain(await task)
    except asyncio.CancelledError:
        await has(log, "ends")
        return "cancelled"


async def has(log, words):
    while not log.exists() or words not in log.read_text():
        await asyncio.sleep(0.01)


async def session(call):
    async with Client(transport(call), mode=call["mode"]) as client:
        tools = (await client.list_tools()).tools
        return {
            "version": client.protocol_version,
            "server": client.server_info and client.server_info.name,
            "tools": list(map(plain, tools)),
            "uses": [await used(client, use) for use in call["uses"]],
        }


async def together(call):
    """Uses the tool many times at once in one session."""
    async with Client(transport(call), mode=call["mode"]) as client:
        return await asyncio.gather(*(used(client, use) for use in call["together"]))


async def made(call):
    try:
        how = together if "together" in call else session
        return await asyncio.wait_for(how(call), TIMEOUT)
    except Exception as error:
        return failure(error)


async def main():
    json.dump([await made(call) for call in json.load(sys.stdin)], sys.stdout)


if __name__ == "__main__":
    asyncio.run(main())
