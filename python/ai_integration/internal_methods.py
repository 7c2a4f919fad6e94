"""A name under which older programs look for `start_loop`."""

from .public_interface import start_loop as _start_loop  # noqa: F401
