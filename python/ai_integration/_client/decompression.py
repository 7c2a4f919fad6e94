"""Decompresses responses that a server or a proxy has compressed with gzip, with limits."""

import zlib

# Both in bytes: what is inflated at once, and the sign of a gzip stream to zlib.
_PIECE = 1 << 20
_GZIP = 31


def inflated(pieces, broken):
    """The content of a gzip stream, in pieces; `broken` makes the error of what is none."""
    stream = zlib.decompressobj(_GZIP)
    has_begun = False
    try:
        for piece in pieces:
            made = b""
            # After the last input, zlib may still hold output.
            while piece or len(made) == _PIECE:
                if stream.eof:
                    # Another member follows.
                    stream = zlib.decompressobj(_GZIP)
                has_begun = True
                made = stream.decompress(piece, _PIECE)
                if made:
                    yield made
                piece = stream.unused_data if stream.eof else stream.unconsumed_tail
    except zlib.error:
        raise broken("it is no gzip stream, as it says") from None
    if has_begun and not stream.eof:
        raise broken("its gzip stream ends too early")
