"""Several requests at a time, for a model that is faster on many inputs at once."""

from . import _process
from ._session import Cancelled, session

_LARGEST = 1024
_LONGEST = 60000


class get_next_inputs(object):
    """Waits for the next batch of requests and holds it open for the length of a `with` block.

    The block gets a list of up to `max_batch_size` dicts of inputs, and calls `send_results`
    with their results. If the model is idle and no further request is on its way, a batch starts at
    once; otherwise it waits up to `max_wait_ms` milliseconds for more requests. The other
    arguments are those of `get_next_input`.
    """

    __slots__ = ("_batch", "_jobs", "_options")

    def __init__(
        self, inputs_schema=None, visualizer_config=None, max_batch_size=32, max_wait_ms=5, **more
    ):
        self._batch = batch_options(max_batch_size, max_wait_ms)
        self._options = (inputs_schema, visualizer_config, more)
        self._jobs = ()

    def __enter__(self):
        self._jobs = session().begin(*self._options, batch=self._batch)
        return [job.inputs for job in self._jobs]

    def __exit__(self, kind, value, trace):
        return session().end(self._jobs, kind, value, trace)


def send_results(results):
    """Answers the open batch with a list of results, in the order of the inputs.

    Each request of the batch succeeds or fails by itself; an exception in the list is a failure.
    If the list has the wrong length, every request fails, and `ValueError` is raised. Results
    whose `data` is an iterator are streamed together, a chunk of each in turn.
    """
    from . import _results

    current = session()
    with current.lock:
        jobs = current.open_jobs("send_results", of_batch=True)
        if not jobs:
            return
        if any(job.answered for job in jobs):
            _process.warn("a second list of results for the same batch was ignored")
            return
        if not isinstance(results, (list, tuple)) or len(results) != len(jobs):
            given = "a " + type(results).__name__
            if isinstance(results, (list, tuple)):
                given = "%d results" % len(results)
            message = (
                "Programming Error: send_results was called with %s for a batch of %d; it takes a"
                " list with one result dict for each inputs dict" % (given, len(jobs))
            )
            for job in jobs:
                job.answered = True
                job.answer(_results.failure(message))
            raise ValueError(message)
        for job in jobs:
            job.answered = True
        _send(jobs, [_as_result(result) for result in results])


def _as_result(result):
    if isinstance(result, BaseException):
        from . import _results

        trace = getattr(result, "__traceback__", None)
        return _results.failure(_results.formatted(type(result), result, trace))
    return result


def _send(jobs, results):
    """Sends the small results with one write, and streams the others together."""
    frames = []
    streams = []
    for job, result in zip(jobs, results):
        whole, stream = job.begin_answer(result)
        if whole is None:
            streams.append((job, stream))
        else:
            frames.append(whole)
    if frames:
        jobs[0].write(frames)
    failure = None
    while streams:
        for member in list(streams):
            try:
                next(member[1])
                continue
            except StopIteration:
                pass
            except (Exception, Cancelled) as reason:
                # The requester has this failure. The other requests get their results before the
                # exception is raised.
                failure = failure or reason
            except BaseException as reason:
                streams.remove(member)
                _break_off(streams, reason)
                raise
            streams.remove(member)
    if failure is not None:
        raise failure


def _break_off(streams, reason):
    """Fails the requests that are still streamed, because the program is ending."""
    from . import _results

    message = "the program was ended by %s while handling this batch" % type(reason).__name__
    for job, stream in streams:
        job.fail_with_batch(_results.failure(message))
        try:
            stream.close()
        except BaseException:
            # The author must see the exception that ends the program, not this one.
            pass


def batch_options(size, wait):
    """Returns the options of a batch as a pair; raises `ValueError` if one of them is wrong."""
    if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= _LARGEST:
        raise ValueError(
            "max_batch_size is %r; it is a whole number from 1 to %d" % (size, _LARGEST)
        )
    if not isinstance(wait, (int, float)) or isinstance(wait, bool) or not 0 <= wait <= _LONGEST:
        raise ValueError("max_wait_ms is %r; it is a number from 0 to %d" % (wait, _LONGEST))
    return size, wait
