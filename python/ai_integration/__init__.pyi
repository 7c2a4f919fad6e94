from typing import Any, ContextManager, Dict, Mapping, Optional

from . import image_helpers as image_helpers
from . import modes as modes
from . import public_interface as public_interface

__version__: str

__all__ = ["get_next_input", "image_helpers", "modes", "public_interface", "send_result"]

class get_next_input(ContextManager[Dict[str, Any]]):
    def __init__(
        self,
        inputs_schema: Optional[Mapping[str, Mapping[str, Any]]] = None,
        visualizer_config: Any = None,
        **more: Any,
    ) -> None: ...
    def __enter__(self) -> Dict[str, Any]: ...
    def __exit__(self, kind: Any, value: Any, trace: Any) -> bool: ...

def send_result(result: Dict[str, Any]) -> None: ...
