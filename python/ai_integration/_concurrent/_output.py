"""Passes printed text on to the client of the request that printed it.

The engine cannot tell which of several requests has printed a line. So streams take the place of
`sys.stdout` and `sys.stderr`: they write as before, and also send the lines of a request that a
client follows. Text of native code, and of handlers that `logging` made earlier, bypasses them.
"""

import os
import sys

from . import _block

_NAMES = ("stdout", "stderr")


def install():
    """Puts the streams in place."""
    for name in _NAMES:
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, _Stream):
            setattr(sys, name, _Stream(stream, name))


def uninstall():
    """Puts the former streams back, unless the program has put others there."""
    for name in _NAMES:
        stream = getattr(sys, name)
        if isinstance(stream, _Stream):
            setattr(sys, name, stream.stream)


class _Stream:
    """A stream that writes to another one, and sends lines to clients."""

    def __init__(self, stream, name):
        self.stream = stream
        self._name = name
        self._pid = os.getpid()

    def write(self, text):
        """Writes text, as the other stream does."""
        written = self.stream.write(text)
        block = _block.current.get()
        if block is not None and block.lines is not None and self._pid == os.getpid():
            block.lines.add(self._name, text)
        return written

    def writelines(self, lines):
        """Writes several texts."""
        for line in lines:
            self.write(line)

    def __iter__(self):
        return iter(self.stream)

    def __getattr__(self, name):
        return getattr(self.stream, name)
