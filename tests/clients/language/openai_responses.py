"""The table of calls for OpenAI's clients: responses."""

import language
from openai_chat import CHUNKS, MODEL, PNG, SAID, Case, refused, shown

DETAILS = {
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 0},
}
NO_USAGE = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0, **DETAILS}
USAGE = {"input_tokens": 3, "output_tokens": 5, "total_tokens": 8, **DETAILS}
# What the server answers for members that it does not keep.
FIXED = {
    "background": False,
    "error": None,
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "store": False,
    "temperature": None,
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "truncation": "disabled",
}
CALL = {"call_id": "call_1", "name": "weather", "type": "function_call", "id": "fc_…"}
FUNCTION = {"name": "weather", "parameters": {"type": "object"}, "strict": False}
TOOLS = [{"type": "function", **FUNCTION}]
ARGUMENTS = '{"city": "Oslo"}'


def response(*output, status="completed", usage=NO_USAGE, reason=None):
    return {
        "id": "resp_…",
        "object": "response",
        "created_at": 0,
        "model": MODEL,
        "status": status,
        "output": list(output),
        "usage": usage,
        "incomplete_details": {"reason": reason} if reason else None,
        **FIXED,
    }


def part(text):
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def message(*parts, status="completed"):
    item = {"id": "msg_…", "type": "message", "role": "assistant"}
    return {**item, "status": status, "content": list(parts)}


def call(arguments, status="completed"):
    return {**CALL, "arguments": arguments, "status": status}


def events(*middle, end):
    """The numbered events of a stream; each has the place of the only item."""
    begun = response(status="in_progress", usage=None)
    listed = [("created", {"response": begun}), ("in_progress", {"response": begun})]
    listed += [(kind, {"output_index": 0, **more}) for kind, more in middle]
    # It is "completed", or "incomplete".
    listed.append((end["status"], {"response": end}))
    return [
        {"type": "response." + kind, "sequence_number": number, **more}
        for number, (kind, more) in enumerate(listed)
    ]


def text_events(*deltas, **more):
    text = "".join(deltas)
    place = {"item_id": "msg_…", "content_index": 0}
    return events(
        ("output_item.added", {"item": message(status="in_progress")}),
        ("content_part.added", {**place, "part": part("")}),
        *(("output_text.delta", {**place, "delta": delta, "logprobs": []}) for delta in deltas),
        ("output_text.done", {**place, "text": text, "logprobs": []}),
        ("content_part.done", {**place, "part": part(text)}),
        ("output_item.done", {"item": message(part(text))}),
        end=response(message(part(text)), **more),
    )


def case(name, expected, model="chat", **arguments):
    return Case(name, model, "responses.create", arguments, expected)


PICTURE = language.data_url(PNG, "image/png")
CONVERSATION = [
    {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "a"},
            {"type": "input_image", "image_url": PICTURE, "detail": "auto"},
        ],
    },
    {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "call_1", "output": "cold"},
    {"role": "user", "content": "show"},
]
MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "a"},
            {"type": "image_url", "image_url": {"url": PICTURE}},
        ],
    },
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "weather", "arguments": "{}"},
            }
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "cold"},
    {"role": "user", "content": "show"},
]

CASES = [
    case("a response", response(message(part(SAID))), input="Hello"),
    case("a response as a stream", text_events(*CHUNKS), input="Hello", stream=True),
    case(
        "a response that is cut",
        response(
            message(part("so it")), status="incomplete", usage=USAGE, reason="max_output_tokens"
        ),
        input="be cut",
    ),
    case(
        "a response as a stream that is cut",
        text_events("so ", "it", status="incomplete", usage=USAGE, reason="max_output_tokens"),
        input="be cut in chunks",
        stream=True,
    ),
    case(
        "a response that calls a tool",
        response(call(ARGUMENTS)),
        input="use a tool",
        tools=TOOLS,
    ),
    case(
        "a response as a stream that calls a tool",
        events(
            ("output_item.added", {"item": call("", "in_progress")}),
            ("function_call_arguments.delta", {"item_id": "fc_…", "delta": ARGUMENTS}),
            (
                "function_call_arguments.done",
                {"item_id": "fc_…", "name": "weather", "arguments": ARGUMENTS},
            ),
            ("output_item.done", {"item": call(ARGUMENTS)}),
            end=response(call(ARGUMENTS)),
        ),
        input="use a tool",
        tools=TOOLS,
        stream=True,
    ),
    case(
        "a conversation by responses",
        response(
            message(
                part(
                    shown(
                        messages=MESSAGES,
                        max_tokens=7,
                        temperature=0.5,
                        tools=[{"type": "function", "function": FUNCTION}],
                    )
                )
            )
        ),
        input=CONVERSATION,
        instructions="Be brief.",
        tools=TOOLS,
        max_output_tokens=7,
        temperature=0.5,
    ),
    case(
        "a response after another",
        refused(
            "previous_response_id",
            'this server stores nothing; send the whole conversation in "input"',
        ),
        input="Hello",
        previous_response_id="resp_1",
    ),
    case(
        "a response in the background",
        refused("background", "this server stores nothing; send false"),
        input="Hello",
        background=True,
    ),
    Case("the helper of responses", "chat", "responses.stream", {"input": "Hello"}, SAID),
]
