"""Sends requests as bytes on a socket, as no well-behaved client does."""

import contextlib
import re
import socket
import time


def connection_to(server, timeout=20):
    host, port = re.match(r"https?://\[?([^/\]]+)\]?:(\d+)", server.url).groups()
    return socket.create_connection((host, int(port)), timeout)


@contextlib.contextmanager
def connected(server, timeout=20):
    with connection_to(server, timeout) as connection:
        yield connection


def exchange(server, request, timeout=20):
    """Sends the bytes, and returns all that the server sends until it closes or is silent."""
    with connected(server, timeout) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(request)
        return read_all(connection)


def read_all(connection, quiet=0.5):
    connection.settimeout(quiet)
    received = b""
    with contextlib.suppress(socket.timeout, ConnectionResetError):
        while True:
            piece = connection.recv(65536)
            if not piece:
                break
            received += piece
    return received


def statuses(answer):
    """Returns the statuses of the responses in order."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


def seconds_until_closed(connection, timeout=30):
    """Returns the time that the other side takes to close the connection.
    It may send something before."""
    begin = time.monotonic()
    connection.settimeout(timeout)
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(65536):
            pass
    return time.monotonic() - begin
