"""Makes calls with Hugging Face's client: reads them as JSON, and prints the answers as JSON.

The environment that runs this has `language.txt` installed, and none of the packages of the tests.
"""

import base64
import json
import sys
import warnings

import numpy
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError
from PIL import Image

# For a single answer, in seconds.
TIMEOUT = 60


def argument(value):
    if isinstance(value, dict) and "base64" in value:
        return base64.b64decode(value["base64"])
    return value


def plain(answer):
    """The answer as JSON. A picture is its size."""
    if isinstance(answer, Image.Image):
        return {"picture": answer.size}
    if isinstance(answer, bytes):
        return {"base64": base64.b64encode(answer).decode()}
    if isinstance(answer, numpy.ndarray):
        return answer.tolist()
    if isinstance(answer, dict):
        return {name: plain(value) for name, value in answer.items() if value is not None}
    if isinstance(answer, (str, int, float)) or answer is None:
        return answer
    return list(map(plain, answer))


def made(call):
    client = InferenceClient(
        model="http://" + call["address"],
        token=call.get("key"),
        headers=call.get("headers"),
        timeout=TIMEOUT,
    )
    try:
        with client:
            sent = list(map(argument, call["arguments"]))
            return plain(getattr(client, call["method"])(*sent, **call.get("options", {})))
    except HfHubHTTPError as error:
        name, status = type(error).__name__, error.response.status_code
        return {"raised": name, "status": status, "error": error.server_message or str(error)}
    except (TypeError, ValueError, LookupError) as error:
        return {"raised": type(error).__name__, "status": None, "error": str(error)}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    json.dump([made(call) for call in json.load(sys.stdin)], sys.stdout)
