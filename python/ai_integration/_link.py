"""Sends and receives the frames of a model process, which docs/worker-protocol.md defines."""

import errno
import json
import os
import socket
import struct
from collections import deque

from . import _memory_files, _process, _standard_streams

PROTOCOL = 1
BODY_LIMIT = 1 << 30
# Says that the program ends and must not be restarted.
LEAVE = b'{"type":"leave"}'

_HEADER_LIMIT = 1 << 20
_PREFIX = struct.Struct(">II")
# Bytes of one read. A body of at least this size is sent without a copy, and a frame that is larger
# is read into a buffer of its own.
_READ_SIZE = 1 << 16
# The maximum number of bytes of one read of a large frame.
_LARGE_READ_SIZE = 1 << 18
# The maximum number of descriptors in one read. The engine sends one for each large job.
_DESCRIPTORS = 64

# The parser inside `json.loads`. It allows no white space around the value.
_parse = json.JSONDecoder().scan_once
# Python 2 cannot join byte strings and text, so it escapes every character beyond ASCII.
_to_json = json.JSONEncoder(ensure_ascii=str is bytes, separators=(",", ":")).encode


class Violation(Exception):
    """The other side sent something that the protocol does not allow."""


class Link(object):
    """This process's end of the link to the engine. A forked child must not use it."""

    def __init__(self, connection):
        # Reads must block, whatever the engine's event loop or `socket.setdefaulttimeout` has set.
        connection.settimeout(None)
        self._connection = connection
        self._unread = b""
        # The start of the next frame in `_unread`. Cutting off each frame would copy the rest.
        self._next_at = 0
        # The bytes that have come of a frame that is too large for `_unread`, and its size.
        self._large = None
        self._large_size = 0
        self._files = deque()
        self.shares = _memory_files.AVAILABLE and hasattr(connection, "recvmsg")
        self._pid = os.getpid()
        # A forked child would otherwise keep the link open after the end of this process.
        at_fork = getattr(os, "register_at_fork", None)
        if at_fork is not None:
            at_fork(after_in_child=connection.close)

    @classmethod
    def inherit(cls, descriptor):
        """Returns the link of a descriptor that this process has inherited."""
        connection = socket.fromfd(descriptor, socket.AF_UNIX, socket.SOCK_STREAM)
        os.close(descriptor)
        _process.close_on_exec(connection.fileno())
        return cls(connection)

    def send(self, head, body=b""):
        """Sends a frame whose header is JSON already. Returns true unless the link is closed.

        A large body is sent in a memory file if that is possible.
        """
        if self.shares and len(body) >= _memory_files.FROM:
            descriptor = _memory_files.write(body)
            if descriptor is not None:
                try:
                    return self.write(frame(head[:-1] + b',"shared":%d}' % len(body)), descriptor)
                finally:
                    os.close(descriptor)
        if len(body) >= _READ_SIZE:
            return self._write_parts(_before_body(head, body), body)
        return self.write(frame(head, body.tobytes() if isinstance(body, memoryview) else body))

    def write(self, frames, descriptor=None):
        """Sends the bytes of frames. Returns true unless the link is closed.

        A `descriptor` is sent with the first frame.
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
            # Part of a frame may have been sent, so the engine could not read a further frame.
            self.close()
            raise
        return True

    def _write_parts(self, begin, body):
        """Sends a frame in two parts, so that its large body is not copied."""
        return self.write(begin) and self.write(body)

    def receive(self, wait=True):
        """Returns the next frame's header and body; `shared` in the header is a `Memory`.

        Returns `None` if the link is closed, or if no whole frame has come and `wait` is false.
        """
        while self._large is None:
            unread, at = self._unread, self._next_at
            available = len(unread) - at - 8
            if available >= 0:
                header_size, body_size = _PREFIX.unpack_from(unread, at)
                if not 2 <= header_size <= _HEADER_LIMIT or body_size > BODY_LIMIT:
                    raise Violation(
                        "a frame with a header of %d bytes and a body of %d bytes"
                        % (header_size, body_size)
                    )
                size = header_size + body_size
                if available >= size:
                    at += 8
                    self._next_at = end = at + size
                    return self._frame(unread, at, at + header_size, end)
                if size > _READ_SIZE:
                    self._large = bytearray(unread[at:])
                    self._large_size = size + 8
                    self._unread, self._next_at = b"", 0
                    break
            content = self._read(wait)
            if not content:
                return None
            self._unread = unread[at:] + content if available > -8 else content
            self._next_at = 0
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

    def wait(self):
        """Waits for further bytes, and leaves them to `receive`. Returns false at the end."""
        connection = self._connection
        try:
            return connection is not None and connection.recv(1, socket.MSG_PEEK) != b""
        except EnvironmentError as failure:
            return failure.errno == errno.EINTR

    def is_open(self):
        """Returns true if frames may still come."""
        return self._connection is not None

    def close(self):
        """Closes the link, unless it belongs to a parent process."""
        connection, self._connection = self._connection, None
        if connection is not None and self._pid == os.getpid():
            # Nobody waits any more for jobs that were not read.
            self._unread, self._next_at, self._large = b"", 0, None
            while self._files:
                os.close(self._files.popleft())
            try:
                # Other processes may hold the descriptor too; the engine must see the end anyway.
                connection.shutdown(socket.SHUT_RDWR)
            except EnvironmentError:
                # The engine has closed the link already.
                pass
            connection.close()

    def _read(self, wait):
        while self._connection is not None:
            try:
                if not self.shares:
                    return self._connection.recv(_READ_SIZE, 0 if wait else socket.MSG_DONTWAIT)
                return self._read_with_files(0 if wait else socket.MSG_DONTWAIT)
            except EnvironmentError as failure:
                if failure.errno in (errno.EAGAIN, errno.EWOULDBLOCK) and not wait:
                    return None
                if failure.errno != errno.EINTR:
                    # The link ends with a reset if the engine did not read all of our frames.
                    self.close()
        return b""

    def _read_with_files(self, flags):
        room = _memory_files.ROOM_FOR_ONE * _DESCRIPTORS
        flags |= _memory_files.CLOEXEC
        content, extra, _, _ = self._connection.recvmsg(_READ_SIZE, room, flags)
        for level, kind, data in extra:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                received = struct.unpack("%di" % (len(data) // 4), data)
                self._files.extend(map(_standard_streams.beyond, received))
        return content

    def _receive_large(self, wait):
        """Receives a large frame, which has no descriptor, into its own buffer.

        The buffer grows with what has come, because a broken link may have announced a gigabyte.
        """
        frame = self._large
        while len(frame) < self._large_size:
            if self._connection is None:
                return None
            try:
                flags = 0 if wait else socket.MSG_DONTWAIT
                most = min(self._large_size - len(frame), _LARGE_READ_SIZE)
                received = self._connection.recv(most, flags)
            except EnvironmentError as failure:
                if failure.errno in (errno.EAGAIN, errno.EWOULDBLOCK) and not wait:
                    return None
                if failure.errno == errno.EINTR:
                    continue
                received = b""
            except BaseException:
                # Bytes of this frame may be lost, so the start of the next frame is unknown.
                self.close()
                raise
            if not received:
                self.close()
                return None
            frame += received
        self._large = None
        header_size = _PREFIX.unpack_from(frame)[0]
        return self._frame(memoryview(frame), 8, 8 + header_size, len(frame))


def encode(header):
    """Returns a header as JSON."""
    return _to_json(header).encode("utf-8", "replace")


def frame(head, body=b""):
    """Returns a frame as bytes. Its header is JSON already."""
    return _before_body(head, body) + body


def _before_body(head, body):
    """Returns the bytes of a frame before its body."""
    if len(head) > _HEADER_LIMIT:
        raise ValueError("a message's header of %d bytes is too large" % len(head))
    return _PREFIX.pack(len(head), len(body)) + head
