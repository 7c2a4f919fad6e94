import os
import pathlib
import ssl
from types import TracebackType
from typing import (
    Any,
    AsyncIterator,
    Awaitable,
    Callable,
    ContextManager,
    Dict,
    Iterator,
    List,
    Mapping,
    NoReturn,
    Optional,
    Sequence,
    Tuple,
    Type,
    TypeVar,
    Union,
)

from . import fake_inference_function as fake_inference_function
from . import image_helpers as image_helpers
from . import internal_methods as internal_methods
from . import modes as modes
from . import public_interface as public_interface

__version__: str

__all__ = [
    "AsyncClient",
    "Cancelled",
    "Client",
    "ClientError",
    "File",
    "Input",
    "Result",
    "cancelled",
    "fake_inference_function",
    "get_next_input",
    "get_next_inputs",
    "image_helpers",
    "internal_methods",
    "modes",
    "progress",
    "public_interface",
    "run",
    "send_chunk",
    "send_result",
    "send_results",
]

class Cancelled(BaseException): ...

def run(
    function: Callable[..., Any],
    *,
    name: Optional[str] = None,
    description: Optional[str] = None,
    version: Optional[str] = None,
    examples: Optional[Sequence[Mapping[str, Any]]] = None,
    visualizer_config: Any = None,
) -> NoReturn: ...

class Input:
    description: Optional[str]
    type: Optional[str]
    min: Optional[float]
    max: Optional[float]
    choices: Optional[Sequence[Any]]
    formats: Optional[Sequence[str]]
    max_bytes: Optional[int]
    min_items: Optional[int]
    max_items: Optional[int]
    examples: Optional[Sequence[Any]]
    def __init__(
        self,
        description: Optional[str] = None,
        *,
        type: Optional[str] = None,
        min: Optional[float] = None,
        max: Optional[float] = None,
        choices: Optional[Sequence[Any]] = None,
        formats: Optional[Sequence[str]] = None,
        max_bytes: Optional[int] = None,
        min_items: Optional[int] = None,
        max_items: Optional[int] = None,
        examples: Optional[Sequence[Any]] = None,
    ) -> None: ...
    def properties(self) -> Dict[str, Any]: ...

class Result:
    data: Any
    content_type: Optional[str]
    error: Optional[str]
    def __init__(
        self,
        data: Any = None,
        content_type: Optional[str] = None,
        *,
        error: Optional[str] = None,
    ) -> None: ...

class get_next_input(ContextManager[Dict[str, Any]]):
    def __init__(
        self,
        inputs_schema: Optional[Mapping[str, Mapping[str, Any]]] = None,
        visualizer_config: Any = None,
        *,
        name: Optional[str] = None,
        description: Optional[str] = None,
        version: Optional[str] = None,
        examples: Optional[Sequence[Mapping[str, Any]]] = None,
        **more: Any,
    ) -> None: ...
    def __enter__(self) -> Dict[str, Any]: ...
    def __exit__(self, kind: Any, value: Any, trace: Any) -> bool: ...

def send_result(result: Any) -> None: ...

class get_next_inputs(ContextManager[List[Dict[str, Any]]]):
    def __init__(
        self,
        inputs_schema: Optional[Mapping[str, Mapping[str, Any]]] = None,
        visualizer_config: Any = None,
        max_batch_size: int = 32,
        max_wait_ms: float = 5,
        *,
        name: Optional[str] = None,
        description: Optional[str] = None,
        version: Optional[str] = None,
        examples: Optional[Sequence[Mapping[str, Any]]] = None,
        **more: Any,
    ) -> None: ...
    def __enter__(self) -> List[Dict[str, Any]]: ...
    def __exit__(self, kind: Any, value: Any, trace: Any) -> bool: ...

def send_results(results: Sequence[Any]) -> None: ...
def send_chunk(data: Union[str, bytes], content_type: Optional[str] = None) -> None: ...
def progress(fraction: Optional[float] = None, message: Optional[str] = None) -> None: ...
def cancelled() -> bool: ...

_Client = TypeVar("_Client", bound=Client)
_AsyncClient = TypeVar("_AsyncClient", bound=AsyncClient)

class Client:
    def __init__(
        self,
        url: str,
        token: Optional[str] = None,
        timeout: float = 300,
        retries: int = 3,
        *,
        connect_timeout: float = 10,
        max_bytes: int = ...,
        context: Optional[ssl.SSLContext] = None,
        allow_unknown: bool = False,
    ) -> None: ...
    def with_options(
        self: _Client,
        *,
        timeout: float = ...,
        retries: int = ...,
        max_bytes: int = ...,
        allow_unknown: bool = ...,
    ) -> _Client: ...
    @property
    def schema(self) -> Dict[str, Any]: ...
    def predict(self, /, **inputs: Any) -> Any: ...
    def stream(self, /, **inputs: Any) -> Iterator[Any]: ...
    def events(self, /, **inputs: Any) -> Iterator[Tuple[str, Any]]: ...
    def close(self) -> None: ...
    def __enter__(self: _Client) -> _Client: ...
    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        value: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None: ...

class AsyncClient:
    def __init__(
        self,
        url: str,
        token: Optional[str] = None,
        timeout: float = 300,
        retries: int = 3,
        *,
        concurrency: int = 32,
        connect_timeout: float = 10,
        max_bytes: int = ...,
        context: Optional[ssl.SSLContext] = None,
        allow_unknown: bool = False,
    ) -> None: ...
    def with_options(
        self: _AsyncClient,
        *,
        timeout: float = ...,
        retries: int = ...,
        max_bytes: int = ...,
        allow_unknown: bool = ...,
    ) -> _AsyncClient: ...
    @property
    def schema(self) -> Awaitable[Dict[str, Any]]: ...
    async def predict(self, /, **inputs: Any) -> Any: ...
    def stream(self, /, **inputs: Any) -> AsyncIterator[Any]: ...
    def events(self, /, **inputs: Any) -> AsyncIterator[Tuple[str, Any]]: ...
    async def close(self) -> None: ...
    async def __aenter__(self: _AsyncClient) -> _AsyncClient: ...
    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        value: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None: ...

class ClientError(Exception):
    code: str
    status: Optional[int]
    request_id: Optional[str]
    inputs: Dict[str, str]
    def __init__(
        self,
        message: str,
        code: str,
        status: Optional[int] = None,
        request_id: Optional[str] = None,
        inputs: Optional[Mapping[str, str]] = None,
    ) -> None: ...

class File(bytes):
    content_type: str
    name: Optional[str]
    def __new__(
        cls, content: bytes, content_type: str = ..., name: Optional[str] = None
    ) -> File: ...
    def save(self, path: Union[str, os.PathLike[str]]) -> pathlib.Path: ...
    def pil(self) -> Any: ...
    def numpy(self) -> Any: ...
