"""Decompresses responses that a server or a proxy has compressed with gzip, with limits."""

import zlib

# In bytes: the most output of one step.
_CHUNK = 1 << 20
# The argument that makes zlib read a gzip stream.
_GZIP = 31


def inflated(chunks, broken):
    """Yields the content of a gzip stream in chunks; `broken` makes the error for a bad stream."""
    stream = zlib.decompressobj(_GZIP)
    has_begun = False
    try:
        for chunk in chunks:
            made = b""
            # After the last input, zlib may still hold output.
            while chunk or len(made) == _CHUNK:
                if stream.eof:
                    # Another member follows.
                    stream = zlib.decompressobj(_GZIP)
                has_begun = True
                made = stream.decompress(chunk, _CHUNK)
                if made:
                    yield made
                chunk = stream.unused_data if stream.eof else stream.unconsumed_tail
    except zlib.error:
        raise broken("it is not a gzip stream, although its header says so") from None
    if has_begun and not stream.eof:
        raise broken("its gzip stream ends too early")
