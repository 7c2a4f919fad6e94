"""Frames over the socket between engine and worker, as docs/worker-protocol.md defines them."""

import errno
import json
import os
import socket
import struct
from collections import deque

from . import _memory_files, _process, _standard_streams

PROTOCOL = 1
BODY_LIMIT = 1 << 30
# The program ends, and is not to be started again.
LEAVE = b'{"type":"leave"}'

_HEADER_LIMIT = 1 << 20
_PREFIX = struct.Struct(">II")
_PIECE = 1 << 16
# Descriptors that may come at once; the engine sends one for each large job that it prefetches.
_DESCRIPTORS = 64

# What `json.loads` calls in the end. It takes no white space around the value.
_parse = json.JSONDecoder().scan_once
# Python 2 cannot join byte strings and text, so there every character is escaped.
_to_json = json.JSONEncoder(ensure_ascii=str is bytes, separators=(",", ":")).encode


class Violation(Exception):
    """The other side sent something that the protocol does not allow."""


class Link(object):
    """One end of the link. It belongs to the process that opened it."""

    def __init__(self, connection):
        # Neither the other side's event loop nor socket.setdefaulttimeout decide how we wait.
        connection.settimeout(None)
        self._connection = connection
        self._unread = b""
        # Where the next frame begins in `_unread`: cutting it off each time would copy the rest.
        self._at = 0
        # A frame that is too large for that, and how much of it is there.
        self._large = None
        self._large_read = 0
        self._files = deque()
        self.shares = _memory_files.AVAILABLE and hasattr(connection, "recvmsg")
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

    def send(self, head, body=b""):
        """Send one frame, of a header that is JSON; whether there was still somebody to send it to.

        A large body travels in a memory file where that is possible.
        """
        if self.shares and len(body) >= _memory_files.FROM:
            descriptor = _memory_files.write(body)
            if descriptor is not None:
                try:
                    return self.write(frame(head[:-1] + b',"shared":%d}' % len(body)), descriptor)
                finally:
                    os.close(descriptor)
        if len(body) >= _PIECE:
            return self.write(_begun(head, body)) and self.write(body)
        return self.write(frame(head, body.tobytes() if isinstance(body, memoryview) else body))

    def write(self, frames, descriptor=None):
        """Send bytes that are frames; whether there was still somebody to send them to.

        A `descriptor` comes with the first one.
        """
        connection = self._connection
        if connection is None:
            return False
        try:
            if descriptor is None:
                connection.sendall(frames)
            else:
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", descriptor))]
                sent = connection.sendmsg([frames], rights)
                if sent < len(frames):
                    connection.sendall(frames[sent:])
        except EnvironmentError:
            self.close()
            return False
        except BaseException:
            # Interrupted half-way: nothing that follows could be understood.
            self.close()
            raise
        return True

    def receive(self, wait=True):
        """The next frame's header and body; `shared` in the header is a `Memory`.

        `None` when the engine has no more, and also, unless told to `wait`, when nothing is there.
        """
        while self._large is None:
            unread, at = self._unread, self._at
            there = len(unread) - at - 8
            if there >= 0:
                header_size, body_size = _PREFIX.unpack_from(unread, at)
                if not 2 <= header_size <= _HEADER_LIMIT or body_size > BODY_LIMIT:
                    raise Violation("a frame of %d and %d bytes" % (header_size, body_size))
                size = header_size + body_size
                if there >= size:
                    at += 8
                    self._at = end = at + size
                    return self._frame(unread, at, at + header_size, end)
                if size > _PIECE:
                    self._large = memoryview(bytearray(size + 8))
                    self._large_read = there + 8
                    self._large[: there + 8] = unread[at:]
                    self._unread, self._at = b"", 0
                    break
            piece = self._read(wait)
            if not piece:
                return None
            self._unread = unread[at:] + piece if there > -8 else piece
            self._at = 0
        return self._receive_large(wait)

    def _frame(self, unread, start, body_start, end):
        head = unread[start:body_start]
        body = unread[body_start:end]
        try:
            text = (head if isinstance(head, bytes) else head.tobytes()).decode("utf-8")
            try:
                header, parsed = _parse(text, 0)
            except StopIteration:
                parsed = None
            if parsed != len(text):
                header = json.loads(text)
        except (RuntimeError, ValueError) as reason:
            # A `RecursionError` is a `RuntimeError`.
            raise Violation("a header that is not JSON: %s" % reason)
        if not isinstance(header, dict):
            raise Violation("a header that is not an object")
        if "shared" in header:
            if not self._files:
                raise Violation("a frame without its memory file")
            header["shared"] = _memory_files.Memory(self._files.popleft())
        return header, body

    def is_open(self):
        """Returns true if frames may still come."""
        return self._connection is not None

    def close(self):
        """End the link, unless it belongs to a parent process."""
        connection, self._connection = self._connection, None
        if connection is not None and self._pid == os.getpid():
            # Whoever wanted the jobs that are still there is gone.
            self._unread, self._at, self._large = b"", 0, None
            while self._files:
                os.close(self._files.popleft())
            try:
                # Other processes may hold the descriptor too; the engine must see the end anyway.
                connection.shutdown(socket.SHUT_RDWR)
            except EnvironmentError:
                # The engine was first.
                pass
            connection.close()

    def _read(self, wait):
        while self._connection is not None:
            try:
                if not self.shares:
                    return self._connection.recv(_PIECE, 0 if wait else socket.MSG_DONTWAIT)
                return self._read_with_files(0 if wait else socket.MSG_DONTWAIT)
            except EnvironmentError as failure:
                if failure.errno in (errno.EAGAIN, errno.EWOULDBLOCK) and not wait:
                    return b""
                if failure.errno != errno.EINTR:
                    # A reset is how the end looks when something of ours was left unread.
                    self.close()
        return b""

    def _read_with_files(self, flags):
        room = _memory_files.ROOM_FOR_ONE * _DESCRIPTORS
        piece, extra, _, _ = self._connection.recvmsg(_PIECE, room, flags | _memory_files.CLOEXEC)
        for level, kind, data in extra:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                received = struct.unpack("%di" % (len(data) // 4), data)
                self._files.extend(map(_standard_streams.beyond, received))
        return piece

    def _receive_large(self, wait):
        """A large frame, of which no descriptor is a part, straight into its place."""
        frame = self._large
        while self._large_read < len(frame):
            if self._connection is None:
                return None
            try:
                flags = 0 if wait else socket.MSG_DONTWAIT
                received = self._connection.recv_into(frame[self._large_read :], 0, flags)
            except EnvironmentError as failure:
                if failure.errno in (errno.EAGAIN, errno.EWOULDBLOCK) and not wait:
                    return None
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
            self._large_read += received
        self._large = None
        header_size = _PREFIX.unpack_from(frame)[0]
        return self._frame(frame, 8, 8 + header_size, len(frame))


def encode(header):
    """A header as JSON."""
    return _to_json(header).encode("utf-8", "replace")


def frame(head, body=b""):
    """A frame as bytes, of a header that is JSON already."""
    return _begun(head, body) + body


def _begun(head, body):
    """A frame as bytes, up to where its body begins."""
    if len(head) > _HEADER_LIMIT:
        raise ValueError("a message's header of %d bytes is too large" % len(head))
    return _PREFIX.pack(len(head), len(body)) + head
