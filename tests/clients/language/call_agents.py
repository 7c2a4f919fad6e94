"""Runs agents of the OpenAI Agents SDK: reads them as JSON, and prints their last words as JSON.

The language model of an agent is at one address, its tool is at another or is a program.
The environment that runs this has `language.txt` installed, and none of the packages of the tests.
"""

import asyncio
import json
import sys

from agents import (
    Agent,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    set_tracing_disabled,
)
from agents.mcp import MCPServerStdio, MCPServerStreamableHttp
from openai import AsyncOpenAI

# For an agent, in seconds.
TIMEOUT = 60
APIS = {"chat": OpenAIChatCompletionsModel, "responses": OpenAIResponsesModel}


def tool(call):
    if "url" in call:
        return MCPServerStreamableHttp({"url": call["url"]}, client_session_timeout_seconds=TIMEOUT)
    program, *arguments = call["command"]
    how = {"command": program, "args": arguments, "env": call["env"]}
    return MCPServerStdio(how, client_session_timeout_seconds=TIMEOUT)


async def made(call):
    client = AsyncOpenAI(base_url="http://%s/v1" % call["address"], api_key="none", timeout=TIMEOUT)
    model = APIS[call["api"]](model="any", openai_client=client)
    async with client, tool(call) as server:
        agent = Agent(name="painter", model=model, mcp_servers=[server])
        if not call["stream"]:
            return (await Runner.run(agent, call["task"])).final_output
        run = Runner.run_streamed(agent, call["task"])
        async for _ in run.stream_events():
            pass
        return run.final_output


async def main():
    set_tracing_disabled(True)
    calls = json.load(sys.stdin)
    json.dump([await asyncio.wait_for(made(call), TIMEOUT) for call in calls], sys.stdout)


if __name__ == "__main__":
    asyncio.run(main())
