"""The open request, or the open batch, of a thread or task."""

import contextvars
import threading

# The block of the calling thread or task. A task has the block of the code that created it. A
# thread that the model starts has no block.
current = contextvars.ContextVar("ai_integration_block", default=None)

# The maximum number of characters of a line that a client gets.
_MAX_LINE = 64 * 1024


class Block:
    """One request or one batch, from its start until the model has finished with it."""

    __slots__ = (
        "decoder",
        "has_request",
        "is_batch",
        "is_finished",
        "is_released",
        "jobs",
        "lines",
        "lock",
        "task",
    )

    def __init__(self, jobs, is_batch, lock, decoder):
        self.jobs = jobs
        self.is_batch = is_batch
        # Held while a result is sent, so that the block does not end before its result is complete.
        self.lock = lock
        self.is_finished = False
        self.decoder = None if decoder is None else decoder.separate()
        # The task that works on the request; `None` until it is known.
        self.task = None
        # True if the coroutine of that task has the request as an argument; see `_dispatcher`.
        self.has_request = False
        # True if the request no longer counts as open.
        self.is_released = False
        is_followed = any(job.is_followed for job in jobs)
        self.lines = _Lines(jobs) if is_followed else None

    def is_cancelled(self):
        """Returns true if no client waits for any of the requests."""
        return all(job.is_cancelled() for job in self.jobs)


class _Lines:
    """Sends the printed lines of a block to the clients that follow its jobs."""

    def __init__(self, jobs):
        self._jobs = [job for job in jobs if job.is_followed]
        self._lock = threading.Lock()
        # The beginning of an unfinished line, by the name of its stream.
        self._unfinished = {}

    def add(self, name, text):
        """Adds text that was printed on the stream with this name."""
        with self._lock:
            *lines, rest = (self._unfinished.get(name, "") + text).split("\n")
            while len(rest) > _MAX_LINE:
                lines.append(rest[:_MAX_LINE])
                rest = rest[_MAX_LINE:]
            self._unfinished[name] = rest
            self._send(lines)

    def finish(self):
        """Sends the unfinished lines."""
        with self._lock:
            self._send([rest for rest in self._unfinished.values() if rest])
            self._unfinished.clear()

    def _send(self, lines):
        for line in lines:
            for job in self._jobs:
                job.log(line[:_MAX_LINE])
