"""Lists of pictures, or of other files, that a model gives as one result."""

from . import _pictures
from ._link import BODY_LIMIT
from ._unsendable import Unsendable

# The maximum number of items that the engine accepts in one result.
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
    """Returns the bytes of each item. `encoded` returns one item's bytes in chunks."""
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


def _joined(chunks, room):
    """Joins the chunks; raises `Unsendable` if they are longer than `room` bytes."""
    read = []
    for chunk in chunks:
        room -= len(chunk)
        if room < 0:
            raise Unsendable("the list is larger than a result may be, %d bytes" % BODY_LIMIT)
        read.append(chunk)
    return b"".join(read)
