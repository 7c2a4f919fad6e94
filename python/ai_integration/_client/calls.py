"""A call: its timeout, and the way to cancel it from another thread."""

import socket
import threading
import time

from .errors import ClientError


class Call:
    """The time of a request, and the connection that it uses now."""

    def __init__(self, seconds):
        self.seconds = seconds
        self._lock = threading.Lock()
        self._cancelled = threading.Event()
        self._socket = None
        self.renew()

    def renew(self):
        """Starts the timeout again, for example for the next chunk of a stream."""
        self._end = time.monotonic() + self.seconds

    def left(self):
        """Returns the seconds that are left; raises an error if the time is over."""
        if self._cancelled.is_set():
            raise ClientError("the request was cancelled", "cancelled")
        left = self._end - time.monotonic()
        if left <= 0:
            raise self.overdue()
        return left

    def overdue(self):
        """Returns the error for a call whose time is over."""
        message = "no response within %g s; timeout=… allows more time" % self.seconds
        return ClientError(message, "timeout")

    def sleep(self, seconds):
        """Waits, unless the call is cancelled."""
        self._cancelled.wait(seconds)
        self.left()

    def use(self, connected):
        """Keeps the socket that the call waits for, or `None`."""
        with self._lock:
            self._socket = connected
        if connected is not None:
            self.left()

    def cancel(self):
        """Ends the call at once; the server sees that the connection is closed."""
        self._cancelled.set()
        with self._lock:
            if self._socket is not None:
                try:
                    # Another thread may be using the TLS layer, so the plain socket is shut down.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
                except OSError:
                    # The server has closed the connection already.
                    pass
