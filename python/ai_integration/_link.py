"""Frames over the socket between engine and worker, as docs/worker-protocol.md defines them."""

import errno
import json
import os
import socket
import struct

from . import _process

PROTOCOL = 1
BODY_LIMIT = 1 << 30

_HEADER_LIMIT = 1 << 20
_PREFIX = struct.Struct(">II")
_PIECE = 1 << 16

_decode = json.JSONDecoder().decode
# Python 2 cannot join byte strings and text, so there every character is escaped.
_encode = json.JSONEncoder(ensure_ascii=str is bytes, separators=(",", ":")).encode


class Violation(Exception):
    """The other side sent something that the protocol does not allow."""


class Link(object):
    """One end of the link. It belongs to the process that opened it."""

    def __init__(self, connection):
        # Neither the other side's event loop nor socket.setdefaulttimeout decide how we wait.
        connection.settimeout(None)
        self._connection = connection
        self._unread = b""
        self._pid = os.getpid()
        # A forked child that lives on would otherwise keep the link open after our end.
        at_fork = getattr(os, "register_at_fork", None)
        if at_fork is not None:
            at_fork(after_in_child=connection.close)

    @classmethod
    def inherit(cls, descriptor):
        """The link behind a descriptor that this process was started with."""
        connection = socket.fromfd(descriptor, socket.AF_UNIX, socket.SOCK_STREAM)
        os.close(descriptor)
        _process.close_on_exec(connection.fileno())
        return cls(connection)

    def send(self, header, body=b""):
        """Send one frame; whether there was still somebody to send it to."""
        return self.send_encoded(_encode(header).encode("utf-8", "replace"), body)

    def send_encoded(self, head, body=b""):
        """`send`, for a header that is JSON already."""
        if len(head) > _HEADER_LIMIT:
            raise ValueError("a message's header of %d bytes is too large" % len(head))
        prefix = _PREFIX.pack(len(head), len(body)) + head
        if self._connection is None:
            return False
        try:
            if len(body) < _PIECE:
                if isinstance(body, memoryview):
                    body = body.tobytes()
                self._connection.sendall(prefix + body)
            else:
                self._connection.sendall(prefix)
                self._connection.sendall(body)
        except EnvironmentError:
            self.close()
            return False
        except BaseException:
            # Interrupted half-way: nothing that follows could be understood.
            self.close()
            raise
        return True

    def receive(self):
        """The next frame's header and body, or `None` when the engine has no more."""
        if self._connection is None:
            # Whoever wanted the jobs that are still buffered is gone.
            return None
        start = _PREFIX.size
        buffered = self._unread
        while len(buffered) < start:
            piece = self._read()
            if not piece:
                return None
            buffered = buffered + piece if buffered else piece
        header_size, body_size = _PREFIX.unpack_from(buffered)
        if not 2 <= header_size <= _HEADER_LIMIT or body_size > BODY_LIMIT:
            raise Violation("a frame of %d and %d bytes" % (header_size, body_size))
        end = start + header_size + body_size
        if len(buffered) < end:
            frame = self._read_rest(buffered, end)
            if frame is None:
                return None
            self._unread = b""
        else:
            frame = memoryview(buffered)
            self._unread = buffered[end:]
        body_start = start + header_size
        try:
            header = _decode(frame[start:body_start].tobytes().decode("utf-8"))
        except ValueError as reason:
            raise Violation("a header that is not JSON: %s" % reason)
        if not isinstance(header, dict):
            raise Violation("a header that is not an object")
        return header, frame[body_start:end]

    def close(self):
        """End the link, unless it belongs to a parent process."""
        connection, self._connection = self._connection, None
        if connection is not None and self._pid == os.getpid():
            try:
                # Other processes may hold the descriptor too; the engine must see the end anyway.
                connection.shutdown(socket.SHUT_RDWR)
            except EnvironmentError:
                # The engine was first.
                pass
            connection.close()

    def _read(self):
        while self._connection is not None:
            try:
                return self._connection.recv(_PIECE)
            except EnvironmentError as failure:
                if failure.errno != errno.EINTR:
                    # A reset is how the end looks when something of ours was left unread.
                    self.close()
        return b""

    def _read_rest(self, buffered, size):
        frame = memoryview(bytearray(size))
        read = len(buffered)
        frame[:read] = buffered
        while read < size:
            try:
                received = self._connection.recv_into(frame[read:])
            except EnvironmentError as failure:
                if failure.errno == errno.EINTR:
                    continue
                received = 0
            except BaseException:
                # What was read of this frame is lost, and with it the place in the stream.
                self.close()
                raise
            if not received:
                self.close()
                return None
            read += received
        return frame
