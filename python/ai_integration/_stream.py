"""What is said about a request while it is worked on."""

from . import _process
from ._session import Cancelled, session


def send_chunk(data, content_type=None):
    """Send a piece of the open request's answer ahead: text or bytes.

    Whoever reads the answer as a stream gets it at once. End with `send_result`, whose data, if it
    has any, is the last piece. The `content_type` counts with the first piece. Raises `Cancelled`
    once nobody waits for the answer.
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
    """Tell how far the open request is, from 0 to 1, and what is being done.

    In a batch it holds for every member. Raises `Cancelled` once nobody waits for the answer.
    """
    if fraction is not None:
        fraction = float(fraction)
        if fraction != fraction:
            raise ValueError("the fraction is not a number")
        fraction = min(max(fraction, 0.0), 1.0)
    if message is not None:
        from . import _results

        message = _results.message(message)
    current = session()
    with current.lock:
        # Not those that merely have a result: an iterator in it may tell how far it is.
        jobs = [job for job in current.open_jobs("progress", None) if not job.ended]
        if jobs and all(job.is_cancelled() for job in jobs):
            raise Cancelled("nobody waits for the answer any more")
        for job in jobs:
            job.progress(fraction, message)


def cancelled():
    """Whether nobody waits for the open request any more, or for any member of the batch.

    Does not block. False where no request is open.
    """
    current = session()
    with current.lock:
        if not current.has_open_jobs():
            return False
        return all(job.is_cancelled() for job in current.open_jobs("cancelled", None))
