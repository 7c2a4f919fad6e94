"""Calls a model at an HTTP address like a function."""

import contextlib
import copy
import json
import threading
from typing import NamedTuple

from . import address as addresses
from . import events, results
from .body import EMPTY
from .calls import Call
from .errors import ClientError, refusal
from .inputs import Schema
from .transport import Request, Transport

# With this header, a list of pictures comes without base64.
_ANYTHING = "multipart/mixed, */*;q=0.9"
_EVENTS = "text/event-stream, */*;q=0.1"
_MOST_OF_A_SCHEMA = 16 << 20
# About 11 days, in seconds; the timeout of a socket cannot be much longer.
_LONGEST = 1000000


class Options(NamedTuple):
    """The limits of calls."""

    timeout: float
    retries: int
    max_bytes: int
    allow_unknown: bool

    def checked(self):
        if not 0 < self.timeout <= _LONGEST:
            message = "timeout is %r; it must be a number of seconds above 0, up to %d"
            raise ValueError(message % (self.timeout, _LONGEST))
        if self.retries < 0 or self.max_bytes < 1:
            message = "retries is %r and max_bytes is %r; they must be at least 0 and 1"
            raise ValueError(message % (self.retries, self.max_bytes))
        return self


class Client:
    """Calls a model at an HTTP address.

    Threads may share a client. `token` is sent as a bearer token. `timeout` and `connect_timeout`
    are seconds, `retries` is the number of tries after the first one, and `max_bytes` is the
    largest accepted response. `context` holds the TLS settings. With `allow_unknown`, inputs that
    the schema does not name are sent too.
    """

    def __init__(  # noqa: PLR0913 -- each is an option that a caller names
        self,
        url,
        token=None,
        timeout=300,
        retries=3,
        *,
        connect_timeout=10,
        max_bytes=1 << 30,
        context=None,
        allow_unknown=False,
    ):
        self._options = Options(timeout, retries, max_bytes, allow_unknown).checked()
        address, authorization = addresses.parse(url)
        if token is not None:
            authorization = addresses.bearer(token)
        if not 0 < connect_timeout <= _LONGEST:
            message = "connect_timeout is %r; it must be a number of seconds above 0, up to %d"
            raise ValueError(message % (connect_timeout, _LONGEST))
        if not address.path.endswith("/"):
            address = address.below("/")
        self._server = _Server(address, Transport(address, authorization, connect_timeout, context))

    def with_options(self, **options):
        """Returns a client with other limits; both share the connections."""
        client = copy.copy(self)
        client._options = self._options._replace(**options).checked()
        return client

    @property
    def schema(self):
        """Returns the inputs schema as the model's author wrote it; the client requests it once."""
        return self._inputs_schema(self._call())

    def predict(self, /, **inputs):
        """Runs the model, and returns its result."""
        return self._predict(self._call(), inputs)

    def stream(self, /, **inputs):
        """Runs the model, and yields the chunks of its result as they arrive."""
        return self._stream(self._call(), inputs)

    def events(self, /, **inputs):
        """Runs the model, and yields each event as a pair of its kind and its value.

        The kinds include progress, log lines, chunks and, at the end, the result.
        """
        return self._events(self._call(), inputs)

    def close(self):
        """Closes the connections."""
        self._server.transport.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.close()

    def __repr__(self):
        return "%s(%r)" % (type(self).__name__, str(self._server.address))

    def _call(self):
        return Call(self._options.timeout)

    def _inputs_schema(self, call):
        return copy.deepcopy(self._schema(call)[0].inputs)

    def _predict(self, call, inputs):
        with self._infer(call, inputs, _ANYTHING) as response:
            return results.value_of(response.content_type, response.read(self._options.max_bytes))

    def _stream(self, call, inputs):
        with contextlib.closing(self._events(call, inputs)) as happened:
            for kind, value in happened:
                if kind in ("chunk", "result"):
                    yield value

    def _events(self, call, inputs):
        call.renew()
        with self._infer(call, inputs, _EVENTS) as response:
            for event in events.happened(response, self._options.max_bytes):
                yield event
                # The time that the caller takes does not count toward the timeout.
                call.renew()

    def _infer(self, call, inputs, accept):
        schema, is_fresh = self._schema(call)
        unknown = {} if self._options.allow_unknown else schema.unknown(inputs)
        if unknown and not is_fresh:
            # The server may have another model by now.
            self._server.forget(schema)
            schema, _ = self._schema(call)
            unknown = schema.unknown(inputs)
        if unknown:
            raise refusal(unknown)
        body = schema.body(inputs)
        try:
            return self._exchange(call, "POST", "infer", body, accept)
        except ClientError as error:
            if error.status == 422:
                self._server.forget(schema)
            raise

    def _exchange(self, call, method, name, body, accept):
        request = Request(method, self._server.address.below(name), body, accept)
        return self._server.transport.exchange(call, self._options.retries, request)

    def _schema(self, call):
        """Returns the schema, and true if it was requested just now."""
        server = self._server
        known = server.schema
        if known is not None:
            return known, False
        with self._exchange(call, "GET", "schema", EMPTY, "application/json") as response:
            body = response.read(_MOST_OF_A_SCHEMA)
        try:
            server.schema = Schema(json.loads(body))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            message = "%s is not the address of a model served by ai_integration"
            raise ClientError(message % str(server.address), "not_a_model") from None
        server.moved_to(response.address.folder("schema"))
        return server.schema, True


class _Server:
    """The connections and the schema that clients of one server share."""

    def __init__(self, address, transport):
        self.address = address
        self.transport = transport
        self.schema = None
        self._lock = threading.Lock()

    def forget(self, schema):
        """Drops this schema, so that the next call requests it again."""
        with self._lock:
            if self.schema is schema:
                self.schema = None

    def moved_to(self, address):
        """Keeps the address that redirects have led to."""
        if address is not None:
            self.address = address
