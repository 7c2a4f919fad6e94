"""Makes calls with Anthropic's client: reads them as JSON, and prints the answers as JSON.

The environment that runs this has `language.txt` installed, and none of the packages of the tests.
"""

import itertools
import json
import sys

import anthropic

# For a single answer, in seconds.
TIMEOUT = 60


def client_of(call):
    return anthropic.Anthropic(
        base_url="http://%s" % call["address"],
        api_key=call.get("key", "none"),
        default_headers=call.get("headers"),
        timeout=TIMEOUT,
        **{name: call[name] for name in ("max_retries",) if name in call},
    )


def plain(answer):
    return answer.model_dump(mode="json", exclude_unset=True, by_alias=True)


def failure(error):
    """Returns the class of an exception, its status, and the error as the server described it."""
    told = getattr(error, "body", None)
    return {
        "raised": type(error).__name__,
        "status": getattr(error, "status_code", None),
        "error": told if isinstance(told, dict) else str(error),
    }


def read(stream, call):
    """Reads the events of a stream, or the first ones; a failure stands beside those before it."""
    events = []
    try:
        with stream:
            for event in itertools.islice(stream, call.get("stop_after")):
                events.append(plain(event))
    except anthropic.AnthropicError as error:
        return {"chunks": events, **failure(error)}
    return events


def made(call):
    try:
        with client_of(call) as client:
            if call["method"] == "messages.stream":
                with client.messages.stream(**call["arguments"]) as stream:
                    return [list(stream.text_stream), stream.get_final_text()]
            answer = client.messages.create(**call["arguments"])
            return read(answer, call) if isinstance(answer, anthropic.Stream) else plain(answer)
    except anthropic.AnthropicError as error:
        return failure(error)


if __name__ == "__main__":
    json.dump([made(call) for call in json.load(sys.stdin)], sys.stdout)
