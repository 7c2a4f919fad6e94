"""Memory that is shared with the engine: large bodies, and a note of what was started.

It lies in files without a name, which travel as descriptors over the link.

Linux and Python 3.8 or newer have all that it takes; elsewhere everything goes through the socket.
"""

import os
import socket
import stat
import struct

from . import _standard_streams

# Bodies from this size on. For smaller ones making a file costs more than copying.
FROM = 256 * 1024

# What only newer Pythons have is marked as such for vermin, and used only where this is true.
AVAILABLE = hasattr(os, "memfd_create") and hasattr(socket, "MSG_CMSG_CLOEXEC")
CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
# What one descriptor takes in the ancillary data of a message; see cmsg(3).
ROOM_FOR_ONE = socket.CMSG_SPACE(4) if AVAILABLE else 0  # novm

# F_ADD_SEALS with F_SEAL_SEAL, _SHRINK, _GROW and _WRITE; not every `fcntl` module names them.
_ADD_SEALS = 1033
_SEALS = 1 | 2 | 4 | 8

_NUMBER = struct.Struct("<Q")
_NUMBERS = struct.Struct("<QQ")
_UNREAD = struct.Struct("=ii")
_NOTHING_UNREAD = b"\0" * _UNREAD.size
# The places of a board's numbers, all but the first for standard output and for standard error: the
# job, what was printed when it began, what the engine has read of that, and the pipes' inodes.
_PRINTED = slice(8, 24)
_READ = slice(24, 40)
_PIPES = slice(40, 56)
# Marks a number of bytes that the engine is just reading up to.
_READING = 1 << 63
# More than will ever be printed: it is not known how much was.
_UNKNOWN = _READING - 1
# How often numbers are looked at again while they change.
_TRIES = 100


class Memory(object):
    """The memory file of a job, in which large inputs lie until the job has its result."""

    def __init__(self, descriptor):
        self._descriptor = descriptor

    def read(self, start, size):
        """The bytes from `start` on."""
        pieces = []
        while size:
            piece = os.pread(self._descriptor, size, start)  # novm
            if not piece:
                raise ValueError("a memory file that is shorter than it should be")
            pieces.append(piece)
            start += len(piece)
            size -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self):
        """Let it go."""
        os.close(self._descriptor)


class Board(object):
    """A memory file that outlives this process: it names the job that the model got last.

    It also counts the bytes that had been printed by then: those that the engine has read, which
    the engine writes here, and those still in the pipes. The engine reads it by its descriptor.
    """

    def __init__(self, descriptor):
        import fcntl
        import mmap
        import termios

        self.descriptor = descriptor
        os.ftruncate(descriptor, _PIPES.stop)
        self._memory = memory = mmap.mmap(descriptor, _PIPES.stop)
        self._ioctl, self._request = fcntl.ioctl, termios.FIONREAD
        self._unread = unread = bytearray(_UNREAD.size)
        pipes = [_pipe(stream) for stream in (1, 2)]
        places = (memoryview(unread)[:4], memoryview(unread)[4:])
        self._pipes = [(pipe[0], place) for pipe, place in zip(pipes, places) if pipe is not None]
        memory[_PIPES] = _NUMBERS.pack(*[0 if pipe is None else pipe[1] for pipe in pipes])
        memory[_PRINTED] = memory[_READ] = self._noted = _NUMBERS.pack(_UNKNOWN, _UNKNOWN)

    def record(self, number):
        """The model is about to get this job."""
        # In this order: a process that ends in between has not begun the job.
        self._note_printed()
        _NUMBER.pack_into(self._memory, 0, number)

    def printed(self):
        """The bytes printed so far, on standard output and on standard error."""
        return _NUMBERS.unpack(self._memory[_PRINTED])

    def _note_printed(self):
        for pipe, unread in self._pipes:
            self._ioctl(pipe, self._request, unread)
        read = self._memory[_READ]
        if self._unread != _NOTHING_UNREAD:
            read = self._with_unread()
        if read != self._noted:
            self._noted = read
            out, err = _NUMBERS.unpack(read)
            self._memory[_PRINTED] = _NUMBERS.pack(out & ~_READING, err & ~_READING)

    def _with_unread(self):
        """Returns the parts that were read and were not, while the engine goes on reading."""
        for _ in range(_TRIES):
            before = self._memory[_READ]
            for pipe, unread in self._pipes:
                self._ioctl(pipe, self._request, unread)
            read = self._memory[_READ]
            numbers = _NUMBERS.unpack(read)
            if read == before and max(numbers) < _READING:
                break
        # After the last try it is rather too much than too little.
        unread = _UNREAD.unpack(self._unread)
        return _NUMBERS.pack(*[(n & ~_READING) + more for n, more in zip(numbers, unread)])


def _pipe(stream):
    """A copy of the descriptor and the inode of an output stream; `None` where it is no pipe.

    A copy, since a model may put something else in the stream's place.
    """
    try:
        status = os.fstat(stream)
        return (os.dup(stream), status.st_ino) if stat.S_ISFIFO(status.st_mode) else None
    except OSError:
        return None


def board():
    """A `Board`; `None` where none can be had."""
    descriptor = _file()
    if descriptor is None:
        return None
    try:
        return Board(descriptor)
    except (ImportError, OSError):
        os.close(descriptor)
        return None


def _file():
    try:
        file = os.memfd_create("ai_integration", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)  # novm
        return _standard_streams.beyond(file)
    except OSError:
        return None


def write(body):
    """A sealed memory file of `body`; `None` where none can be had."""
    import fcntl

    descriptor = _file()
    if descriptor is None:
        return None
    try:
        rest = memoryview(body)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        fcntl.fcntl(descriptor, _ADD_SEALS, _SEALS)
    except OSError:
        # There is no memory for it, say. The socket needs less at a time.
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
