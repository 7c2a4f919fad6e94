"""The functions that a model calls while it works on a request: chunks, progress, cancellation."""

from . import _process
from ._session import Cancelled, session


def send_chunk(data, content_type=None):
    """Sends a chunk of the open request's result, text or bytes, before the result is complete.

    A client that reads a stream gets the chunk at once. Call `send_result` at the end; its data, if
    any, is the last chunk. Only the `content_type` of the first chunk counts. Raises `Cancelled` if
    the client has left or has cancelled the request.
    """
    from . import _results

    current = session()
    with current.lock:
        for job in current.open_jobs("send_chunk", of_batch=False):
            if job.answered:
                _process.warn("a chunk was ignored: the request has its result already")
            elif job.is_cancelled():
                raise Cancelled("nobody waits for the answer any more")
            else:
                job.chunk(*_results.chunk(data, content_type))


def progress(fraction=None, message=None):
    """Reports the progress of the open request: a fraction from 0 to 1, and a message.

    In a batch the report is for every request. Raises `Cancelled` if the client has left or has
    cancelled the request.
    """
    fraction, message = report(fraction, message)
    current = session()
    with current.lock:
        # Also jobs that have a result, because an iterator in it may report its progress.
        jobs = [job for job in current.open_jobs("progress", None) if not job.ended]
        if jobs and all(job.is_cancelled() for job in jobs):
            raise Cancelled("nobody waits for the answer any more")
        for job in jobs:
            job.progress(fraction, message)


def cancelled():
    """Returns true if the open request, or every request of the open batch, is cancelled.

    Does not block. Returns false if no request is open.
    """
    current = session()
    with current.lock:
        if not current.has_open_jobs():
            return False
        return all(job.is_cancelled() for job in current.open_jobs("cancelled", None))


def report(fraction, message):
    """Returns the arguments of `progress` as they are sent."""
    if fraction is not None:
        fraction = float(fraction)
        if fraction != fraction:
            raise ValueError("the fraction is not a number")
        fraction = min(max(fraction, 0.0), 1.0)
    if message is not None:
        from . import _results

        message = _results.message(message)
    return fraction, message
