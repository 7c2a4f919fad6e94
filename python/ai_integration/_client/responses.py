"""Reads responses with limits of time and length, and makes errors of them."""

import contextlib
import http.client
import json
import socket

from . import decompression
from .errors import ClientError

# In bytes: the most that is read of an error response, and of another response at once.
_MOST_OF_A_PROBLEM = 1 << 20
_CHUNK = 1 << 18


class Response:
    """A response whose header has arrived; it returns its connection at the end."""

    def __init__(self, pool, connection, response, address):
        self._pool = pool
        self._connection = connection
        self._response = response
        # The address after all redirects.
        self.address = address
        self.status = response.status
        self.headers = response.headers
        self.content_type = response.headers.get("Content-Type") or "application/octet-stream"

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self._connection.call.use(None)
        is_read = self._response.isclosed() and not self._response.will_close
        if is_read and self._connection.is_sent:
            self._pool.keep(self._connection)
        else:
            self._connection.close()

    def read(self, most):
        """Returns the whole body; raises an error if it is longer than `most` bytes."""
        if self._coding() is None and self._response.length is not None:
            if self._response.length > most:
                raise self._too_large(most)
            with self._errors_translated():
                return self._response.read()
        chunks, size = [], 0
        for chunk in self.chunks():
            size += len(chunk)
            if size > most:
                raise self._too_large(most)
            chunks.append(chunk)
        return b"".join(chunks)

    def chunks(self):
        """Yields the body as it arrives, decompressed."""
        coding = self._coding()
        received = self._received()
        return received if coding is None else decompression.inflated(received, self._broken)

    def failure(self):
        """Returns the error that the response reports."""
        request_id = self.headers.get("X-Request-Id")
        problem = {}
        with contextlib.suppress(ClientError, ValueError, RecursionError):
            problem = json.loads(self.read(_MOST_OF_A_PROBLEM))
        if not isinstance(problem, dict) or not isinstance(problem.get("code"), str):
            reason = http.client.responses.get(self.status, "an unknown status")
            message = "the server answered with status %d, %s" % (self.status, reason)
            return ClientError(message, "http_error", self.status, request_id)
        return problem_error(problem, self.status, request_id)

    def _received(self):
        while True:
            with self._errors_translated():
                chunk = self._response.read1(_CHUNK)
            if chunk:
                yield chunk
                continue
            if self._response.length:
                raise self._broken("it broke off")
            # Some versions of Python do not notice that the body has ended.
            self._response.close()
            return

    def _coding(self):
        coding = (self.headers.get("Content-Encoding") or "identity").strip().lower()
        if coding in ("gzip", "x-gzip"):
            return coding
        if coding == "identity":
            return None
        raise self._broken("it is compressed with %s, which the client did not accept" % coding)

    @contextlib.contextmanager
    def _errors_translated(self):
        call = self._connection.call
        try:
            yield
        except socket.timeout:
            raise call.overdue() from None
        except (OSError, http.client.HTTPException, ValueError) as reason:
            call.left()
            raise self._broken("it broke off") from reason

    def _broken(self, why):
        message = "the response cannot be read: %s" % why
        return ClientError(message, "broken_answer", self.status, self.headers.get("X-Request-Id"))

    def _too_large(self, most):
        message = "the response has more than %d bytes; max_bytes=… accepts more" % most
        request_id = self.headers.get("X-Request-Id")
        return ClientError(message, "answer_too_large", self.status, request_id)


def problem_error(problem, status=None, request_id=None):
    """Returns the error for a problem (RFC 9457) as the server writes it."""
    errors = problem.get("errors")
    inputs = {}
    for each in errors if isinstance(errors, list) else []:
        if isinstance(each, dict):
            inputs[str(each.get("name"))] = str(each.get("message"))
    own = problem.get("status")
    status = own if status is None and isinstance(own, int) else status
    message = str(problem.get("detail") or problem.get("title") or "there is no result")
    request_id = problem.get("request_id") or request_id
    return ClientError(message, str(problem["code"]), status, request_id, inputs)
