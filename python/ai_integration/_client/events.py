"""Reads the events of a request, which are server-sent events (WHATWG HTML, 9.2)."""

import base64
import json

from . import results
from .errors import ClientError
from .responses import problem_error

TYPE = "text/event-stream"


def happened(response, most):
    """Yields the events of a response as `(kind, value)`; docs/client.md has their table."""
    if results.media_type(response.content_type) != TYPE:
        # The sender of this response does not support events.
        yield "result", results.value_of(response.content_type, response.read(most))
        return
    chunks = None
    for kind, data in _read(response.chunks(), most):
        if kind == "chunk":
            if chunks is None:
                chunks = results.Chunks(data.get("content_type"), most)
            for value in chunks.values_of(_content(data)):
                yield "chunk", value
        elif kind == "result":
            if chunks is None:
                yield "result", _whole(data)
                return
            for value in chunks.values_of(b"", is_last=True):
                yield "chunk", value
            return
        elif kind == "error":
            raise problem_error({"code": "unknown", **data})
        else:
            yield kind, _report_of(kind, data)
    raise ClientError("the response cannot be read: it broke off", "broken_answer")


def _whole(data):
    """Returns the value of a result that did not come in chunks."""
    content_type = data.get("content_type") or "application/octet-stream"
    if isinstance(data.get("data"), list):
        return results.value_of_urls(content_type, data["data"])
    content = _content(data)
    if isinstance(content, str):
        if results.media_type(content_type).startswith("text/"):
            return content
        content = content.encode()
    return results.value_of(content_type, content)


def _content(data):
    """Returns the text of an event, or its bytes if it has no text."""
    if isinstance(data.get("text"), str):
        return data["text"]
    return base64.b64decode(data.get("base64") or "")


def _report_of(kind, data):
    if kind == "queued":
        return data.get("position")
    if kind == "log":
        return data.get("message")
    return data or None


def _read(chunks, most):
    """Yields the name and the data of each event; the data is a JSON object."""
    name, data = "message", []
    for line in _lines(chunks, most):
        field, _, value = line.partition(b":")
        value = value[1:] if value.startswith(b" ") else value
        if field == b"event":
            name = value.decode("utf-8", "replace")
        elif field == b"data":
            data.append(value)
        elif not line and data:
            yield name, _object(b"\n".join(data))
            name, data = "message", []


def _lines(chunks, most):
    """Yields the lines of a response; the limit of the response also limits each line."""
    begun, size = [], 0
    for chunk in chunks:
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            yield b"".join([*begun, line]).rstrip(b"\r")
            begun, size = [], 0
        begun.append(rest)
        size += len(rest)
        if size > most:
            message = "an event has more than %d bytes; max_bytes=… accepts more" % most
            raise ClientError(message, "answer_too_large")


def _object(text):
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        message = "the response cannot be read: an event is not a JSON object"
        raise ClientError(message, "broken_answer")
    return value
