"""Runs a function for several requests at the same time, on a pool of threads.

The main thread reads the link, so that cancellations are known at once.
"""

import sys
import threading
import traceback
from collections import deque

from . import _block
from ._session import ConcurrentSession


def serve(name, concurrency, options, answer):
    """Calls `answer` for each request, on a thread that has the request open. Does not return.

    `name` is the public function that was called, and `options` are the arguments of
    `Session.begin`. If they have a batch, `answer` gets a list of inputs.
    """
    session = ConcurrentSession(name, concurrency)
    session.open(*options)
    source = session.source
    pool = _Pool(session, answer, is_batch=options[3] is not None)
    try:
        while True:
            jobs = source.next_jobs()
            if jobs is None:
                break
            pool.give(jobs)
    except BaseException as reason:
        session.fail_open_blocks(
            "the program was ended by %s while handling this request" % type(reason).__name__
        )
        raise
    session.leave()


class _Pool:
    """Threads that run requests in the order of their arrival."""

    def __init__(self, session, answer, is_batch):
        self._session = session
        self._source = session.source
        self._answer = answer
        self._is_batch = is_batch
        self._changed = threading.Condition()
        self._waiting = deque()
        self._idle = self._threads = 0

    def give(self, jobs):
        """Runs a request, or a batch, as soon as a thread is free."""
        with self._changed:
            self._waiting.append(jobs)
            if self._session.ending is not None:
                # The engine gives this request to another process.
                return
            if len(self._waiting) <= self._idle:
                self._changed.notify()
                return
            if self._threads == self._session.concurrency:
                return
            self._threads += 1
            name = "ai_integration-%d" % self._threads
        # A daemon, because the program must be able to end while the model hangs.
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def _work(self):
        while True:
            jobs = self._next_started()
            if jobs:
                self._run(jobs)
            # No variable holds the inputs, because it would keep them until the next request.
            del jobs
            if self._session.is_forked:
                return

    def _next_started(self):
        with self._changed:
            while not self._waiting or self._session.ending is not None:
                self._idle += 1
                if self._session.ending is not None and self._idle == self._threads:
                    self._source.stop_waiting()
                self._changed.wait()
                self._idle -= 1
            # Under the lock, because the jobs must start in the order of their arrival.
            return self._source.start(self._waiting.popleft())

    def _run(self, jobs):
        block = self._session.begin_block(jobs, self._is_batch, threading.RLock())
        token = _block.current.set(block)
        raised = (None, None, None)
        try:
            if self._session.admit(block):
                inputs = [job.inputs for job in block.jobs]
                self._answer(inputs if self._is_batch else inputs[0])
        except BaseException:
            raised = sys.exc_info()
        try:
            self._session.finish(block, raised)
        except Exception:
            # The thread must go on with the next request.
            traceback.print_exc()
        finally:
            del raised
            _block.current.reset(token)
