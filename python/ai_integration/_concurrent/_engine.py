"""The engine of a program that runs several requests at the same time."""

import threading

from .. import _leaving
from .._engine import Engine
from .._link import Violation, frame
from ._job import ConcurrentJob
from ._link import SharedLink


class ConcurrentEngine(Engine):
    """Receives the requests of a program that runs several of them at the same time.

    One thread reads the link, and so learns at once which jobs are cancelled.
    """

    link_class = SharedLink
    job_class = ConcurrentJob

    def __init__(self, link, child=None):
        Engine.__init__(self, link, child)
        # The number of jobs, or of batches, that run at the same time; set by the session.
        self.concurrency = 1
        # Notified when a job may send more chunks.
        self.windows = threading.Condition()
        self._jobs_by_number = {}
        # The members of a batch that has not arrived as a whole.
        self._members = []
        self._start_lock = threading.Lock()
        # The number on the board.
        self._started_last = 0

    def serve_loop(self, loop, on_close):
        """Sends frames for the calling thread's event loop; see `SharedLink.serve_loop`."""
        self._link.serve_loop(loop, on_close)

    def fileno(self):
        """Returns the descriptor that is readable when a message has arrived."""
        return self._link.fileno()

    def next_jobs(self, wait=True):
        """Returns the next job, or batch, as a tuple, and handles the messages before it.

        Returns `None` if the engine has no more, and `()` if nothing has come and `wait` is false.
        """
        if wait:
            _leaving.end_if_leaving()
        try:
            while True:
                received = self._link.receive(wait)
                if received is None:
                    has_ended = wait or self._link.has_ended or not self._link.is_open()
                    return None if has_ended else ()
                header, body = received
                kind = header.get("type")
                if kind == "job":
                    job = self._read(header, body)
                    job.is_followed = header.get("tell_start") is True
                    self._jobs_by_number[job.number] = job
                    self._members.append(job)
                    if not header.get("more"):
                        jobs, self._members = tuple(self._members), []
                        return jobs
                else:
                    self._notify_job(kind, header)
        except Violation as reason:
            self._broken(reason)

    def start(self, jobs):
        """Reports that the model gets these jobs. Returns those that it must really get."""
        must_report = any(job.is_followed for job in jobs)
        if self.concurrency == 1:
            self._start(jobs, must_report)
        else:
            with self._start_lock:
                if self._board is not None:
                    self._started_last = jobs[-1].number
                    self._board.record(self._started_last)
                if self._board is None or must_report:
                    frames = [frame(b'{"type":"start","id":%d}' % job.number) for job in jobs]
                    self._link.write(b"".join(frames))
        return tuple([job for job in jobs if not self._refuses(job)])

    def forget_start(self):
        """Does nothing for a member of a batch; see `forget_start_of`."""

    def forget_start_of(self, jobs):
        """Clears the board if it names one of these jobs, which the engine will send again."""
        with self._start_lock:
            if self._board is not None and self._started_last in [job.number for job in jobs]:
                self._board.record(0)

    def forget(self, number):
        """Forgets a job that has ended."""
        self._jobs_by_number.pop(number, None)
        self._cancelled.discard(number)

    def stop_waiting(self):
        """Makes `next_jobs` on another thread return `None`."""
        self._link.stop_reading()

    def leave(self):
        """Ends the program, because the engine has no more jobs."""
        try:
            Engine.leave(self)
        finally:
            with self.windows:
                self.windows.notify_all()

    def _notify_job(self, kind, header):
        """Handles `cancel` and `window`, which may come after the end of their job."""
        number = header.get("id")
        # Other JSON values may not be hashable.
        job = self._jobs_by_number.get(number) if isinstance(number, int) else None
        if job is None:
            return
        if kind == "cancel":
            self._cancelled.add(job.number)
            job.cancel()
        elif kind == "window":
            size = header.get("bytes")
            if not isinstance(size, int) or size < 0:
                raise Violation("a window of %r bytes" % (size,))
            job.grant(size)
