"""The refusal of a result that cannot be sent as it is."""


class Unsendable(Exception):
    """Says what is wrong with a result, in the model author's terms."""
