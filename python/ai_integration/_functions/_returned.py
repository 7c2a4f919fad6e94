"""The result dicts for the values that a function returns."""

import os

_ANY_BYTES = "application/octet-stream"


class Result:
    """A returned value with its content type, or a failure.

    `data` is any value that a function may return, and `content_type` is its media type. With an
    `error` the request fails, and the client gets this text.
    """

    __slots__ = ("content_type", "data", "error")

    def __init__(self, data=None, content_type=None, *, error=None):
        if error is not None and not isinstance(error, str):
            raise TypeError("error is a %s, not a string" % type(error).__name__)
        self.data = data
        self.content_type = content_type
        self.error = error

    def __repr__(self):
        said = ((name, getattr(self, name)) for name in ("data", "content_type", "error"))
        return "Result(%s)" % ", ".join("%s=%r" % one for one in said if one[1] is not None)


def as_result(value, has_chunks):
    """Returns the result dict of a value; None is JSON null, and adds nothing after chunks."""
    said = value if isinstance(value, Result) else Result(value)
    data, content_type = said.data, said.content_type
    if content_type is None and said.error is None:
        if data is None and not has_chunks:
            content_type = "application/json"
        elif isinstance(data, os.PathLike):
            content_type = _content_type_of(data)
            if "json" in content_type:
                # In a JSON result a path would become a text, so its content is read here.
                with open(data, "rb") as file:
                    data = file.read()
        elif _is_list_of_paths(data):
            types = {_content_type_of(path) for path in data}
            content_type = types.pop() if len(types) == 1 else _ANY_BYTES
            if content_type.startswith("text/") or "json" in content_type:
                # A result of these types cannot be a list of files.
                content_type = _ANY_BYTES
    return {
        "content-type": content_type,
        "data": data,
        "success": said.error is None,
        "error": said.error,
    }


def _is_list_of_paths(data):
    if not isinstance(data, (list, tuple)) or not data:
        return False
    return all(isinstance(path, os.PathLike) for path in data)


def _content_type_of(path):
    """Returns the content type that belongs to the name of a file."""
    import mimetypes

    content_type, encoding = mimetypes.guess_type(os.fspath(path))
    return (encoding is None and content_type) or _ANY_BYTES
