"""The form in which answers travel: the frames of the worker protocol that carry them."""

from ._link import BODY_LIMIT, encode, frame
from ._results import Unsendable, body_of, unsendable
from ._undecodable import in_words

# Data shorter than this travels in one piece with its header. Text may have four bytes for each
# character, and still takes no memory file.
_SMALL = 1 << 16

# The usual headers, all but the number at the end, by content type and kind of body.
_heads = {}  # type: dict[tuple[object, object], bytes]


def small(answer, number):
    """The only frame of an answer that is small and whole, as bytes; `None` for other answers."""
    data = answer.data
    if data is None:
        return frame(_result(answer, number, None)) if answer.pieces is None else None
    if len(data) >= _SMALL:
        return None
    try:
        kind, body = body_of(data)
    except Unsendable:
        return None
    return frame(_result(answer, number, _kind(answer, kind)), body)


def frames(answer, number, has_chunks):
    """Yield the header and body of each frame of an answer whose pieces, if any, were sent.

    `has_chunks` says whether chunks were sent before; the data of a success is then one more.
    """
    # An iterator that gave nothing is data all the same: it is empty.
    data = answer.data if answer.pieces is None else ""
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
    """The kind of the data for the header, where a list and written JSON have their own."""
    return "list" if answer.parts else "json" if answer.is_json else kind


def batch_failure(answer, number):
    """The header of the frame of a failure that is the whole batch's, not this member's."""
    return encode(dict(_fields(answer, number, None), of_batch=True))


def chunks(number, kind, body, content_type):
    """The header and body of each frame of a chunk: one frame, unless the chunk is too large.

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
    """The header of the frame that tells how far a job is."""
    return encode({"type": "progress", "id": number, "fraction": fraction, "message": message})


def log(number, line):
    """The header of the frame with a line that was printed for a job."""
    return encode({"type": "log", "id": number, "message": line})


def replace(reason):
    """The header of the frame that asks for another process, for this reason."""
    return encode({"type": "replace", "message": reason})


def refusal(number, fields):
    """The header of the frame that refuses a job for its inputs: pairs of name and message."""
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
    """The header of the frame with this answer, whose body is of this kind."""
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
