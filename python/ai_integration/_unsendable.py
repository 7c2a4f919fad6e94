"""The refusal of a result that cannot be sent as it is."""


class Unsendable(Exception):
    """Says what is wrong with a result, in the model author's terms."""


def shown(value, most=80):
    """The begin of what `repr` makes of a value, which an error shows."""
    try:
        return "%.*r" % (most, value)
    except Exception:
        # Python writes no integer of more than so many digits.
        return "an object of type " + type(value).__name__
