"""A name under which older programs look for the loop."""

from ._session import get_next_input, send_result  # noqa: F401
