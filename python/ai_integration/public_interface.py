"""The older style: a model as one function instead of a loop."""

from ._session import get_next_input, send_result


def start_loop(inference_function, inputs_schema=None, visualizer_config=None):
    """Call `inference_function(inputs_dict)` for every request and send the dict it returns.

    Does not return: the program leaves when there are no more requests.
    """
    if not callable(inference_function):
        raise TypeError("start_loop needs an inference_function that takes a dict of inputs")
    while True:
        with get_next_input(inputs_schema, visualizer_config) as inputs:
            send_result(inference_function(inputs))
