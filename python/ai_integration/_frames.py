"""Makes the frames of the worker protocol that carry results and reports to the engine."""

from ._link import BODY_LIMIT, encode, frame
from ._results import Unsendable, body_of, unsendable
from ._undecodable import in_words

# In bytes or characters: shorter data is sent together with its header. Even text with four bytes
# for each character then needs no memory file.
_SMALL = 1 << 16

# The usual headers without the number at their end, by content type and kind of body.
_heads = {}  # type: dict[tuple[object, object], bytes]


def small(answer, number):
    """Returns the only frame of a result that is small and whole; `None` for other results."""
    data = answer.data
    if data is None:
        return frame(_result(answer, number, None)) if answer.chunks is None else None
    if len(data) >= _SMALL:
        return None
    try:
        kind, body = body_of(data)
    except Unsendable:
        return None
    return frame(_result(answer, number, _kind(answer, kind)), body)


def frames(answer, number, has_chunks):
    """Yields the header and body of each frame of a result whose iterator, if any, was sent.

    `has_chunks` is true if chunks were sent before; the data of a success is then one more.
    """
    # An iterator without items gives empty data, not `None`.
    data = answer.data if answer.chunks is None else ""
    try:
        kind, body = (None, b"") if data is None else body_of(data)
    except Unsendable as reason:
        answer, kind, body = unsendable(reason), None, b""
    if len(body) > BODY_LIMIT or (has_chunks and answer.success):
        if body:
            for chunk in chunks(number, kind, body, answer.content_type):
                yield chunk
        kind, body = None, b""
    else:
        kind = _kind(answer, kind)
    yield _result(answer, number, kind), body


def _kind(answer, kind):
    """Returns the kind of the data for the header; a list and written JSON have their own."""
    return "list" if answer.parts else "json" if answer.is_json else kind


def batch_failure(answer, number):
    """Returns the header of a frame for a failure of the whole batch, not only of this member."""
    return encode(dict(_fields(answer, number, None), of_batch=True))


def chunks(number, kind, body, content_type):
    """Returns the header and body of each frame of a chunk; only a large chunk needs several.

    Text is cut only between characters.
    """
    head = encode({"type": "chunk", "id": number, "data": kind, "content_type": content_type})
    if len(body) <= BODY_LIMIT:
        return [(head, body)]
    cut = []
    view = memoryview(body)
    start = 0
    while start < len(view):
        end = min(start + BODY_LIMIT, len(view))
        while kind == "text" and end < len(view) and ord(body[end : end + 1]) & 0xC0 == 0x80:
            end -= 1
        cut.append((head, view[start:end]))
        start = end
    return cut


def progress(number, fraction, message):
    """Returns the header of a frame that reports the progress of a job."""
    return encode({"type": "progress", "id": number, "fraction": fraction, "message": message})


def log(number, line):
    """Returns the header of a frame with a line that was printed for a job."""
    return encode({"type": "log", "id": number, "message": line})


def replace(reason):
    """Returns the header of a frame that asks for another process, for this reason."""
    return encode({"type": "replace", "message": reason})


def refusal(number, fields):
    """Returns the header of a frame that refuses a job's inputs: pairs of name and message."""
    return encode(
        {
            "type": "result",
            "id": number,
            "success": False,
            "error": in_words(fields),
            "fields": [{"name": name, "message": message} for name, message in fields],
        }
    )


def _result(answer, number, kind):
    """Returns the header of a frame with this result and a body of this kind."""
    if not answer.success or answer.error is not None or answer.parts:
        return encode(_fields(answer, number, kind))
    known = _heads.get((answer.content_type, kind))
    if known is None:
        known = encode(_fields(answer, 0, kind))[: -len("0}")]
        if len(_heads) < 64:
            _heads[answer.content_type, kind] = known
    return known + b"%d}" % number


def _fields(answer, number, kind):
    fields = {
        "type": "result",
        "success": answer.success,
        "content_type": answer.content_type,
        "data": kind,
        "error": answer.error,
        "id": number,
    }
    if answer.parts:
        fields["parts"] = answer.parts
    if answer.is_printed:
        fields["is_printed"] = True
    return fields
