"""One of several requests that run at the same time, on the worker's side of the link."""

from collections import deque

from .. import _frames, _results
from .._job import Job
from .._link import frame
from .._session import Cancelled

# The bytes of chunks that may be sent before the engine reports that the client has read some.
_FIRST_WINDOW = 262144
# Stands for no limit: the engine reads the link of a worker with one job only if the client reads.
_UNLIMITED = 1 << 62
# The maximum number of bytes of chunks that wait for the client because a task must not wait.
_MAX_HELD = 64 << 20
# A chunk with fewer bytes is sent in one piece with its header.
_SMALL = 1 << 16


class ConcurrentJob(Job):
    """A request whose chunks wait until its own client reads, and hold up no other request."""

    __slots__ = (
        "_granted",
        "_heads",
        "_held",
        "_held_size",
        "_is_abandoned",
        "_is_cancelled",
        "_spent",
        "event",
        "is_followed",
        "when_cancelled",
    )

    def __init__(self, engine, link, number, inputs, problem):
        Job.__init__(self, engine, link, number, inputs, problem)
        # The bytes that may be sent, and that were sent. Only the reader of the link writes the
        # first number, and only the sender of the job's chunks the second.
        self._granted = _FIRST_WINDOW if engine.concurrency > 1 else _UNLIMITED
        self._spent = 0
        # The headers of small chunks, by the kind of their data.
        self._heads = {}
        # Chunks, and at last the result, that a task has sent while the client was behind.
        self._held = None
        self._held_size = 0
        # An `asyncio.Event` that is set when `may_send` may have changed, if a task waits for it.
        self.event = None
        # True if no client waits, and true if the program has cancelled the sending of the result.
        self._is_cancelled = self._is_abandoned = False
        # True if a client gets the lines that are printed for the job.
        self.is_followed = False
        # Called when no client waits any more.
        self.when_cancelled = None

    def is_cancelled(self):
        """Returns true if no client waits for the result, or if its sending was cancelled."""
        return self._is_cancelled or self._is_abandoned or not self._link.is_open()

    def abandon(self):
        """Stops sending the chunks of a result, which then ends with a failure."""
        self._is_abandoned = True
        self._notify()

    @property
    def may_send(self):
        """True if a chunk may be sent, or is dropped because no client waits for it."""
        return self._granted > self._spent or self.is_cancelled()

    def grant(self, size):
        """Lets the job send this many bytes more, as the engine says."""
        self._granted += size
        self._notify()

    def cancel(self):
        """Records that no client waits any more, as the engine says."""
        self._is_cancelled = True
        self._notify()
        if self.when_cancelled is not None:
            self.when_cancelled()

    def chunk(self, kind, body, content_type):
        """Sends a chunk. Raises `Cancelled` if no client waits any more."""
        Job.chunk(self, kind, body, content_type)
        if self.is_cancelled():
            raise Cancelled("nobody waits for the answer any more")

    def chunk_of_task(self, data, content_type):
        """Sends a chunk that a task has; it must have waited until `may_send` is true."""
        # Only the content type of the first chunk counts.
        content_type = None if self._has_chunks else content_type
        kind, body, content_type = _results.chunk(data, content_type)
        Job.chunk(self, kind, body, content_type)

    def progress(self, fraction, message):
        """Reports the progress of the job, unless it has ended."""
        with self._link.write_lock:
            if not self.ended:
                Job.progress(self, fraction, message)

    def log(self, line):
        """Sends a line that was printed for the job, unless the job has ended."""
        with self._link.write_lock:
            if not self.ended:
                self._link.send(_frames.log(self.number, line))

    def is_time_to_yield(self):
        """Returns true if the task that sends chunks of the job should let other tasks run."""
        return self._link.is_time_to_yield()

    def _notify(self):
        if self._held is not None:
            self._send_held()
        if self.event is not None:
            self.event.set()
        with self._engine.windows:
            self._engine.windows.notify_all()

    def _must_hold(self, is_data):
        """Waits until a chunk may be sent. Returns true instead if the caller must not wait."""
        if self._held is None and (not is_data or self._granted > self._spent):
            return False
        if self._link.is_on_loop():
            return self._held is not None or (is_data and not self.may_send)
        if is_data and not self.may_send:
            with self._engine.windows:
                while not self.may_send:
                    self._engine.windows.wait()
        return False

    def _hold(self, chunk_or_answer, size):
        self._held_size += size
        if self._held_size > _MAX_HELD:
            raise RuntimeError(
                "the client is more than %d MiB behind, and send_chunk does not wait in an async"
                " function; yield the chunks, or await request.send_chunk" % (_MAX_HELD >> 20)
            )
        if self._held is None:
            self._held = deque()
        self._held.append(chunk_or_answer)

    def _send_held(self):
        while self._held and self.may_send:
            item = self._held.popleft()
            if not isinstance(item, tuple):
                self._held = None
                Job._finish(self, item)
                return
            self._held_size -= len(item[1])
            if not self.is_cancelled():
                self._send_chunk(*item)
        if not self._held:
            self._held = None

    def _send_ahead(self, kind, body, content_type):
        if self._has_chunks:
            # Only that of the first chunk counts.
            content_type = None
        self._has_chunks = True
        if self._must_hold(True):
            self._hold((kind, body, content_type), len(body))
            return True
        return self.is_cancelled() or self._send_chunk(kind, body, content_type)

    def _send_chunk(self, kind, body, content_type):
        size = len(body)
        self._spent += size or 1
        # Under the lock, because no chunk may follow the result that another thread sends.
        with self._link.write_lock:
            if self.ended:
                return False
            if content_type is None and size < _SMALL:
                head = self._heads.get(kind)
                if head is None:
                    names = (self.number, kind.encode())
                    head = self._heads[kind] = b'{"type":"chunk","id":%d,"data":"%s"}' % names
                return self._link.write(frame(head, body))
            cut = _frames.chunks(self.number, kind, body, content_type)
            return all(self._link.send(head, part) for head, part in cut)

    def _finish(self, answer):
        if self.ended:
            return
        if self._must_hold(self._has_chunks and bool(answer.data)):
            self._hold(answer, 0)
        else:
            with self._link.write_lock:
                Job._finish(self, answer)
