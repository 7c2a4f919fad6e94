"""Sends requests and returns their responses, with retries if these are safe."""

import contextlib
import email.utils
import http.client
import random
import socket
import ssl
import time
from typing import NamedTuple

from .address import Address
from .body import Body
from .connections import Pool
from .errors import ClientError
from .responses import Response

# With these statuses the server asks for another try. The model did not get the request, or, if the
# code is `shutting_down`, gave no result before the server had to stop.
_BUSY = (429, 503)
_REDIRECTS = (301, 302, 303, 307, 308)
_WITH_THEIR_BODY = (307, 308)
_MOST_REDIRECTS = 5
# Seconds: the first pause between two tries, which doubles, and the longest.
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 30
# In seconds: if a kept connection fails within this time after the request, the server had probably
# closed it before. Later, the model may have run.
_STALE = 1


class Request(NamedTuple):
    """A request; `accept` names the content types that the client reads."""

    method: str
    address: Address
    body: Body
    accept: str


class _Unreached(Exception):
    """The request did not reach a server completely, and may be sent again."""


class Transport:
    """Sends the requests of a client to its server."""

    def __init__(self, address, authorization, connect_timeout, context):
        self._address = address
        self._authorization = authorization
        self._pool = Pool(connect_timeout, context)

    def close(self):
        self._pool.close()

    def exchange(self, call, retries, request):
        """Sends a request, and returns the successful response.

        Sends it again only if the server asks for that, or if no server got the whole request.
        """
        tries = 0
        redirects = 0
        while True:
            pause = None
            try:
                response = self._once(call, request)
            except _Unreached as reason:
                failure = ClientError(str(reason), "unreachable")
            else:
                if 200 <= response.status < 300:
                    return response
                with response:
                    if response.status in _REDIRECTS:
                        request = _redirected(response, request, redirects)
                        redirects += 1
                        continue
                    failure = response.failure()
                    if response.status not in _BUSY:
                        raise failure
                    pause = _retry_after(response.headers.get("Retry-After"))
            wait = _pause(tries, pause)
            if tries >= retries or not request.body.can_repeat or wait >= call.left():
                raise failure
            call.sleep(wait)
            tries += 1

    def _once(self, call, request):
        """Sends the request, over a kept connection if there is one."""
        address = request.address
        connection = self._pool.idle(address)
        if connection is not None:
            response = self._over(connection, True, call, request)
            if response is not None:
                return response
        try:
            connection = self._pool.connect(address, call)
        except ValueError as reason:
            raise ClientError(str(reason), "unreachable") from None
        except (OSError, http.client.HTTPException) as reason:
            call.left()
            message = "%s://%s cannot be reached: %s" % (address[0], address.authority, reason)
            if _is_lasting(reason):
                raise ClientError(message, "unreachable") from reason
            raise _Unreached(message) from reason
        return self._over(connection, False, call, request)

    def _over(self, connection, is_kept, call, request):
        """Sends the request over a connection; returns `None` if a kept one was closed."""
        try:
            connection.begin(call)
            try:
                connection.send(_segments(self._head(connection, request), request.body))
            except (ConnectionError, ssl.SSLError):
                # The server may have sent an error response before it read the whole request.
                with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                    return self._response(connection, request)
                raise
            return self._response(connection, request)
        except BaseException as reason:
            call.use(None)
            connection.close()
            if not isinstance(reason, (OSError, http.client.HTTPException, ValueError)):
                raise
            call.left()
            if isinstance(reason, socket.timeout):
                raise call.overdue() from None
            if is_kept and request.body.can_repeat and _was_closed(connection):
                return None
            raise _failure(connection, reason) from reason

    def _response(self, connection, request):
        received = connection.response(request.method)
        return Response(self._pool, connection, received, request.address)

    def _head(self, connection, request):
        address, body = request.address, request.body
        lines = [
            "%s %s HTTP/1.1" % (request.method, str(address) if connection.proxy else address.path),
            "Host: " + address.authority,
            "Accept: " + request.accept,
            "Accept-Encoding: gzip",
            "User-Agent: ai-integration-client",
        ]
        if connection.proxy and connection.proxy.authorization:
            lines.append("Proxy-Authorization: " + connection.proxy.authorization)
        if self._authorization and self._address.shares_secrets_with(address):
            lines.append("Authorization: " + self._authorization)
        if body.content_type is not None:
            lines.append("Content-Type: " + body.content_type)
            is_sized = body.length is not None
            lines.append(
                "Content-Length: %d" % body.length if is_sized else "Transfer-Encoding: chunked"
            )
        return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def _segments(head, body):
    """Yields the segments of a request."""
    yield head
    if body.length is not None:
        yield from body.blocks()
        return
    for block in body.blocks():
        if block:
            yield b"%x\r\n" % len(block)
            yield block
            yield b"\r\n"
    yield b"0\r\n\r\n"


def _redirected(response, request, redirects):
    """Returns the request for the address of a redirect; raises an error if it must not follow."""
    target = request.address.redirected(response.headers.get("Location") or "")
    keeps_method = request.method == "GET" or response.status in _WITH_THEIR_BODY
    may_follow = keeps_method and request.body.can_repeat and redirects < _MOST_REDIRECTS
    if target is not None and may_follow:
        return request._replace(address=target)
    place = "elsewhere" if target is None else "to " + str(target)
    message = "the server redirects the request %s; give the client that server's address" % place
    raise ClientError(message, "redirected", response.status)


def _was_closed(connection):
    """Returns true if the server had probably closed a kept connection before the request."""
    is_soon = not connection.is_sent or time.monotonic() - connection.sent_at < _STALE
    return is_soon and not connection.received


def _failure(connection, reason):
    """Returns the error for a connection that ended for this reason."""
    if not connection.is_sent:
        return _Unreached("the connection ended while the request was sent: %s" % reason)
    if not connection.received:
        message = "the connection ended before there was a response, and the model may have run: %s"
        return ClientError(message % reason, "connection_lost")
    return ClientError("the response cannot be read: %r" % reason, "broken_answer")


def _is_lasting(reason):
    """Returns true if a connection that failed would fail again."""
    if isinstance(reason, socket.gaierror):
        return reason.errno != socket.EAI_AGAIN
    return isinstance(reason, ssl.SSLCertVerificationError)


def _retry_after(value):
    """Returns the seconds to wait that a server asks for (RFC 9110, section 10.2.3)."""
    if value is None:
        return None
    try:
        return max(float(value), 0)
    except ValueError:
        pass
    try:
        return max(email.utils.parsedate_to_datetime(value).timestamp() - time.time(), 0)
    except (TypeError, ValueError, OverflowError):
        return None


def _pause(tries, asked):
    """Returns the seconds before the next try: as the server asks, or twice as long each time.

    A random part keeps clients from trying again all at once.
    """
    if asked is not None and asked == asked:
        return asked + random.uniform(0, min(asked, 1) / 4)
    longest = min(_FIRST_PAUSE * 2**tries, _LONGEST_PAUSE)
    return random.uniform(longest / 2, longest)
