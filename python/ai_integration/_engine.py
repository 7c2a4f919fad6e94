"""Receives requests from the engine, over the link."""

import json
import os
import threading
import time
from collections import deque

from . import _ahead, _frames, _leaving, _memory_files, _process, _results
from ._job import Job
from ._link import LEAVE, PROTOCOL, Link, Violation, frame

# If a job took this many seconds, the next jobs may have been cancelled meanwhile.
_LONG_JOB = 0.005
_clock = getattr(time, "monotonic", time.time)
# The types of the name of an input.
_NAMES = (str, _results.TEXT)


class Engine(object):
    """The source of requests if an engine process runs the mode.

    `child` is the engine if this program started it, and `None` if the engine started this program.
    """

    link_class = Link
    job_class = Job

    def __init__(self, link, child=None):
        self.pid = os.getpid()
        self._link = link
        self._child = child
        # Jobs that were read early, each with the header of its frame.
        self._waiting = deque()
        # Reads the next batch while the model works; made when a batch first comes so early.
        self._reader = None
        # What the reader has raised; raised again on the thread of the loop.
        self._failure = None
        # Held while jobs are read. Reentrant, because a signal handler may ask for cancellations.
        self._read_lock = threading.RLock()
        # The job, or the batch of jobs, that was taken last.
        self._taken = ()
        # The numbers of the cancelled jobs among the taken and the waiting ones.
        self._cancelled = set()
        self._board = None
        # The time at which the model got its latest job.
        self._given_at = 0.0
        _leaving.when_main_ends(link.close)

    @classmethod
    def inherited(cls, descriptor):
        """Returns the engine that started this program."""
        return cls(cls.link_class.inherit(descriptor))

    def report_ready(self, model, batch):
        """Reports that the model is loaded, with `model`, a dict that describes it."""
        header = {
            "type": "ready",
            "protocol": PROTOCOL,
            "shared_memory": self._link.shares,
        }
        header.update(model)
        if batch is not None:
            header["batch"] = {"max_size": batch[0], "max_wait_ms": batch[1]}
        descriptor = None
        if self._link.shares:
            self._board = _memory_files.board()
        if self._board is not None:
            header["board"] = True
            descriptor = self._board.descriptor
        # This is encoded like a result, because a limit in the schema may be a NumPy number.
        head = _results.encode_json(header).encode("utf-8", "replace")
        self._link.write(frame(head), descriptor)

    def next_job(self):
        """Waits for the next job; ends the program if there are no more."""
        if _clock() - self._given_at > _LONG_JOB:
            self._read_arrived()
        while True:
            header, job = self._next()
            self._taken = jobs = (job,)
            self._start(jobs, "tell_start" in header and header["tell_start"])
            if not self._refuses(job):
                self._given_at = _clock()
                return job

    def next_batch(self):
        """Waits for the next batch of at least one job; ends the program if there are no more."""
        self._taken = jobs = []
        must_report = False
        comes_early = self._comes_early()
        while True:
            header, job = self._next()
            must_report = must_report or header.get("tell_start")
            jobs.append(job)
            if not header.get("more"):
                if not comes_early:
                    self._read_arrived()
                self._start(jobs, must_report)
                jobs = [job for job in jobs if not self._refuses(job)]
                if jobs:
                    return jobs
                self._taken = jobs
                must_report = False

    def _comes_early(self):
        """Returns true if the next batch came while the model worked, or a part of it.

        Then the batch after it is likely to do so too, and the reader reads it meanwhile. Otherwise
        this thread waits for the next batch by itself, because another thread would take longer.
        """
        self._read_arrived()
        is_early = bool(self._waiting)
        if is_early and self._reader is None:
            self._reader = _ahead.Reader(self._link.wait, self._read_ahead)
        if self._reader is not None:
            self._reader.need(is_early)
        return is_early

    def _start(self, jobs, must_report):
        """Reports that the model gets these jobs, and how much was printed before.

        With a board, a message is sent only if `must_report`.
        """
        # Buffered text from earlier jobs would otherwise count as text of these jobs.
        _process.flush_output()
        if self._board is None:
            rest = b"}"
        else:
            self._board.record(jobs[-1].number)
            if not must_report:
                return
            rest = b',"printed":[%d,%d]}' % self._board.printed()
        # Written as bytes, because only the number differs.
        frames = [frame(b'{"type":"start","id":%d' % job.number + rest) for job in jobs]
        self._link.write(b"".join(frames))

    def forget_start(self):
        """Clears the board, so that a job that is sent again does not count as started."""
        if self._board is not None:
            self._board.record(0)

    def replace(self, reason):
        """Asks the engine to replace this process, which seems to be broken."""
        if self._child is None:
            self._link.send(_frames.replace(reason))

    def give_up(self):
        """Tells the engine that the program ends, and that a restart would not help."""
        if self._child is None:
            self._link.send(LEAVE)

    def pause(self, is_paused):
        """Asks for no further jobs, because the program may end, or for jobs again."""
        self._link.send(b'{"type":"pause"}' if is_paused else b'{"type":"resume"}')

    def is_cancelled(self, number):
        """Returns true if no client waits for a job any more. Does not block."""
        self._read_arrived()
        return number in self._cancelled or not self._link.is_open()

    def forget(self, number):
        """Forgets the cancellation of a job that has ended."""
        if self._cancelled:
            self._cancelled.discard(number)

    def _refuses(self, job):
        """Fails a job that must not reach the model. Returns true if this is such a job."""
        if job.problem is None and job.number not in self._cancelled:
            return False
        job.answered = True
        job.fail(job.problem or _results.CANCELLED)
        return True

    def _next(self):
        """Waits for the next job, and returns it with the header of its frame."""
        try:
            with self._read_lock:
                if self._waiting:
                    return self._waiting.popleft()
                _leaving.end_if_leaving()
                found = self._read_job()
        except Violation as reason:
            self._broken(reason)
        if found is None:
            self.leave()
        return found

    def leave(self):
        """Ends the program, because the engine has no more jobs."""
        self._link.close()
        _leaving.leave(0 if self._child is None else self._child.wait())

    def _read_arrived(self):
        """Reads the frames that have come meanwhile. Does not block."""
        try:
            self._read_jobs()
        except Violation as reason:
            self._broken(reason)

    def _read_ahead(self):
        """Reads the frames that have come meanwhile, on the reader's thread."""
        with self._read_lock:
            try:
                self._read_jobs()
            except BaseException as reason:
                self._failure = reason
            return self._failure is None

    def _read_jobs(self):
        with self._read_lock:
            found = self._read_job(wait=False)
            while found is not None:
                self._waiting.append(found)
                found = self._read_job(wait=False)

    def _read_job(self, wait=True):
        """Returns the next job that the link has, with its header; the lock must be held.

        Returns `None` at the end of the link, or if no job has come and `wait` is false.
        """
        if self._failure is not None:
            raise self._failure
        while True:
            received = self._link.receive(wait)
            if received is None:
                return None
            header, body = received
            if self._is_job(header):
                return header, self._read(header, body)

    def _is_job(self, header):
        kind = header.get("type")
        if kind == "job":
            return True
        if kind == "cancel":
            # A cancellation comes after its job, or too late, when the job has ended.
            known = [job.number for job in self._taken if not job.ended]
            known += [job.number for _, job in self._waiting]
            if header.get("id") in known:
                self._cancelled.add(header["id"])
        return False

    def _read(self, header, body):
        """Returns the job of a frame."""
        inputs = problem = None
        memory = header.get("shared")
        try:
            try:
                inputs = _inputs(header["inputs"], body, memory)
            except _results.Unsendable as reason:
                problem = str(reason)
            return self.job_class(self, self._link, int(header["id"]), inputs, problem)
        except (KeyError, OSError, RuntimeError, TypeError, ValueError) as reason:
            self._broken("a job that cannot be read: %s" % reason)
        finally:
            if memory is not None:
                memory.close()

    def _broken(self, reason):
        self._link.close()
        _process.warn("the engine broke the worker protocol: it sent %s" % reason)
        _leaving.leave(1)


def _inputs(entries, body, memory):
    """Returns the inputs dict of a job, from its entries, its body and its memory file."""
    inputs = {}
    start = 0
    for entry in entries:
        name, kind, value = entry[:3]
        if not isinstance(name, _NAMES):
            raise TypeError("the name of an input is %r" % (name,))
        if kind == "list":
            items, value = value, []
            for item in items:
                item_kind, item_value = item[:2]
                if item_kind != "value":
                    item_value, start = _segment([name] + item, body, start, memory)
                value.append(item_value)
        elif kind != "value":
            value, start = _segment(entry, body, start, memory)
        inputs[name] = value
    if start != len(body):
        raise ValueError("%d bytes belong to no input" % (len(body) - start))
    return inputs


def _segment(entry, body, start, memory):
    """Returns the value of an entry that has a segment, and the start of the next segment."""
    kind, length = entry[1], entry[2]
    if kind not in ("text", "bytes", "json"):
        raise _results.Unsendable(
            "the input %r is of the kind %r, which this version of ai_integration does not know"
            % (entry[0], kind)
        )
    if len(entry) > 3 and memory is not None:
        value = memory.read(entry[3], length)
    else:
        end = start + length
        if not start <= end <= len(body):
            raise ValueError("the input %r is not inside the body" % (entry[0],))
        value = body[start:end]
        start = end
        if isinstance(value, memoryview):
            value = value.tobytes()
    if kind == "text":
        value = value.decode("utf-8")
    elif kind == "json":
        value = json.loads(value.decode("utf-8"))
    return value, start
