"""One call: the time that it has, and the way to end it from another thread."""

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
        """Begins the time anew, as for the next piece of a stream."""
        self._end = time.monotonic() + self.seconds

    def left(self):
        """The seconds that are left; raises where none are."""
        if self._cancelled.is_set():
            raise ClientError("the request was cancelled", "cancelled")
        left = self._end - time.monotonic()
        if left <= 0:
            raise self.overdue()
        return left

    def overdue(self):
        """The error of a call whose time is over."""
        message = "no answer within %g s; timeout=… gives it more time" % self.seconds
        return ClientError(message, "timeout")

    def sleep(self, seconds):
        """Waits, unless the call is cancelled."""
        self._cancelled.wait(seconds)
        self.left()

    def use(self, connected):
        """Notes the socket that the call waits for, or that it waits for none any more."""
        with self._lock:
            self._socket = connected
        if connected is not None:
            self.left()

    def cancel(self):
        """Ends the call, whatever it waits for; a server sees its client leave."""
        self._cancelled.set()
        with self._lock:
            if self._socket is not None:
                try:
                    # Past TLS, which another thread is in the middle of.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
                except OSError:
                    # The server was quicker.
                    pass
