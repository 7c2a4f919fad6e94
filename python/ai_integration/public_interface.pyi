"""The older style: a model as one function instead of a loop."""

from typing import (
    Any,
    Callable,
    Dict,
    List,
    Mapping,
    NoReturn,
    Optional,
    Sequence,
    Union,
    overload,
)

@overload
def start_loop(
    inference_function: Callable[..., Any],
    inputs_schema: Optional[Mapping[str, Mapping[str, Any]]] = None,
    visualizer_config: Any = None,
    *,
    concurrency: int = 1,
    outputs: Optional[Mapping[str, Any]] = None,
    task: Union[str, Sequence[str], None] = None,
) -> NoReturn:
    """Calls `inference_function(inputs_dict)` for every request and sends the result it returns.

    If the function cannot be called with a single dict, it gets by name the inputs that its
    parameters name: `def infer(image, style)`.

    With a `max_batch_size` the function gets a list of at most that number of dicts and returns a
    list of results; see `get_next_inputs`. With a `concurrency` above 1 the function is called for
    that many requests, or batches, at the same time, on threads. `outputs` and `task` are as for
    `get_next_input`. Does not return: the program exits when there are no more requests.
    """

@overload
def start_loop(
    inference_function: Callable[[List[Dict[str, Any]]], List[Any]],
    inputs_schema: Optional[Mapping[str, Mapping[str, Any]]] = None,
    visualizer_config: Any = None,
    *,
    max_batch_size: int,
    max_wait_ms: float = 5,
    concurrency: int = 1,
    outputs: Optional[Mapping[str, Any]] = None,
    task: Union[str, Sequence[str], None] = None,
) -> NoReturn: ...
