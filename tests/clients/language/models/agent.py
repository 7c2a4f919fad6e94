"""The language model of an agent: it uses the first tool once, and says what came of it."""

import json

import ai_integration

SCHEMA = {"messages": {"type": "json"}, "tools": {"type": "json", "required": False}}


def answer(messages, tools):
    last = messages[-1]
    if last["role"] == "tool":
        return {"content": "The tool said: %s" % said(last["content"])}
    arguments = json.dumps({"action": last["content"]})
    call = {"name": tools[0]["function"]["name"], "arguments": arguments}
    call = {"id": "call_%d" % len(messages), "type": "function", "function": call}
    return {"content": None, "tool_calls": [call], "finish_reason": "tool_calls"}


def said(content):
    """Returns the text of a result: it may be JSON, or a list of parts."""
    if isinstance(content, list):
        content = "".join(part["text"] for part in content)
    try:
        return json.loads(content)["text"]
    except (TypeError, ValueError):
        return content


def main():
    while True:
        with ai_integration.get_next_input(inputs_schema=SCHEMA, task="chat") as inputs:
            ai_integration.send_result(answer(inputs["messages"], inputs["tools"]))


if __name__ == "__main__":
    main()
