"""Lists of pictures, or of other files, that a model gives as one result."""

from . import _pictures
from ._link import BODY_LIMIT
from ._unsendable import Unsendable

# The most items that an engine takes.
_MOST = 1000


def is_of_one(items):
    """Returns true if the list has one item, or is a matplotlib figure with curves or axes."""
    if len(items) == 1:
        return True
    figure = _pictures.figure_of(items[0]) if items else None
    if figure is None or all(item is figure for item in items):
        return False
    return all(_pictures.figure_of(item) is figure for item in items)


def encode(items, media_type, encoded):
    """The bytes of each item; `encoded` returns those of one in pieces."""
    if not 1 <= len(items) <= _MOST:
        kind = "images" if media_type.startswith("image/") else "items"
        raise Unsendable("it holds %d %s; a result is from 1 to %d" % (len(items), kind, _MOST))
    parts = []
    room = BODY_LIMIT
    for place, item in enumerate(items):
        try:
            part = _joined(encoded(item), room)
            if not part and media_type.startswith("image/"):
                raise Unsendable("the picture is empty")
        except Unsendable as reason:
            raise Unsendable(
                '"data"[%d] is an object of type %s: %s' % (place, type(item).__name__, reason)
            )
        room -= len(part)
        parts.append(part)
    return parts


def _joined(pieces, room):
    """The pieces together; refuses them once there is no room for more."""
    read = []
    for piece in pieces:
        room -= len(piece)
        if room < 0:
            raise Unsendable("the list is larger than a result may be, %d bytes" % BODY_LIMIT)
        read.append(piece)
    return b"".join(read)
