from typing import Any, Callable, Dict, List, Mapping, NoReturn, Optional, overload

@overload
def start_loop(
    inference_function: Callable[..., Any],
    inputs_schema: Optional[Mapping[str, Mapping[str, Any]]] = None,
    visualizer_config: Any = None,
) -> NoReturn: ...
@overload
def start_loop(
    inference_function: Callable[[List[Dict[str, Any]]], List[Any]],
    inputs_schema: Optional[Mapping[str, Mapping[str, Any]]] = None,
    visualizer_config: Any = None,
    *,
    max_batch_size: int,
    max_wait_ms: float = 5,
) -> NoReturn: ...
