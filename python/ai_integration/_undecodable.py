"""The refusal of an input that cannot be read as what it should be."""

# The maximum number of wrong inputs, or wrong items of a list, that an error names. The engine has
# the same limit.
MOST_NAMED = 20
# The message for the items after these.
FURTHER = "further items do not fit either"
# The maximum number of characters of a library's error text. The rest is cut off.
_MOST = 200
# The maximum number of messages for a request, and of characters in each. Together they must fit
# into the header of a frame.
_MOST_FIELDS = 60
_LONGEST = 1000


class Undecodable(ValueError):
    """Says in the client's terms what was expected of an input, and what came instead."""


def text_of(reason):
    """Returns the text of a library's exception on one line, without a full stop."""
    text = " ".join(("%s" % reason).split())
    return text[:_MOST].rstrip(".") or type(reason).__name__


def bounded(fields):
    """Returns the first pairs of an input's name and its message, with long messages cut off."""
    return [
        (name, message if len(message) <= _LONGEST else message[:_LONGEST] + "...")
        for name, message in fields[:_MOST_FIELDS]
    ]


def in_words(fields):
    """Returns one text for pairs of an input's name and its message."""
    return "; ".join("%s: %s" % field for field in fields)
