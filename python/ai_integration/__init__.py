"""Runs a model from a command line, a pipe, an HTTP server or a hosting platform.

A model is a function that is passed to `run`, or a loop around `get_next_input` and `send_result`.
One that works on many requests at the same time is an async function, or a loop over `requests`.
The environment variable `MODE` decides where its inputs come from and where its results go:

    import ai_integration

    while True:
        with ai_integration.get_next_input(inputs_schema={"image": {"type": "image"}}) as inputs:
            ai_integration.send_result(
                {"content-type": "image/jpeg", "data": inputs["image"], "success": True}
            )

This package runs in the model process. The native `ai-integration` binary does everything else;
the package reaches it over an inherited socket.
"""

from . import _process

# The package takes the link, or lets the engine replace this process, before the rest of the
# program is imported. So processes that the model starts do not inherit the link, a process that
# is replaced loads no modules first, and no output of the program mixes into a result.
if _process.take_link():
    from . import _children, _leaving

    _process.line_buffer_output()
    _leaving.report_an_end_before_the_loop()
    _children.of_this_process()
elif _process.is_child_of_multiprocessing():
    from . import _guard

    _guard.watch_the_import()
elif _process.asks_for_supervision():
    from . import _handover

    _handover.attempt()
elif _process.asks_for_a_result():
    from . import _handover, _standard_streams

    if _handover.is_a_program():
        _standard_streams.save_stdout()

from . import fake_inference_function, image_helpers, internal_methods, modes, public_interface
from ._batch import get_next_inputs, send_results
from ._session import Cancelled, get_next_input, send_result
from ._stream import cancelled, progress, send_chunk
from ._version import __version__  # noqa: F401

__all__ = [
    "Cancelled",
    "cancelled",
    "fake_inference_function",
    "get_next_input",
    "get_next_inputs",
    "image_helpers",
    "internal_methods",
    "modes",
    "progress",
    "public_interface",
    "send_chunk",
    "send_result",
    "send_results",
]

# These names need Python 3.8. Each is imported from its module when it is first used.
_ON_USE = {
    "AsyncClient": "_client.async_client",
    "Client": "_client.client",
    "ClientError": "_client.errors",
    "File": "_client.results",
    "Input": "_functions",
    "Request": "_concurrent._requests",
    "Result": "_functions",
    "requests": "_concurrent._requests",
    "run": "_functions",
}
if str is not bytes:
    __all__ += sorted(_ON_USE)


def __getattr__(name):
    if name not in _ON_USE:
        raise AttributeError("module %r has no attribute %r" % (__name__, name))
    import importlib

    value = getattr(importlib.import_module("." + _ON_USE[name], __name__), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted(set(globals()) | set(_ON_USE))
