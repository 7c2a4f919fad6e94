"""Takes from Python what it has on Linux only: /proc, and functions that macOS lacks."""

import builtins
import errno
import os
import socket
import time

LACKING = [
    (os, ["memfd_create", "pidfd_open", "eventfd", "sched_getaffinity"]),
    (socket, ["MSG_CMSG_CLOEXEC", "SO_PEERCRED"]),
    (time, ["CLOCK_BOOTTIME"]),
]


def without_proc(function):
    def refuse_proc(path, *arguments, **more):
        if isinstance(path, (str, bytes)) and os.fsencode(path).startswith(b"/proc"):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return function(path, *arguments, **more)

    return refuse_proc


for module, names in LACKING:
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
for module, name in [(builtins, "open"), *[(os, name) for name in ("open", "readlink", "stat")]]:
    setattr(module, name, without_proc(getattr(module, name)))
