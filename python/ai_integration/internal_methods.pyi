from .public_interface import start_loop as _start_loop  # noqa: F401
