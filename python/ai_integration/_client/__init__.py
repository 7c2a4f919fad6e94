"""The client of models that are served elsewhere by `MODE=http`; docs/client.md is its page.

Nothing here is imported before one of its names is used, and all of it needs Python 3.8 or newer.
"""
