"""Memory that is shared with the engine: large bodies, and a note of what was started.

It lies in files without a name, which travel as descriptors over the link.

Linux and Python 3.8 or newer have all that it takes; elsewhere everything goes through the socket.
"""

import os
import socket
import struct

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
    """A number that outlives this process: the job that was handed to the model last.

    Whoever has the descriptor can read it. Recording a start costs no system call, unlike telling.
    """

    def __init__(self, descriptor):
        import mmap

        self.descriptor = descriptor
        os.ftruncate(descriptor, _NUMBER.size)
        self._memory = mmap.mmap(descriptor, _NUMBER.size)

    def record(self, number):
        """The model is about to get this job."""
        _NUMBER.pack_into(self._memory, 0, number)


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
        return os.memfd_create("ai_integration", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)  # novm
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
