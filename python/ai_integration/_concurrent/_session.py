"""The state behind the public functions while several requests are open."""

import os
import threading
import time
import traceback

from .. import _exceptions, _guard, _leaving, _process, _results
from .._session import Cancelled, Session, _made, failure_of, reject_setting
from . import _block, _output
from ._engine import ConcurrentEngine

_NO_BLOCK = (
    "%s was ignored: it was called with no request open on this thread or in this task. A thread"
    " that the model starts by itself belongs to no request"
)
_NO_RESULT = (
    "Programming Error: the model's work on the request ended without a result and without an"
    " exception, so there is neither a success nor an error"
)
_LEFT_BY_CHILD = (
    "a forked child returned from the model's code, and was ended; requests belong to process %d."
    " End a forked child with os._exit"
)
# Seconds that the end of the program waits for threads that are sending results.
_LOCK_TIMEOUT = 1.0


class ConcurrentSession(Session):
    """The session of a program that runs several requests at the same time.

    The public functions concern the request of the calling thread or task. `function` is the name
    of the function that serves the model.
    """

    def __init__(self, function, concurrency):
        self._own_lock = None
        Session.__init__(self)
        self._function = function
        self.is_start_loop = function == "start_loop"
        self.concurrency = concurrency
        self._blocks = set()
        self._failure_lock = threading.Lock()
        # True in a forked child, to which no request belongs, and the block that forked it.
        self.is_forked = False
        self._forked_by = None
        os.register_at_fork(after_in_child=self._on_fork)
        # The exception that ends the program once no block is open.
        self.ending = None

    # `Session` has these three as attributes, because it has only one block.

    @property
    def lock(self):
        """The lock of the current block."""
        block = _block.current.get()
        return self._own_lock if block is None else block.lock

    @lock.setter
    def lock(self, lock):
        self._own_lock = lock

    @property
    def _jobs(self):
        block = _block.current.get()
        return () if block is None else block.jobs

    @_jobs.setter
    def _jobs(self, jobs):
        pass

    @property
    def _is_batch(self):
        block = _block.current.get()
        return block is not None and block.is_batch

    @_is_batch.setter
    def _is_batch(self, is_batch):
        pass

    @property
    def source(self):
        """The source of the requests."""
        return self._source

    def begin(self, inputs_schema, visualizer_config, more, batch=None):
        """Refuses a loop around `get_next_input` beside the function that serves the model."""
        raise RuntimeError(
            "get_next_input was called in a program whose requests are served by %s"
            % self._function
        )

    def open_jobs(self, function, of_batch):
        """Returns the open requests of the calling thread or task; warns if there are none."""
        if not self._jobs and not self.is_forked:
            _process.warn(_NO_BLOCK % function)
            return ()
        return Session.open_jobs(self, function, of_batch)

    def open(self, inputs_schema, visualizer_config, about, batch=None):
        """Opens the source of the requests, and takes the place of the other session."""
        _leaving.end_if_leaving()
        before = _made.get("session")
        former = None if before is None else before._source
        _guard.check(None if former is None else former.pid, self._function)
        if former is not None:
            raise RuntimeError(
                "%s was called after another loop had asked for requests; a program can have only"
                " one loop" % self._function
            )
        try:
            self._source = self._open(inputs_schema, visualizer_config, about, batch)
        except _process.BadSetting as reason:
            reject_setting(reason)
        self._source.concurrency = self.concurrency
        _made["session"] = self
        if self.concurrency > 1:
            _output.install()

    def check_process(self):
        """Raises an error in a forked child, which must not ask for requests."""
        if self.is_forked:
            _guard.check(self._source.pid, self._function)

    def begin_block(self, jobs, is_batch, lock):
        """Returns the block of jobs that were started."""
        block = _block.Block(jobs, is_batch, lock, self._decoder)
        self._blocks.add(block)
        return block

    def admit(self, block):
        """Reads the inputs of a block. Returns true if the model gets any of its requests."""
        if block.decoder is not None:
            block.jobs = tuple(block.decoder.admitted(block.jobs))
            if not block.jobs:
                self.finish(block)
        return bool(block.jobs)

    def finish(self, block, raised=(None, None, None), message=None, is_raised_again=False):
        """Ends a block, and fails those of its requests that have no result.

        `raised` is the exception that left it, if any, and `message` the error in its place.
        """
        if self.is_forked:
            if block is self._forked_by:
                self._end_forked_child(*raised)
            return
        if block.is_finished:
            return
        block.is_finished = True
        kind, value, trace = raised
        is_failure = kind is not None and not issubclass(kind, Cancelled)
        is_printed = may_be_one = False
        if is_failure:
            kind, value, trace, is_printed, may_be_one = self._report(block, kind, value, trace)
        elif message is None:
            self._policy.succeeded()
            if block.is_cancelled():
                message = _results.CANCELLED
            elif not all(job.answered for job in block.jobs):
                message = _NO_RESULT
                _process.warn(message)
        try:
            if block.lines is not None:
                block.lines.finish()
            with block.lock:
                if may_be_one:
                    self._source.forget_start_of(block.jobs)
                failure = None if message is None else _results.failure(message)
                for job in block.jobs:
                    if job.answered:
                        continue
                    job.answered = True
                    failure = failure or failure_of(kind, value, trace, is_printed)
                    if may_be_one:
                        job.fail_with_batch(failure)
                    else:
                        job.answer(failure)
        finally:
            if block.decoder is not None:
                block.decoder.release()
            if is_failure and issubclass(kind, Exception) and not is_raised_again:
                _exceptions.forget(value)
            self._blocks.discard(block)
            for job in block.jobs:
                # A context of the program may keep the block for long.
                job.inputs = None

    def fail_open_blocks(self, message):
        """Fails the requests that are still open, because the program ends."""
        deadline = time.monotonic() + _LOCK_TIMEOUT
        for block in list(self._blocks):
            if block.lock.acquire(timeout=max(deadline - time.monotonic(), 0)):
                try:
                    self.finish(block, message=message)
                finally:
                    block.lock.release()

    def leave(self):
        """Ends the program, because there are no more requests."""
        if _process.interactive():
            # The next cell, or the next line at a prompt, opens a new source.
            _made.pop("session", None)
            _output.uninstall()
        if self.ending is not None:
            raise self.ending
        self._source.leave()

    def _on_fork(self):
        self.is_forked = True
        self._forked_by = _block.current.get()

    def _end_forked_child(self, kind, value, trace):
        """Ends a forked child that has left the model's code, as Python ends a program.

        Otherwise the child would go on with a copy of the loop, and its parent might wait for it.
        """
        status = 1
        if kind is None:
            _process.warn(_LEFT_BY_CHILD % self._source.pid)
        elif issubclass(kind, SystemExit):
            status = _leaving.exit_status(value.code)
        else:
            traceback.print_exception(kind, value, trace)
        _process.flush_output()
        os._exit(status)

    def _interruptible(self):
        # Nobody knows which of the open requests waits for the child process.
        return _NoBlocks()

    def _engine_class(self):
        return ConcurrentEngine

    def _report(self, block, kind, value, trace):
        """Prints the exception that left a block, and has the process replaced if that helps.

        Returns the exception, or the one behind it, true if it was printed, and true if a single
        member of the batch may have caused it.
        """
        with self._failure_lock:
            kind, value, trace = self._children.explain(kind, value, trace)
            lacks_guard = issubclass(kind, _guard.MissingGuard)
            may_be_one = len(block.jobs) > 1 and not lacks_guard
            trace = _of_program(trace)
            ends = not issubclass(kind, Exception)
            members = len(block.jobs) if may_be_one else 1
            is_printed = _exceptions.show(kind, value, trace, ends, members)
            if ends:
                self._end_program(value)
            elif not lacks_guard:
                reason = self._policy.reason_to_replace_after(kind, value)
                if reason is not None:
                    self._source.replace(reason)
        return kind, value, trace, is_printed, may_be_one

    def _end_program(self, value):
        """Makes the program end with this exception once the requests that run have ended."""
        # This comes before the result, after which the engine would send the next request.
        self._source.pause(True)
        if self.ending is None:
            self.ending = value


class _NoBlocks:
    """A session that never has an open block."""

    @property
    def jobs(self):
        """No requests: another empty list each time, because it stands for the block."""
        return []


def _of_program(trace):
    """Returns a traceback without the frames of this package that the program's code is below."""
    inner = trace
    while inner is not None and _process.is_ours(inner.tb_frame):
        inner = inner.tb_next
    return inner or trace
