"""The client for `asyncio`: the same calls, on threads."""

import asyncio
import contextlib
import functools
from concurrent.futures import ThreadPoolExecutor

from .client import Client

_END = object()


class AsyncClient:
    """Calls a model at an HTTP address from `asyncio`; a cancelled task ends its call.

    `concurrency` is the number of calls that run at the same time; the other arguments are those
    of `Client`.
    """

    def __init__(self, url, token=None, timeout=300, retries=3, *, concurrency=32, **options):
        self._client = Client(url, token, timeout, retries, **options)
        self._threads = ThreadPoolExecutor(concurrency, "ai_integration client")

    def with_options(self, **options):
        """Returns a client with other limits; both share the connections and threads."""
        client = object.__new__(type(self))
        client._client = self._client.with_options(**options)
        client._threads = self._threads
        return client

    @property
    def schema(self):
        """Returns an awaitable of the inputs schema as the model's author wrote it."""
        call = self._client._call()
        return self._run(call, self._client._inputs_schema, call)

    async def predict(self, /, **inputs):
        """Runs the model, and returns its result."""
        call = self._client._call()
        return await self._run(call, self._client._predict, call, inputs)

    def stream(self, /, **inputs):
        """Runs the model, and yields the chunks of its result as they arrive."""
        call = self._client._call()
        return self._iterate(call, self._client._stream(call, inputs))

    def events(self, /, **inputs):
        """Runs the model, and yields each event as a pair of its kind and its value.

        The kinds include progress, log lines, chunks and, at the end, the result.
        """
        call = self._client._call()
        return self._iterate(call, self._client._events(call, inputs))

    async def close(self):
        """Closes the connections and ends the threads."""
        self._client.close()
        self._threads.shutdown(wait=False)

    async def __aenter__(self):
        return self

    async def __aexit__(self, kind, value, trace):
        await self.close()

    def __repr__(self):
        return repr(self._client).replace(type(self._client).__name__, type(self).__name__, 1)

    async def _iterate(self, call, items):
        is_over = False
        try:
            while True:
                item = await self._run(call, next, items, _END)
                if item is _END:
                    is_over = True
                    return
                yield item
        finally:
            if not is_over:
                call.cancel()
                with contextlib.suppress(RuntimeError):
                    # `submit` raises an error if the client was closed; then nothing is left to do.
                    self._threads.submit(items.close)

    async def _run(self, call, function, *arguments):
        loop = asyncio.get_running_loop()
        work = functools.partial(function, *arguments)
        try:
            return await loop.run_in_executor(self._threads, work)
        except asyncio.CancelledError:
            call.cancel()
            raise
