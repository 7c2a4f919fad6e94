"""Checks the results that a model gives, and prepares them for sending.

A result that cannot be sent is replaced by a failed result that names the cause.
"""

import numbers
import sys
import traceback

from ._json_text import json_of, json_of_plain
from ._unsendable import Unsendable, shown

_PYTHON_2 = str is bytes
# The type of text in either Python.
TEXT = type(b"".decode("ascii"))

# The error of a request whose client has disconnected or has cancelled it.
CANCELLED = "the request was cancelled"

# The content types of most results. They need no further checks.
_USUAL_TYPES = frozenset(["application/json", "image/jpeg", "image/png", "text/html", "text/plain"])

# An error is sent in a frame's header, whose length is limited.
_ERROR_LIMIT = 100000

_WAV_TYPES = ("audio/wav", "audio/wave", "audio/x-wav", "audio/vnd.wave")

_PARTS = ("content-type", "data", "success", "error")
_RESULT = 'a dict with "content-type", "data", "success" and "error", or the data alone'

# The only type ending with "+json" whose body is one JSON value per line.
_LINES_OF_JSON = "application/stream+json"

_ACCEPTED = (
    "accepted are: bytes or str under any content type; a dict, list, number, date, array or the"
    " like under a JSON one; a PIL image, an array of pixels, a figure or a list of them under an"
    " image one; (rate, array) under audio/wav; a number under a text one; a file or its Path; an"
    " iterator of str or bytes, or under a JSON one of dicts; None"
)


class PreparedResult(object):
    """A result ready to be sent.

    `data` is text, bytes or `None`. If the data is streamed, `chunks` is an iterator of its text or
    bytes instead. `is_json` is true if this module wrote the text as JSON from a value. `parts` has
    the length of each item of a list; `data` then holds the joined items. `is_printed` is true if
    the traceback in `error` was printed.
    """

    __slots__ = (
        "chunks",
        "content_type",
        "data",
        "error",
        "is_json",
        "is_printed",
        "parts",
        "success",
    )

    def __init__(self, success, content_type=None, data=None, error=None, is_json=False):
        self.success = success
        self.content_type = content_type
        self.data = data
        self.error = error
        self.parts = None
        self.chunks = None
        self.is_json = is_json
        self.is_printed = False


def failure(message):
    """Returns the result dict of a request that failed, with this message as its error."""
    return {"content-type": "text/plain", "data": None, "success": False, "error": message}


class Raised(dict):
    """The result dict of a request that ended in an exception.

    `is_printed` is true if the traceback of the exception was printed.
    """

    def __init__(self, message, is_printed):
        dict.__init__(self, failure(message))
        self.is_printed = is_printed

    def prepared(self):
        """Returns this result, ready to be sent."""
        answer = failed(self["error"])
        answer.is_printed = self.is_printed
        return answer


def failed(message):
    """Returns a failed result with this error, ready to be sent."""
    return PreparedResult(False, "text/plain", error=_clipped(_as_text(message)))


def unsendable(reason):
    """Returns the failed result that replaces one whose data cannot be sent."""
    return failed("the model's data cannot be sent: %s" % reason)


def without_data(answer):
    """Returns a failed result if a picture has no data, and any other result unchanged."""
    if answer.success and _media_type(answer).startswith("image/"):
        return unsendable("the picture is empty; give its bytes, a PIL image or a file")
    return answer


def prepare(result, follows_chunks=False):
    """Turns what the model gave into a `PreparedResult`; never raises for a bad result.

    If chunks were sent before, the data is one more chunk, and `None` adds none.
    """
    try:
        if type(result) is dict and not _PYTHON_2:
            data, content_type = result.get("data"), result.get("content-type")
            if (
                type(content_type) is str
                and content_type in _USUAL_TYPES
                and result.get("success") is True
                and result.get("error") is None
            ):
                kind = type(data)
                if kind is bytes or (kind is str and not content_type.startswith("image/")):
                    return PreparedResult(True, content_type, data)
                if kind is dict and content_type == "application/json":
                    return PreparedResult(True, content_type, json_of(data), is_json=True)
    except Exception:
        # The slower code below finds the error text.
        pass
    if type(result) is Raised:
        return result.prepared()
    try:
        return _checked(result, follows_chunks)
    except Unsendable as reason:
        return failed("the model gave a result which cannot be sent: %s" % reason)
    except Exception:
        return failed(
            "the model gave a result which cannot be sent:\n" + formatted(*sys.exc_info())
        )


def body_of(chunk):
    """Returns the kind of a chunk, `"text"` or `"bytes"`, and its bytes."""
    if isinstance(chunk, TEXT):
        try:
            return "text", chunk.encode("utf-8")
        except UnicodeError as reason:
            raise Unsendable("the text cannot be written as UTF-8: %s" % reason)
    if isinstance(chunk, bytes):
        return "bytes", chunk
    if isinstance(chunk, bytearray):
        return "bytes", bytes(chunk)
    if isinstance(chunk, memoryview):
        return "bytes", chunk.tobytes()
    raise Unsendable(
        "an iterator gave %s; it may give str and bytes, and under application/x-ndjson whatever"
        " JSON can express; several pictures are a list of them" % _kind(chunk)
    )


def chunk(data, content_type):
    """Returns the kind, the body and the content type of a chunk from `send_chunk`."""
    if not _is_raw(data):
        raise TypeError("send_chunk takes str and bytes, not %s" % _kind(data))
    try:
        content_type = _content_type(content_type)
        if _PYTHON_2 and isinstance(data, bytes):
            data = _python_2_text(data, content_type or "text/plain")
        kind, body = body_of(data)
    except Unsendable as reason:
        raise ValueError("the chunk cannot be sent: %s" % reason)
    return kind, body, content_type


def as_dict(result):
    """Returns the result dict that the model gave, or a successful one for data alone."""
    if result is None:
        raise Unsendable("it is %s; give %s" % (_kind(result), _RESULT))
    is_bare = not isinstance(result, dict)
    if not is_bare:
        missing = [key for key in _PARTS if key not in result]
        if missing and len(missing) + len(result) > len(_PARTS):
            from . import _result_keys

            misspelt = _result_keys.misspelt(result, missing, _is_true(result.get("success")))
            if misspelt is not None:
                raise Unsendable(misspelt)
        is_bare = bool(result) and len(missing) == len(_PARTS)
    if is_bare:
        return {"content-type": _obvious_type(result), "data": result, "success": True}
    return result


def message(value):
    """Returns the model's message as text that is short enough for a frame's header."""
    return _clipped(_as_text(value))


def formatted(kind, value, trace):
    """Returns an exception's traceback as text."""
    return _as_text("".join(traceback.format_exception(kind, value, trace)))


def encode_json(value):
    """Returns `value` as JSON text; raises `Unsendable` if JSON cannot express it."""
    try:
        return json_of(value)
    except Exception:
        # The slower code below finds the error text.
        from . import _json_values
    try:
        return json_of_plain(_json_values.plain(value))
    except (_json_values.Unexpressible, ValueError) as reason:
        raise Unsendable("JSON cannot express it: %s" % reason)


def _checked(result, follows_chunks):
    result = as_dict(result)
    content_type = _content_type(result.get("content-type"))
    if content_type is None and not (follows_chunks and _is_raw(result.get("data"))):
        content_type = _obvious_type(result.get("data"))
    error = result.get("error")
    if error is not None:
        error = _clipped(_as_text(error))
    if not _is_true(result.get("success")):
        if error is None and result.get("success") not in (False, 0):
            error = 'the result\'s "success" is %s, and only True is success' % shown(
                result.get("success")
            )
        return _with_optional_data(
            PreparedResult(False, content_type, error=error), result.get("data")
        )
    if "data" not in result and not follows_chunks:
        _check_omission(result, content_type)
    answer = PreparedResult(True, content_type, error=error)
    if follows_chunks and result.get("data") is None:
        return answer
    try:
        _fill(answer, result.get("data"))
    except Unsendable as reason:
        raise Unsendable('"data" is %s: %s' % (_kind(result.get("data")), reason))
    if follows_chunks and answer.parts is not None:
        raise Unsendable(
            '"data" is a list, which cannot follow what send_chunk has sent: give the list alone'
        )
    return answer


def _check_omission(result, content_type):
    """Raises `Unsendable` for a success without the key `data`, unless JSON null can be meant."""
    others = [key for key in result if key not in _PARTS]
    if others:
        raise Unsendable(
            'it has no "data"; the key %s has no effect: put it into "data"' % shown(others[0])
        )
    if "json" not in (content_type or "").lower():
        raise Unsendable('it has no "data"; if there is nothing to send, "data" is None')


def _with_optional_data(answer, data):
    """Adds a failure's data, unless it is an iterator, a file or unsendable."""
    try:
        if not (_is_iterator(data) or _is_file(data)):
            _fill(answer, data)
    except Exception:
        answer.data = None
    return answer


def _fill(answer, data):
    media_type = _media_type(answer)
    is_json = "json" in media_type
    is_picture = media_type.startswith("image/") or media_type == "application/pdf"
    if data is None:
        answer.data = TEXT("null") if is_json and answer.success else None
    elif isinstance(data, bytes):
        answer.data = _python_2_text(data, media_type) if _PYTHON_2 else data
    elif isinstance(data, TEXT) and not (is_json and hasattr(type(data), "__members__")):
        # A text member of an Enum is a value, not JSON text.
        if not is_json and not media_type.startswith("text/"):
            from . import _files

            _files.check_text(data, media_type)
        answer.data = data
    elif isinstance(data, (bytearray, memoryview)):
        answer.data = body_of(data)[1]
    elif _is_file(data) and not (is_json and not hasattr(data, "read")):
        from . import _files

        whole, answer.chunks = _files.content(data, media_type)
        if whole is not None:
            _fill(answer, whole)
    elif _is_iterator(data):
        answer.chunks = data
        if is_json or not media_type:
            answer.chunks = _lines(answer, media_type, data)
        elif not media_type.startswith("text/"):
            from . import _files

            answer.chunks = _files.checked(data, media_type)
    elif _is_list(data, media_type):
        _fill_with_list(answer, data, media_type)
    elif is_picture:
        from . import _pictures

        answer.data = _pictures.encode(data, media_type)
    elif media_type in _WAV_TYPES:
        from . import _sounds

        answer.data = _sounds.encode(data)
    elif is_json:
        answer.data = _as_text(encode_json(data))
        answer.is_json = True
    elif media_type.startswith("text/") and isinstance(_scalar(data), numbers.Number):
        try:
            answer.data = _as_text(_scalar(data))
        except ValueError as reason:
            raise Unsendable("the number cannot be written: %s" % reason)
    else:
        from . import _json_values

        raise Unsendable(
            'that does not go with the content type "%s"; %s; %s'
            % (answer.content_type, _json_values.hint(data), _ACCEPTED)
        )


def _media_type(answer):
    return (answer.content_type or "").split(";")[0].strip().lower()


def _is_list(data, media_type):
    """Returns true for several results of the media type, or a list of exactly one."""
    if not isinstance(data, (list, tuple)) or not media_type:
        return False
    if media_type.startswith("text/") or "json" in media_type:
        return False
    # A sound may itself be a pair that begins with a number.
    return media_type not in _WAV_TYPES or not data or _may_be_sound(data[0])


def _fill_with_list(answer, items, media_type):
    from . import _lists

    if _lists.is_of_one(items):
        _fill(answer, items[0])
        return

    def encoded(item):
        if _is_list(item, media_type) or (_is_iterator(item) and not _is_file(item)):
            raise Unsendable("a list holds whole results, no lists and no iterators")
        part = PreparedResult(True, answer.content_type)
        _fill(part, item)
        chunks = part.chunks
        if chunks is None:
            chunks = [] if part.data is None else [part.data]
        return (body_of(chunk)[1] for chunk in chunks)

    parts = _lists.encode(items, media_type, encoded)
    answer.data = b"".join(parts)
    answer.parts = [len(part) for part in parts]


def _may_be_sound(value):
    return isinstance(value, (bytes, bytearray, memoryview, list, tuple)) or _is_file(value)


def _lines(answer, media_type, items):
    """Yields text and bytes unchanged, and any other item of the iterator as a line of JSON.

    If the content type is not clear yet, the first item decides it.
    """
    number = 0
    try:
        for number, item in enumerate(items):
            is_raw = _is_raw(item)
            if number == 0 and not is_raw and _is_of_one_value(media_type):
                answer.content_type = "application/x-ndjson"
            elif number == 0 and not media_type and isinstance(item, TEXT):
                answer.content_type = "text/plain"
            if is_raw:
                yield item
                continue
            try:
                line = encode_json(item)
            except Unsendable as reason:
                raise Unsendable("item %d of its iterator: %s" % (number, reason))
            yield _as_text(line) + TEXT("\n")
    finally:
        # A generator that is not read to its end is closed now, not by its finalizer.
        close = getattr(items, "close", None)
        if close is not None:
            close()


def _is_of_one_value(media_type):
    """Returns true if a stream of JSON values has a content type other than this one."""
    if media_type.endswith("+json"):
        return media_type != _LINES_OF_JSON
    return media_type in ("", "application/json", "text/json")


def _obvious_type(data):
    """Returns the content type that follows from the data, or `None` if none does."""
    if isinstance(data, (str, TEXT)):
        return "text/plain"
    if _is_raw(data):
        return "application/octet-stream"
    # The items of an iterator are known later, and a file may hold anything.
    if data is None or _is_iterator(data) or _is_file(data):
        return None
    from . import _pictures

    first = data[0] if isinstance(data, (list, tuple)) and data else data
    if _pictures.is_picture(first) or _pictures.figure_of(first) is not None:
        return "image/png"
    return "application/json"


def _content_type(value):
    if value is None:
        return None
    text = _as_text(value) if isinstance(value, (bytes, TEXT)) else None
    if text is None or len(text) > 255 or min(text or " ") < " " or "\x7f" in text:
        raise Unsendable('"content-type" is %s, not a media type like image/png' % shown(value))
    return text or None


def _is_true(value):
    try:
        # `==`, because a boolean of NumPy is not `True` itself.
        return bool(value == True)  # noqa: E712
    except Exception:
        return False


def _is_file(value):
    return callable(getattr(value, "read", None)) or hasattr(type(value), "__fspath__")


def _is_text(value):
    return isinstance(value, (str, TEXT))


def _is_raw(value):
    return isinstance(value, (TEXT, bytes, bytearray, memoryview))


def _is_iterator(value):
    return hasattr(type(value), "next" if _PYTHON_2 else "__next__")


def _python_2_text(data, media_type):
    if media_type.startswith("text/") or "json" in media_type:
        try:
            return data.decode("utf-8")
        except UnicodeError:
            # A `str` of Python 2 may hold any bytes.
            pass
    return data


def _scalar(value):
    return value.item() if getattr(value, "shape", None) == () else value


def _as_text(value):
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, TEXT) else TEXT(value)


def _clipped(text):
    if len(text) <= _ERROR_LIMIT:
        return text
    half = _ERROR_LIMIT // 2
    return text[:half] + "\n[...]\n" + text[-half:]


def _kind(value):
    return "an object of type " + type(value).__name__
