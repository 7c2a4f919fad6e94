"""Finds misspelt keys of a result dict, which would otherwise be ignored without an error."""

from os.path import commonprefix

from ._unsendable import shown

_TEXT = type(b"".decode("ascii"))

_PARTS = {"contenttype": "content-type", "data": "data", "error": "error", "success": "success"}

# Other words for the parts of a result, without signs and in small letters.
_WORDS = {
    "body": "data",
    "detail": "error",
    "err": "error",
    "exception": "error",
    "image": "data",
    "mediatype": "content-type",
    "mime": "content-type",
    "mimetype": "content-type",
    "message": "error",
    "output": "data",
    "prediction": "data",
    "predictions": "data",
    "reason": "error",
    "result": "data",
    "succeeded": "success",
    "successful": "success",
    "text": "data",
    "type": "content-type",
    "value": "data",
}
# A result dict has few keys. A dict with more keys than this is data.
_MOST = 100


def misspelt(result, missing, is_success):
    """Says which key of `result` was meant to be one of the `missing` parts; `None` if none was.

    A dict without any of the parts is data for JSON, which may have any of these keys. In it, only
    a misspelt `success` counts.
    """
    is_bare = len(missing) == len(_PARTS)
    for key in list(result)[:_MOST]:
        if not isinstance(key, (str, _TEXT)):
            continue
        word = "".join(sign for sign in key if sign.isalnum()).lower()
        meant = [part for part in _PARTS if _is_slip(word, part)]
        part = _PARTS[meant[0]] if meant else None if is_bare else _WORDS.get(word)
        if key == part or part not in missing or (is_bare and part != "success"):
            continue
        if not _matters(part, result, is_success):
            continue
        return 'it has the key %s, which is %s; the key is "%s"' % (
            shown(key),
            shown(result[key], 200),
            part,
        )
    return None


def _matters(part, result, is_success):
    """Returns true if `result` lacks the part: a success has no error, a failure no data."""
    is_failure = "success" in result and not is_success
    if part == "error":
        return is_failure
    # The message must not hide an error that the model reports.
    return result.get("error") is None and not (part == "data" and is_failure)


def _is_slip(word, part):
    """Returns true if they differ in doubled letters, by one letter, or by two exchanged ones."""
    word, part = _without_doubles(word), _without_doubles(part)
    longest = max(len(word), len(part))
    alike = len(commonprefix([word, part])) + len(commonprefix([word[::-1], part[::-1]]))
    if abs(len(word) - len(part)) <= 1 and alike >= longest - 1:
        return True
    return sorted(word) == sorted(part) and alike == longest - 2


def _without_doubles(word):
    return "".join(sign for at, sign in enumerate(word) if word[at - 1 : at] != sign)
