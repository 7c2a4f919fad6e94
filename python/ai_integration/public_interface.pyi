from typing import Any, Callable, Dict, Mapping, NoReturn, Optional

def start_loop(
    inference_function: Callable[[Dict[str, Any]], Dict[str, Any]],
    inputs_schema: Optional[Mapping[str, Mapping[str, Any]]] = None,
    visualizer_config: Any = None,
) -> NoReturn: ...
