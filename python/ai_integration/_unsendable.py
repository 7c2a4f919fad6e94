"""The refusal of a result that cannot be sent as it is."""


class Unsendable(Exception):
    """Says what is wrong with a result, in the model author's terms."""


def shown(value, most=80):
    """Returns the beginning of the `repr` of a value, for an error text."""
    try:
        return "%.*r" % (most, value)
    except Exception:
        # Python refuses to write an integer with very many digits.
        return "an object of type " + type(value).__name__
