"""Sends results from tasks, without keeping the event loop from other tasks for long."""

import asyncio
import collections

from .. import _results

CANCELLED_BY_PROGRAM = "the program cancelled the task that worked on this request"

# Bytes and text of this length or more are sent on a thread, because copying them takes long.
_LARGE = 1 << 20
# Types of data that are sent at once. The encoding of others, such as pictures, may take long.
_QUICK_TYPES = (type(None), bool, bytearray, bytes, dict, float, int, memoryview, str)


async def send(job, result, on_thread):
    """Sends the result of a job. `on_thread` runs a function on a thread and waits for it."""
    data = result.get("data") if isinstance(result, dict) and "data" in result else result
    try:
        if hasattr(type(data), "__aiter__"):
            await _send_stream(job, result, data)
            return
        if job.has_chunks:
            await until_may_send(job)
    except BaseException:
        if not job.ended:
            # The end of the task reports the exception to the client.
            job.answered = False
        raise
    if _is_quick(data):
        job.answer(result)
        return
    try:
        await on_thread(job.answer, result)
    except asyncio.CancelledError:
        # The thread goes on, but it must not send a stream to its end.
        job.abandon()
        raise


async def send_chunk(job, data, content_type):
    """Sends a chunk of a job's result, once its client has read the earlier ones."""
    if not job.may_send:
        await until_may_send(job)
    if job.is_cancelled():
        # If the task is about to be cancelled, this happens here.
        await asyncio.sleep(0)
        return
    job.chunk_of_task(data, content_type)
    if job.is_time_to_yield():
        await asyncio.sleep(0)


async def until_may_send(job):
    """Waits until a chunk of the job may be sent."""
    while not job.may_send:
        if job.event is None:
            job.event = asyncio.Event()
        job.event.clear()
        await job.event.wait()


def _is_quick(data):
    if isinstance(data, (list, tuple)) and data:
        data = data[0]
    if type(data) not in _QUICK_TYPES:
        return False
    return not isinstance(data, (bytes, bytearray, memoryview, str)) or len(data) < _LARGE


async def _send_stream(job, result, data):
    """Sends the values of an async iterator as chunks.

    The values go through the code for iterators one by one.
    """
    iterator = data.__aiter__()
    try:
        if not hasattr(job, "grant"):
            # A custom mode takes a result as a whole.
            values = iter([value async for value in iterator])
            job.answer(_with_data(result, values))
            return
        values = _Values()
        whole, steps = job.begin_answer(_with_data(result, values))
        if whole is not None:
            job.write([whole])
            return
        await _send_values(job, iterator, values, steps)
    finally:
        close = getattr(iterator, "aclose", None)
        if close is not None:
            await close()


async def _send_values(job, iterator, values, steps):
    try:
        async for value in iterator:
            if not job.may_send:
                await until_may_send(job)
            values.next_ones.append(value)
            if next(steps, steps) is steps:
                # The job is cancelled, or the value cannot be sent.
                return
            if job.is_time_to_yield():
                await asyncio.sleep(0)
    except asyncio.CancelledError:
        job.fail(_results.CANCELLED if job.is_cancelled() else CANCELLED_BY_PROGRAM)
        raise
    except BaseException as reason:
        # The steps report it as they do for other iterators, and raise it again.
        values.failure = reason
    for _ in steps:
        pass


class _Values:
    """An iterator of the values that have come so far; it ends, or fails, when they are used up."""

    def __init__(self):
        self.next_ones = collections.deque()
        self.failure = None

    def __iter__(self):
        return self

    def __next__(self):
        if self.next_ones:
            return self.next_ones.popleft()
        if self.failure is not None:
            raise self.failure
        raise StopIteration


def _with_data(result, data):
    return dict(result, data=data) if isinstance(result, dict) and "data" in result else data
