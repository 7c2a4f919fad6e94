"""The properties of an input that an annotation alone cannot give."""

_PROPERTIES = (
    "description",
    "type",
    "min",
    "max",
    "choices",
    "formats",
    "max_bytes",
    "min_items",
    "max_items",
    "examples",
)


class Input:
    """Adds properties to a parameter: `steps: Annotated[int, Input("Steps", min=1)] = 20`.

    Each argument is a property of the inputs schema; None leaves the property out. `type` may name
    another input type whose values have the same Python type, such as "audio" for bytes.
    """

    __slots__ = _PROPERTIES

    def __init__(  # noqa: PLR0913 -- each is a property of the schema
        self,
        description=None,
        *,
        type=None,
        min=None,
        max=None,
        choices=None,
        formats=None,
        max_bytes=None,
        min_items=None,
        max_items=None,
        examples=None,
    ):
        given = locals()
        for name in _PROPERTIES:
            setattr(self, name, given[name])

    def __repr__(self):
        said = ("%s=%r" % item for item in self.properties().items())
        return "Input(%s)" % ", ".join(said)

    def properties(self):
        """Returns the properties that are not None, as a dict."""
        values = ((name, getattr(self, name)) for name in _PROPERTIES)
        return {name: value for name, value in values if value is not None}
