"""The misspelt keys of a result dict, which would have no effect and leave the author guessing."""

from os.path import commonprefix

_PARTS = {"contenttype": "content-type", "data": "data", "error": "error", "success": "success"}

# Other words for the parts of a result, without signs and in small letters.
_WORDS = {
    "body": "data",
    "err": "error",
    "exception": "error",
    "mediatype": "content-type",
    "mime": "content-type",
    "mimetype": "content-type",
    "output": "data",
    "result": "data",
    "succeeded": "success",
    "successful": "success",
    "value": "data",
}
# A result has few keys. What has many is data.
_MOST = 100


def misspelt(result, missing):
    """Says which key of `result` was meant to be one of the `missing` parts; `None` if none was.

    A dict without any of the parts is a result of JSON, which may have all of these words: there
    only a misspelt `success` counts.
    """
    is_bare = len(missing) == len(_PARTS)
    for key in list(result)[:_MOST]:
        word = "".join(sign for sign in "%s" % (key,) if sign.isalnum()).lower()
        meant = [part for part in _PARTS if _is_slip(word, part)]
        part = _PARTS[meant[0]] if meant else None if is_bare else _WORDS.get(word)
        if key == part or part not in missing or (is_bare and part != "success"):
            continue
        if result.get("success") is True if part == "error" else result.get("error") is not None:
            # It has no error, or one whose own words must not be hidden.
            continue
        return 'it has the key %.80r, which is %.200r; the key is "%s"' % (key, result[key], part)
    return None


def _is_slip(word, part):
    """Whether they differ in doubled letters, and by one letter or two that are exchanged."""
    word, part = _without_doubles(word), _without_doubles(part)
    longest = max(len(word), len(part))
    alike = len(commonprefix([word, part])) + len(commonprefix([word[::-1], part[::-1]]))
    if abs(len(word) - len(part)) <= 1 and alike >= longest - 1:
        return True
    return sorted(word) == sorted(part) and alike == longest - 2


def _without_doubles(word):
    return "".join(sign for at, sign in enumerate(word) if word[at - 1 : at] != sign)
