"""The older style: a model as one function instead of a loop."""

from . import _session
from ._batch import batch_options, get_next_inputs, send_results
from ._session import get_next_input, send_result, session


def start_loop(  # noqa: PLR0913 -- older programs pass them by position
    inference_function,
    inputs_schema=None,
    visualizer_config=None,
    max_batch_size=None,
    max_wait_ms=5,
    concurrency=1,
    outputs=None,
    task=None,
):
    """Calls `inference_function(inputs_dict)` for every request and sends the result it returns.

    If the function cannot be called with a single dict, it gets by name the inputs that its
    parameters name: `def infer(image, style)`.

    With a `max_batch_size` the function gets a list of at most that number of dicts and returns a
    list of results; see `get_next_inputs`. With a `concurrency` above 1 the function is called for
    that many requests, or batches, at the same time, on threads. `outputs` and `task` are as for
    `get_next_input`. Does not return: the program exits when there are no more requests.
    """
    if not callable(inference_function):
        raise TypeError("start_loop needs an inference_function that takes a dict of inputs")
    session().is_start_loop = True
    if max_batch_size is None:
        # Loaded only here, because it takes longer to load than the loop itself.
        from . import _parameters

        if _parameters.takes_names_only(inference_function):
            inference_function = _by_name(inference_function, _parameters.named_by)
    more = {"outputs": outputs, "task": task}
    concurrency = _session.concurrency(concurrency)
    if concurrency > 1:
        from ._concurrent import _threads

        batch, send = None, send_result
        if max_batch_size is not None:
            batch, send = batch_options(max_batch_size, max_wait_ms), send_results
        source = (inputs_schema, visualizer_config, more, batch)
        _threads.serve("start_loop", concurrency, source, _and_then(inference_function, send))
    while max_batch_size is None:
        with get_next_input(inputs_schema, visualizer_config, **more) as inputs:
            send_result(inference_function(inputs))
    while True:
        batch = get_next_inputs(
            inputs_schema, visualizer_config, max_batch_size, max_wait_ms, **more
        )
        with batch as list_of_inputs:
            send_results(inference_function(list_of_inputs))


def _and_then(inference_function, send):
    def call_and_send(inputs):
        send(inference_function(inputs))

    return call_and_send


def _by_name(function, named_by):
    def call_by_name(inputs):
        return function(**named_by(function, inputs))

    return call_by_name
