"""Requests for the tasks of an event loop: `async for request in requests(…)`."""

import asyncio
import sys
import weakref

from .. import _process, _session, _stream
from . import _sending
from ._dispatcher import Dispatcher, has_variable
from ._session import ConcurrentSession

_NO_LOOP = (
    "requests needs the event loop of asyncio: asyncio.run(main()), or anyio's asyncio backend"
)
# The dispatcher of this process, once there is one.
_made = []


class requests:
    """Yields the requests to an `async for`, as they arrive.

    Create a task for each request to work on up to `concurrency` of them at the same time. The
    first task that the body of the loop creates works on the request. It is cancelled if the client
    leaves. If it ends with an exception, this request alone fails. A request may also be answered
    in the body itself. The other arguments are those of `get_next_input`.
    """

    def __init__(self, inputs_schema=None, visualizer_config=None, concurrency=1, **more):
        self._concurrency = concurrency
        self._options = (inputs_schema, visualizer_config, more)
        self._dispatcher = None

    def __aiter__(self):
        return self

    async def __anext__(self):
        if self._dispatcher is None:
            self._dispatcher = self._open()
        dispatcher = self._dispatcher
        last = dispatcher.request_in_body
        if last is not None and _is_in_variable_alone(last, sys._getframe(1)):
            dispatcher.drop_from_body()
        request = Request(dispatcher, await dispatcher.next_block())
        dispatcher.request_in_body = weakref.ref(request)
        return request

    def _open(self):
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(_NO_LOOP) from None
        if _made and _made[0].is_open():
            if _made[0].main is not asyncio.current_task():
                raise RuntimeError("requests is already iterated over by another task")
            return _made[0]
        session = ConcurrentSession("requests", _session.concurrency(self._concurrency))
        session.open(*self._options)
        _made[:] = [Dispatcher(session)]
        return _made[0]


class Request:
    """A request that `requests` yields. Its methods may be called from any task."""

    __slots__ = ("__weakref__", "_block", "_dispatcher", "_inputs")

    def __init__(self, dispatcher, block):
        self._dispatcher = dispatcher
        self._block = block
        self._inputs = block.jobs[0].inputs

    @property
    def inputs(self):
        """The inputs, as a dict."""
        if self._block.task is None:
            self._dispatcher.adopt(self._block)
        return self._inputs

    @property
    def cancelled(self):
        """True if the client has left or has cancelled the request."""
        return self._block.is_cancelled()

    async def send(self, result):
        """Sends the result: a dict as for `send_result`, or the data alone.

        The data may also be an async iterator. A request has one result; a second one is ignored
        with a warning.
        """
        (job,) = self._block.jobs
        if self._is_refused("send"):
            return
        if job.answered:
            _process.warn("a second result for the same request was ignored")
            return
        job.answered = True
        try:
            await _sending.send(job, result, self._dispatcher.on_thread)
        finally:
            if job.answered:
                self._dispatcher.release(self._block)

    async def send_chunk(self, data, content_type=None):
        """Sends a chunk of the result, text or bytes, before the result is complete.

        Waits until the client has read the earlier chunks. Call `send` at the end.
        """
        (job,) = self._block.jobs
        if self._is_refused("send_chunk"):
            return
        if job.answered:
            _process.warn("a chunk was ignored: the request has its result already")
            return
        await _sending.send_chunk(job, data, content_type)

    def progress(self, fraction=None, message=None):
        """Reports the progress of the request: a fraction from 0 to 1, and a message."""
        (job,) = self._block.jobs
        report = _stream.report(fraction, message)
        if not self._is_refused("progress") and not job.ended:
            job.progress(*report)

    def _is_refused(self, method):
        if self._block.task is None:
            self._dispatcher.adopt(self._block)
        is_refused = self._dispatcher.is_forked()
        if is_refused:
            _process.warn("%s was ignored: it was called in a forked child" % method)
        return is_refused

    def __del__(self):
        block = self._block
        if not block.is_finished and block.task is None:
            self._dispatcher.drop(block)

    def __repr__(self):
        return "<Request %r>" % (self._inputs,)


def job_of(request):
    """Returns the job of a request."""
    return request._block.jobs[0]


async def on_thread(request, function, *arguments):
    """Calls a function that works on a request on a thread, and returns its value."""
    return await request._dispatcher.on_thread(function, *arguments)


def _count_references(reference):
    """Returns the number of references to an object, with those of this function.

    PyPy does not count them; then it is 0.
    """
    value = reference()
    return sys.getrefcount(value) if hasattr(sys, "getrefcount") else 0


def _is_in_variable_alone(reference, frame):
    """Returns true if only a variable of the frame, that of the `async for`, has the request."""
    if _count_references(reference) != _ONE_REFERENCE or not _ONE_REFERENCE:
        return False
    return has_variable(frame, reference())


# A set to which one variable refers, to compare with.
_probe = set()
_ONE_REFERENCE = _count_references(weakref.ref(_probe))
