"""Memory files that are shared with the engine: for large bodies, and for the board.

The files have no names. Their descriptors are passed over the link.

They need Linux and Python 3.8 or newer. Elsewhere all data goes through the socket.
"""

import os
import socket
import stat
import struct
import time

from . import _standard_streams

# In bytes: for smaller bodies, making a file costs more than copying.
FROM = 256 * 1024

# Functions that Python 2.7 lacks are used only if this is true. `# novm` hides a line from vermin,
# the tool that checks which Python versions the code needs.
AVAILABLE = hasattr(os, "memfd_create") and hasattr(socket, "MSG_CMSG_CLOEXEC")
CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
# The bytes that one descriptor takes in the ancillary data of a message; see cmsg(3).
ROOM_FOR_ONE = socket.CMSG_SPACE(4) if AVAILABLE else 0  # novm

# F_ADD_SEALS with F_SEAL_SEAL, _SHRINK, _GROW and _WRITE; not every `fcntl` module names them.
_ADD_SEALS = 1033
_SEALS = 1 | 2 | 4 | 8

_NUMBER = struct.Struct("<Q")
_NUMBERS = struct.Struct("<QQ")
_UNREAD = struct.Struct("=ii")
_NOTHING_UNREAD = b"\0" * _UNREAD.size
# The places of a board's numbers. The number of the job is at the beginning. Then come pairs of
# numbers, for standard output and standard error: the bytes printed when the job began, the bytes
# that the engine has read, and the inodes of the pipes.
_PRINTED = slice(8, 24)
_READ = slice(24, 40)
_PIPES = slice(40, 56)
# The engine sets this bit while it reads. The number then includes the bytes of this read.
_READING = 1 << 63
# Means that the number of printed bytes is unknown; no program prints this many.
_UNKNOWN = _READING - 1
# The number of tries to read the numbers while the engine changes them. It takes a microsecond for
# that, unless it has to wait for a processor: after the first tries, each one waits a millisecond.
_TRIES = 100
_QUICK_TRIES = 20
_TRY_DELAY = 0.001


class Memory(object):
    """The memory file of a job, which holds its large inputs until the job has its result."""

    def __init__(self, descriptor):
        self._descriptor = descriptor

    def read(self, start, size):
        """Returns `size` bytes from `start` on."""
        blocks = []
        while size:
            block = os.pread(self._descriptor, size, start)  # novm
            if not block:
                raise ValueError("a memory file is shorter than its message says")
            blocks.append(block)
            start += len(block)
            size -= len(block)
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    def close(self):
        """Closes the descriptor."""
        os.close(self._descriptor)


class Board(object):
    """A memory file that outlives this process, and names the job that the model got last.

    It also has the number of bytes that were printed by then. That is the sum of the bytes that the
    engine has read, whose number the engine writes on the board, and of the bytes in the pipes. The
    engine reads the board through its own descriptor.
    """

    def __init__(self, descriptor):
        import fcntl
        import mmap
        import termios

        self.descriptor = descriptor
        os.ftruncate(descriptor, _PIPES.stop)
        self._memory = memory = mmap.mmap(descriptor, _PIPES.stop)
        self._ioctl, self._fionread = fcntl.ioctl, termios.FIONREAD
        self._unread = unread = bytearray(_UNREAD.size)
        pipes = [_pipe(stream) for stream in (1, 2)]
        counts = (memoryview(unread)[:4], memoryview(unread)[4:])
        self._pipes = [(pipe[0], count) for pipe, count in zip(pipes, counts) if pipe is not None]
        memory[_PIPES] = _NUMBERS.pack(*[0 if pipe is None else pipe[1] for pipe in pipes])
        memory[_PRINTED] = memory[_READ] = self._recorded = _NUMBERS.pack(_UNKNOWN, _UNKNOWN)

    def record(self, number):
        """Records that the model is about to get this job."""
        # The job's number is written last: a process that ends before has not begun the job.
        self._record_printed()
        _NUMBER.pack_into(self._memory, 0, number)

    def printed(self):
        """Returns the recorded numbers of printed bytes, of standard output and standard error."""
        return _NUMBERS.unpack(self._memory[_PRINTED])

    def _record_printed(self):
        for pipe, unread in self._pipes:
            self._ioctl(pipe, self._fionread, unread)
        read = self._memory[_READ]
        if self._unread != _NOTHING_UNREAD:
            read = self._with_unread()
        if read != self._recorded:
            self._recorded = read
            out, err = _NUMBERS.unpack(read)
            self._memory[_PRINTED] = _NUMBERS.pack(out & ~_READING, err & ~_READING)

    def _with_unread(self):
        """Returns the numbers of printed bytes: those that the engine has read, and the others.

        The engine may read in the meantime. If it does so during every try, a number may be too
        large.
        """
        for number in range(_TRIES):
            if number >= _QUICK_TRIES:
                time.sleep(_TRY_DELAY)
            before = self._memory[_READ]
            for pipe, unread in self._pipes:
                self._ioctl(pipe, self._fionread, unread)
            read = self._memory[_READ]
            numbers = _NUMBERS.unpack(read)
            if read == before and max(numbers) < _READING:
                break
        unread = _UNREAD.unpack(self._unread)
        return _NUMBERS.pack(*[(n & ~_READING) + more for n, more in zip(numbers, unread)])


def _pipe(stream):
    """Returns a copy of an output stream's descriptor, and its inode; `None` if it is no pipe.

    The descriptor is a copy, because a model may replace the stream.
    """
    try:
        status = os.fstat(stream)
        return (os.dup(stream), status.st_ino) if stat.S_ISFIFO(status.st_mode) else None
    except OSError:
        return None


def board():
    """Returns a new `Board`, or `None` if the system cannot make one."""
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
    """Returns the descriptor of a sealed memory file with `body`, or `None` if that fails."""
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
        # For example, the memory is full. The caller then sends the body through the socket, which
        # needs less memory at a time.
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
