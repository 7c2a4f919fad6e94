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

import os
import pathlib
import ssl
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
    Union,
)

from typing_extensions import Self

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
    "Request",
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
    "requests",
    "run",
    "send_chunk",
    "send_result",
    "send_results",
]

class Cancelled(BaseException):
    """The client has left or has cancelled the request; nobody waits for the result.

    `send_chunk` and `progress` raise this exception. Do not catch it: the model then goes on with
    the next request. It is a `BaseException`, so that `except Exception` does not catch it.
    """

def run(
    function: Callable[..., Any],
    *,
    name: Optional[str] = None,
    description: Optional[str] = None,
    version: Optional[str] = None,
    examples: Optional[Sequence[Mapping[str, Any]]] = None,
    visualizer_config: Any = None,
    concurrency: int = 1,
    outputs: Optional[Mapping[str, Any]] = None,
    task: Union[str, Sequence[str], None] = None,
) -> NoReturn:
    """Serves a function, or a class with `predict` or `__call__`, in the mode that `MODE` names.

    The parameters are the inputs: the annotations give their types and defaults, and the docstring
    describes them. The returned value is the result; yielded values are streamed. `setup` of a
    class is called once, before the first request. `name`, `description` and `version` are texts
    for people; without them, the name and the docstring of the function are used. `examples` is a
    list of dicts of inputs to try. `outputs` and `task` are as for `get_next_input`; without
    `outputs`, the return annotation says what the result is, if it can. Up to `concurrency`
    requests run at the same time: as tasks of asyncio if the function is async, else on threads.

    Raises `TypeError` with all reasons if the function cannot be served. Does not return: the
    program exits when there are no more requests.
    """

class Input:
    """Adds properties to a parameter: `steps: Annotated[int, Input("Steps", min=1)] = 20`.

    Each argument is a property of the inputs schema; None leaves the property out. `type` may name
    another input type whose values have the same Python type, such as "audio" for bytes.
    """

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
    def properties(self) -> Dict[str, Any]:
        """Returns the properties that are not None, as a dict."""

class Result:
    """A returned value with its content type, or a failure.

    `data` is any value that a function may return, and `content_type` is its media type. With an
    `error` the request fails, and the client gets this text.
    """

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
    """Waits for the next request and holds it open for the length of a `with` block.

    `inputs_schema` names the inputs and their types. `visualizer_config`, any JSON value, is
    passed to the page or program that displays results. `name`, `description` and `version` are
    texts about the model for people. `examples` is a list of dicts of inputs to try. `outputs` says
    what the result is: a dict with `content_type`, and for JSON `schema` (JSON Schema 2020-12) and
    `view`. `task` is the kind of work that the model does, such as "chat", or a list of several;
    clients of other protocols, such as OpenAI's, use models of certain tasks. The arguments of the
    first call count for all calls.

    The block gets the inputs as a dict and answers with `send_result`. If an exception leaves the
    block, the request fails with its message. In a mode that serves, the program then goes on
    after the block; in other modes the exception is raised again.
    """
    def __init__(
        self,
        inputs_schema: Optional[Mapping[str, Mapping[str, Any]]] = None,
        visualizer_config: Any = None,
        *,
        name: Optional[str] = None,
        description: Optional[str] = None,
        version: Optional[str] = None,
        examples: Optional[Sequence[Mapping[str, Any]]] = None,
        outputs: Optional[Mapping[str, Any]] = None,
    task: Union[str, Sequence[str], None] = None,
        **more: Any,
    ) -> None: ...
    def __enter__(self) -> Dict[str, Any]: ...
    def __exit__(self, kind: Any, value: Any, trace: Any) -> bool: ...

def send_result(result: Any) -> None:
    """Answers the open request with a result.

    A result is a dict with the keys `content-type`, `data`, `success` and `error`, or the data
    alone: text, bytes, a picture or any JSON value. The package then finds the content type.

    A request has one result. A second result, or a result without an open request, is ignored
    with a warning. If the result cannot be sent, the request fails with a message that says why.
    """

class get_next_inputs(ContextManager[List[Dict[str, Any]]]):
    """Waits for the next batch of requests and holds it open for the length of a `with` block.

    The block gets a list of up to `max_batch_size` dicts of inputs, and calls `send_results`
    with their results. If the model is idle and no further request is on its way, a batch starts at
    once; otherwise it waits up to `max_wait_ms` milliseconds for more requests. The other
    arguments are those of `get_next_input`.
    """
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
        outputs: Optional[Mapping[str, Any]] = None,
    task: Union[str, Sequence[str], None] = None,
        **more: Any,
    ) -> None: ...
    def __enter__(self) -> List[Dict[str, Any]]: ...
    def __exit__(self, kind: Any, value: Any, trace: Any) -> bool: ...

def send_results(results: Sequence[Any]) -> None:
    """Answers the open batch with a list of results, in the order of the inputs.

    Each request of the batch succeeds or fails by itself; an exception in the list is a failure.
    If the list has the wrong length, every request fails, and `ValueError` is raised. Results
    whose `data` is an iterator are streamed together, a chunk of each in turn.
    """

def send_chunk(data: Union[str, bytes], content_type: Optional[str] = None) -> None:
    """Sends a chunk of the open request's result, text or bytes, before the result is complete.

    A client that reads a stream gets the chunk at once. Call `send_result` at the end; its data, if
    any, is the last chunk. Only the `content_type` of the first chunk counts. Raises `Cancelled` if
    the client has left or has cancelled the request.
    """

def progress(fraction: Optional[float] = None, message: Optional[str] = None) -> None:
    """Reports the progress of the open request: a fraction from 0 to 1, and a message.

    In a batch the report is for every request. Raises `Cancelled` if the client has left or has
    cancelled the request.
    """

def cancelled() -> bool:
    """Returns true if the open request, or every request of the open batch, is cancelled.

    Does not block. Returns false if no request is open.
    """

class requests(AsyncIterator["Request"]):
    """Yields the requests to an `async for`, as they arrive.

    Create a task for each request to work on up to `concurrency` of them at the same time. The
    first task that the body of the loop creates works on the request. It is cancelled if the client
    leaves. If it ends with an exception, this request alone fails. A request may also be answered
    in the body itself. The other arguments are those of `get_next_input`.
    """
    def __init__(
        self,
        inputs_schema: Optional[Mapping[str, Mapping[str, Any]]] = None,
        visualizer_config: Any = None,
        concurrency: int = 1,
        *,
        name: Optional[str] = None,
        description: Optional[str] = None,
        version: Optional[str] = None,
        examples: Optional[Sequence[Mapping[str, Any]]] = None,
        outputs: Optional[Mapping[str, Any]] = None,
    task: Union[str, Sequence[str], None] = None,
        **more: Any,
    ) -> None: ...
    def __aiter__(self) -> Self: ...
    async def __anext__(self) -> Request: ...

class Request:
    """A request that `requests` yields. Its methods may be called from any task."""

    @property
    def inputs(self) -> Dict[str, Any]:
        """The inputs, as a dict."""
    @property
    def cancelled(self) -> bool:
        """True if the client has left or has cancelled the request."""
    async def send(self, result: Any) -> None:
        """Sends the result: a dict as for `send_result`, or the data alone.

        The data may also be an async iterator. A request has one result; a second one is ignored
        with a warning.
        """
    async def send_chunk(self, data: Union[str, bytes], content_type: Optional[str] = None) -> None:
        """Sends a chunk of the result, text or bytes, before the result is complete.

        Waits until the client has read the earlier chunks. Call `send` at the end.
        """
    def progress(self, fraction: Optional[float] = None, message: Optional[str] = None) -> None:
        """Reports the progress of the request: a fraction from 0 to 1, and a message."""

class Client:
    """Calls a model at an HTTP address.

    Threads may share a client. `token` is sent as a bearer token. `timeout` and `connect_timeout`
    are seconds, `retries` is the number of tries after the first one, and `max_bytes` is the
    largest accepted response. `context` holds the TLS settings. With `allow_unknown`, inputs that
    the schema does not name are sent too.
    """
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
        self,
        *,
        timeout: float = ...,
        retries: int = ...,
        max_bytes: int = ...,
        allow_unknown: bool = ...,
    ) -> Self:
        """Returns a client with other limits; both share the connections."""
    @property
    def schema(self) -> Dict[str, Any]:
        """Returns the inputs schema as the model's author wrote it; the client requests it once."""
    def predict(self, /, **inputs: Any) -> Any:
        """Runs the model, and returns its result."""
    def stream(self, /, **inputs: Any) -> Iterator[Any]:
        """Runs the model, and yields the chunks of its result as they arrive."""
    def events(self, /, **inputs: Any) -> Iterator[Tuple[str, Any]]:
        """Runs the model, and yields each event as a pair of its kind and its value.

        The kinds include progress, log lines, chunks and, at the end, the result.
        """
    def close(self) -> None:
        """Closes the connections."""
    def __enter__(self) -> Self: ...
    def __exit__(self, kind: object, value: object, trace: object) -> None: ...

class AsyncClient:
    """Calls a model at an HTTP address from `asyncio`; a cancelled task ends its call.

    `concurrency` is the number of calls that run at the same time; the other arguments are those
    of `Client`.
    """
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
        self,
        *,
        timeout: float = ...,
        retries: int = ...,
        max_bytes: int = ...,
        allow_unknown: bool = ...,
    ) -> Self:
        """Returns a client with other limits; both share the connections and threads."""
    @property
    def schema(self) -> Awaitable[Dict[str, Any]]:
        """Returns an awaitable of the inputs schema as the model's author wrote it."""
    async def predict(self, /, **inputs: Any) -> Any:
        """Runs the model, and returns its result."""
    def stream(self, /, **inputs: Any) -> AsyncIterator[Any]:
        """Runs the model, and yields the chunks of its result as they arrive."""
    def events(self, /, **inputs: Any) -> AsyncIterator[Tuple[str, Any]]:
        """Runs the model, and yields each event as a pair of its kind and its value.

        The kinds include progress, log lines, chunks and, at the end, the result.
        """
    async def close(self) -> None:
        """Closes the connections and ends the threads."""
    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, kind: object, value: object, trace: object) -> None: ...

class ClientError(Exception):
    """The reason why a request has no result.

    `code` is the stable code of the server (docs/http.md) or of the client (docs/client.md).
    `status` is the status of the response, or None without a response. `request_id` is the id of
    the request in the server's log. `inputs` has a message for each input that is not valid.
    """

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
    """The bytes of a result that is neither JSON nor text, with their `content_type`.

    `name` is the file name that the server gives, for example to each file of a list, or None.
    """

    content_type: str
    name: Optional[str]
    def __new__(
        cls, content: bytes, content_type: str = ..., name: Optional[str] = None
    ) -> File: ...
    def save(self, path: Union[str, os.PathLike[str]]) -> pathlib.Path:
        """Writes the bytes to a file, and returns its path."""
    def pil(self) -> Any:
        """Returns the picture as a Pillow image, as a model gets it with `"as": "pil"`."""
    def numpy(self) -> Any:
        """Returns the pixels of a picture as an array, or `(rate, array)` of a sound."""
