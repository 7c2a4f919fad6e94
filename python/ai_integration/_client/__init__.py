"""The client of models that are served by `MODE=http`; docs/client.md describes it.

These modules are imported when one of their names is first used. They need Python 3.8 or newer.
"""
