"""The events of a request, which the server sends as server-sent events (WHATWG HTML, 9.2)."""

import base64
import json

from . import results
from .answers import problem_error
from .errors import ClientError

TYPE = "text/event-stream"


def happened(answer, most):
    """Yields the events of a response as `(kind, value)`; docs/client.md has their table."""
    if results.media_type(answer.content_type) != TYPE:
        # The sender of this response does not support events.
        yield "result", results.value_of(answer.content_type, answer.read(most))
        return
    pieces = None
    for kind, data in _read(answer.pieces(), most):
        if kind == "chunk":
            if pieces is None:
                pieces = results.Pieces(data.get("content_type"), most)
            for piece in pieces.of(_content(data)):
                yield "chunk", piece
        elif kind == "result":
            if pieces is None:
                yield "result", _whole(data)
                return
            for piece in pieces.of(b"", is_last=True):
                yield "chunk", piece
            return
        elif kind == "error":
            raise problem_error({"code": "unknown", **data})
        else:
            yield kind, _told(kind, data)
    raise ClientError("the answer cannot be read: it broke off", "broken_answer")


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
    """Text, or bytes where there is no text."""
    if isinstance(data.get("text"), str):
        return data["text"]
    return base64.b64decode(data.get("base64") or "")


def _told(kind, data):
    if kind == "queued":
        return data.get("position")
    if kind == "log":
        return data.get("message")
    return data or None


def _read(pieces, most):
    """The names and the data of events, which are JSON objects."""
    name, data = "message", []
    for line in _lines(pieces, most):
        field, _, value = line.partition(b":")
        value = value[1:] if value.startswith(b" ") else value
        if field == b"event":
            name = value.decode("utf-8", "replace")
        elif field == b"data":
            data.append(value)
        elif not line and data:
            yield name, _object(b"\n".join(data))
            name, data = "message", []


def _lines(pieces, most):
    """Yields the lines of a response; the limit of the response also limits each line."""
    begun, size = [], 0
    for piece in pieces:
        *lines, rest = piece.split(b"\n")
        for line in lines:
            yield b"".join([*begun, line]).rstrip(b"\r")
            begun, size = [], 0
        begun.append(rest)
        size += len(rest)
        if size > most:
            message = "an event has more than %d bytes; max_bytes=… takes more" % most
            raise ClientError(message, "answer_too_large")


def _object(text):
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ClientError("the answer cannot be read: an event is no object", "broken_answer")
    return value
