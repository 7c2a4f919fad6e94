"""One request on the worker's side of the link."""

import sys

from . import _exceptions, _frames, _results
from ._undecodable import bounded


class Job(object):
    """A request that the engine sent: the model's `inputs` and the way back."""

    __slots__ = (
        "_engine",
        "_has_chunks",
        "_link",
        "answered",
        "ended",
        "inputs",
        "number",
        "problem",
    )

    def __init__(self, engine, link, number, inputs, problem):
        self._engine = engine
        self._link = link
        self.number = number
        self._has_chunks = False
        # The reason why the model cannot get this job, or `None`.
        self.problem = problem
        self.inputs = inputs
        # `answered` is true when the model has given a result, `ended` when that was sent.
        self.answered = False
        self.ended = False

    @property
    def has_chunks(self):
        """Returns true if a chunk of the result was sent."""
        return self._has_chunks

    def answer(self, result):
        """Sends the model's result, or a failed one if that cannot be sent.

        Raises only what the model's own iterator raised, after a failure was sent.
        """
        whole, steps = self.begin_answer(result)
        if whole is not None:
            self._link.write(whole)
            return
        for _ in steps:
            # Each step sends a chunk.
            pass

    def fail_with_batch(self, result):
        """Sends the failure of the whole batch; the engine may run this member again by itself."""
        if not self.ended:
            self._engine.forget_start()
            self._link.send(_frames.batch_failure(_results.prepare(result), self.number))
            self._end()

    def begin_answer(self, result):
        """Begins `answer`; returns a frame if the result is small and whole, else a generator.

        The other item of the pair is `None`. The generator sends a chunk at each step.
        """
        answer = _results.prepare(result, self._has_chunks)
        if not answer.data and answer.chunks is None and not self._has_chunks:
            answer = _results.without_data(answer)
        whole = None if self._has_chunks else _frames.small(answer, self.number)
        if whole is None:
            return None, self._steps(answer)
        self._end()
        return whole, None

    def write(self, frames):
        """Sends frames of this job and others with one write."""
        self._link.write(b"".join(frames))

    def fail(self, message):
        """Sends a failure, unless the result was already sent."""
        self._finish(_results.failed(message))

    def refuse(self, fields):
        """Refuses the inputs: `fields` are pairs of a name and what is wrong."""
        self._link.send(_frames.refusal(self.number, bounded(fields)))
        self._end()

    def is_cancelled(self):
        """Returns true if no client waits for the result any more."""
        return self._engine.is_cancelled(self.number)

    def chunk(self, kind, body, content_type):
        """Sends a chunk of the result."""
        if content_type is None and not self._has_chunks:
            content_type = "text/plain" if kind == "text" else "application/octet-stream"
        self._send_ahead(kind, body, content_type)

    def progress(self, fraction, message):
        """Reports the progress of the job."""
        self._link.send(_frames.progress(self.number, fraction, message))

    def _steps(self, answer):
        """Sends a large or streamed result: a chunk at each step, and the end at the last one."""
        chunks = iter(()) if answer.chunks is None else answer.chunks
        try:
            try:
                for chunk in chunks:
                    if self.is_cancelled():
                        answer = _results.failed(_results.CANCELLED)
                        break
                    kind, body = _results.body_of(chunk)
                    if body and not self._send_ahead(kind, body, answer.content_type):
                        break
                    yield
            finally:
                # A generator that is not read to its end is closed now, not by its finalizer.
                close = getattr(chunks, "close", None)
                if close is not None:
                    close()
            if answer.chunks is not None and not self._has_chunks:
                answer = _results.without_data(answer)
        except _results.Unsendable as reason:
            answer = _results.unsendable(reason)
        except BaseException:
            # It is printed here, since the program may catch it.
            raised = sys.exc_info()
            is_printed = _exceptions.show(*raised, may_end=True)
            self._finish(_results.Raised(_results.formatted(*raised), is_printed).prepared())
            raise
        self._finish(answer)

    def _send_ahead(self, kind, body, content_type):
        self._has_chunks = True
        cut = _frames.chunks(self.number, kind, body, content_type)
        return all(self._link.send(head, part) for head, part in cut)

    def _finish(self, answer):
        if self.ended:
            return
        for head, body in _frames.frames(answer, self.number, self._has_chunks):
            self._link.send(head, body)
        self._end()

    def _end(self):
        self.ended = True
        self._engine.forget(self.number)
