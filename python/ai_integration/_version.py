"""The version of this package, which is the engine's."""

__version__ = "2.0.0"
