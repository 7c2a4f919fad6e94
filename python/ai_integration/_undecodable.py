"""The refusal of an input that cannot be read as what it should be."""

# As many wrong inputs, or wrong items of a list, as the engine names of a request.
MOST_NAMED = 20
# What is said of the items after these.
FURTHER = "further items do not fit either"
# Longer reasons of a library are cut off.
_MOST = 200
# All that is said of a request has to fit into the header of a frame.
_MOST_FIELDS = 60
_LONGEST = 1000


class Undecodable(ValueError):
    """Says what was expected of an input and what came, in the client's terms."""


def told(reason):
    """The reason that a library gives by an exception, as a part of a sentence on one line."""
    text = " ".join(("%s" % reason).split())
    return text[:_MOST].rstrip(".") or type(reason).__name__


def bounded(fields):
    """The first of what is wrong with inputs: pairs of a name and of what is said of it."""
    return [
        (name, message if len(message) <= _LONGEST else message[:_LONGEST] + "...")
        for name, message in fields[:_MOST_FIELDS]
    ]


def in_words(fields):
    """The message of what is wrong with inputs, which are pairs of a name and of that."""
    return "; ".join("%s: %s" % field for field in fields)
