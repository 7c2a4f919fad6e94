"""The refusal of an input that cannot be read as what it should be."""

# Longer reasons of a library are cut off.
_MOST = 200


class Undecodable(ValueError):
    """Says what was expected of an input and what came, in the client's terms."""


def told(reason):
    """The reason that a library gives by an exception, as a part of a sentence on one line."""
    text = " ".join(("%s" % reason).split())
    return text[:_MOST].rstrip(".") or type(reason).__name__


def in_words(fields):
    """The message of what is wrong with inputs, which are pairs of a name and of that."""
    return "; ".join("%s: %s" % field for field in fields)
