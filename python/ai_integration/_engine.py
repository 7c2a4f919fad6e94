"""Requests that come from the engine, over the link."""

import json
import os
import sys

from . import _leaving, _process, _results
from ._link import PROTOCOL, Link, Violation


class Engine(object):
    """The source of requests where an engine process runs the mode.

    `child` is the engine when this program started it, and `None` in a worker.
    """

    def __init__(self, link, child=None):
        self.pid = os.getpid()
        self._link = link
        self._child = child
        _leaving.when_main_ends(link.close)

    @classmethod
    def inherited(cls, descriptor):
        """The engine that started this program."""
        return cls(Link.inherit(descriptor))

    def introduce(self, version, inputs_schema, visualizer_config, modes):
        """Tell the engine that the model is loaded, and what it takes."""
        header = {
            "type": "ready",
            "protocol": PROTOCOL,
            "client": "python/" + version,
            "inputs_schema": inputs_schema,
            "visualizer_config": visualizer_config,
            "modes": modes,
        }
        # As lenient as a result: a limit may well be some library's number.
        self._link.send_encoded(_results.encode_json(header).encode("utf-8", "replace"))

    def next_job(self):
        """Wait for the next job; leave the program when there are no more."""
        _leaving.insist()
        try:
            while True:
                frame = self._link.receive()
                if frame is None:
                    break
                header, body = frame
                if header.get("type") == "job":
                    job = self._job(header, body)
                    if job is not None:
                        return job
        except Violation as reason:
            self._link.close()
            _process.warn("the engine broke the worker protocol: it sent %s" % reason)
            _leaving.leave(1)
        self._link.close()
        _leaving.leave(0 if self._child is None else self._child.wait())

    def _job(self, header, body):
        number = header.get("id")
        try:
            # Spelled out, since it is all the same for every job.
            start = ('{"type":"start","id":%d}' % number).encode("ascii")
            if not self._link.send_encoded(start):
                return None
            return Job(self._link, number, _inputs(header["inputs"], body))
        except (KeyError, TypeError, UnicodeError, ValueError) as reason:
            raise Violation("a job that cannot be read: %s" % reason)
        except _results.Unsendable as reason:
            Job(self._link, number, None).answer(_results.failure(str(reason)))
            return None


class Job(object):
    """A request that the engine sent: the model's `inputs` and the way back."""

    __slots__ = ("_link", "_number", "answered", "inputs")

    def __init__(self, link, number, inputs):
        self._link = link
        self._number = number
        self.inputs = inputs
        self.answered = False

    def answer(self, result):
        """Send the model's result, or a failed one where that cannot be sent.

        Raises only what the model's own iterator raised, after the requester was told.
        """
        answer = _results.prepare(result)
        try:
            if answer.pieces is None:
                self._finish(answer)
            else:
                self._stream(answer)
        except _results.Unsendable as reason:
            self._finish(_results.failed("the model's data cannot be sent: %s" % reason))

    def _finish(self, answer):
        kind, body = None, b""
        if answer.data is not None:
            kind, body = _results.body_of(answer.data)
            if len(body) > _results.BODY_LIMIT:
                self._chunks(kind, body, answer.content_type)
                kind, body = None, b""
        self._link.send(
            {
                "type": "result",
                "id": self._number,
                "success": answer.success,
                "content_type": answer.content_type,
                "data": kind,
                "error": answer.error,
            },
            body,
        )

    def _stream(self, answer):
        pieces = answer.pieces
        # Without a piece the data is there all the same: it is empty.
        answer.data = ""
        try:
            for piece in pieces:
                kind, body = _results.body_of(piece)
                if not body:
                    continue
                answer.data = None
                if not self._chunks(kind, body, answer.content_type):
                    break
        except _results.Unsendable:
            raise
        except BaseException:
            self._finish(_results.failed(_results.formatted(*sys.exc_info())))
            raise
        finally:
            # A generator that is not wanted any more should not wait for its finalizer.
            close = getattr(pieces, "close", None)
            if close is not None:
                close()
        answer.pieces = None
        self._finish(answer)

    def _chunks(self, kind, body, content_type):
        header = {"type": "chunk", "id": self._number, "data": kind, "content_type": content_type}
        return all(self._link.send(header, part) for part in _results.parts_of(kind, body))


def _inputs(entries, body):
    """The inputs dict that a job's entries and body describe."""
    inputs = {}
    start = 0
    for name, kind, value in entries:
        if kind != "value":
            if kind not in ("bytes", "json", "text"):
                raise _results.Unsendable(
                    "the input %r is of the kind %r, which this version of ai_integration does"
                    " not know" % (name, kind)
                )
            end = start + value
            if not start <= end <= len(body):
                raise ValueError("the input %r is not inside the body" % name)
            value = body[start:end].tobytes()
            start = end
            if kind == "text":
                value = value.decode("utf-8")
            elif kind == "json":
                value = json.loads(value.decode("utf-8"))
        inputs[name] = value
    if start != len(body):
        raise ValueError("%d bytes belong to no input" % (len(body) - start))
    return inputs
