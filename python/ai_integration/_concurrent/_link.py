"""The link of a process in which several threads or tasks send frames."""

import os
import socket
import threading
import time

from .._link import Link

# Seconds within which the frames of an event loop's tasks are joined into one write.
_JOIN_TIME = 0.0005


class SharedLink(Link):
    """A link that keeps frames whole. One thread reads; any thread may write."""

    def __init__(self, connection):
        Link.__init__(self, connection)
        # Reentrant, because a failed write closes the link.
        self.write_lock = threading.RLock()
        # Called when the link is closed.
        self._on_close = None
        # True once the engine has shut down its sending side.
        self.has_ended = False
        # The event loop, its thread, and the frames that it has not written yet.
        self._loop = None
        self._thread = None
        self._pending = []
        self._is_scheduled = False
        self._written_at = 0.0
        # True after a write by a task, until the next call of `is_time_to_yield`.
        self._has_written = False

    def serve_loop(self, loop, on_close):
        """Joins frames that the calling thread's event loop sends within a very short time.

        Calls `on_close` when the link is closed, because the event loop cannot see that.
        """
        self._loop, self._thread, self._on_close = loop, threading.get_ident(), on_close

    def is_on_loop(self):
        """Returns true if the calling thread runs the event loop, and so must not wait."""
        return self._thread == threading.get_ident()

    def is_time_to_yield(self):
        """Returns true if a task that sends a stream should let other tasks run.

        That is once after each write; the call counts as the task's yielding.
        """
        is_time, self._has_written = self._has_written, False
        return is_time

    def write(self, frames, descriptor=None):
        """Sends the bytes of frames, as `Link.write` does; a task's frames may be sent later."""
        with self.write_lock:
            if descriptor is not None or not self.is_on_loop():
                return self._flush() and Link.write(self, frames, descriptor)
            self._pending.append(frames)
            now = time.monotonic()
            # A frame that comes alone is sent at once, because the task may then compute for a long
            # time, and the event loop could not send the frame.
            if now - self._written_at >= _JOIN_TIME:
                self._written_at = now
                self._has_written = True
                return self._flush()
            if not self._is_scheduled:
                try:
                    self._loop.call_soon(self._flush_as_scheduled)
                    self._is_scheduled = True
                except RuntimeError:
                    # The event loop is closed.
                    return self._flush()
            return self.is_open()

    def close(self):
        """Sends what is left, and ends the link."""
        if self._pid != os.getpid():
            # In a forked child the lock may be held for ever.
            Link.close(self)
            return
        with self.write_lock:
            self._flush()
            Link.close(self)
        if self._on_close is not None:
            self._on_close()

    def stop_reading(self):
        """Makes `receive` on another thread return, as at the end of the link."""
        connection = self._connection
        if connection is not None:
            try:
                connection.shutdown(socket.SHUT_RD)
            except OSError:
                # The engine has closed the connection already.
                pass

    def fileno(self):
        """Returns the descriptor of the socket."""
        return self._connection.fileno()

    def _write_parts(self, begin, body):
        with self.write_lock:
            return self._flush() and Link.write(self, begin) and Link.write(self, body)

    def _flush(self):
        if not self._pending:
            return self.is_open()
        frames = self._pending
        self._pending = []
        return Link.write(self, frames[0] if len(frames) == 1 else b"".join(frames))

    def _flush_as_scheduled(self):
        with self.write_lock:
            self._is_scheduled = False
            self._written_at = time.monotonic()
            self._flush()

    def _read(self, wait):
        content = Link._read(self, wait)
        if content == b"":
            self.has_ended = True
        return content
