"""Opens connections to servers, and keeps them for further requests.

`http.client` connects and reads responses. Each wait ends when the call's time is over, also if a
server sends a byte now and then.
"""

import http.client
import io
import os
import socket
import ssl
import threading
import time

from . import address as addresses

_BUFFER = 1 << 16
# The maximum number of idle connections to one server.
_MOST_IDLE = 64
# In bytes: segments of a request up to this size are sent together.
_SMALL = 1 << 14


class Connection:
    """An open connection, and the call that uses it."""

    def __init__(self, address, connected, proxy):
        self.address = address
        self.proxy = proxy
        self.call = None
        # `is_sent` is true if the last request was sent to its end, at the time `sent_at`.
        # `received` is the number of bytes of its response.
        self.is_sent = False
        self.sent_at = 0
        self.received = 0
        self._socket = connected
        self._incoming = None

    def begin(self, call):
        """Lends the connection to a call."""
        self.call, self.is_sent, self.received = call, False, 0
        call.use(self._socket)

    def send(self, segments):
        """Sends a request; small segments are joined, and large segments are not copied."""
        small = []
        for segment in segments:
            if len(segment) <= _SMALL:
                small.append(bytes(segment))
                if sum(map(len, small)) <= _SMALL:
                    continue
                segment = b""
            self._send(b"".join(small))
            small = []
            self._send(segment)
        self._send(b"".join(small))
        self.is_sent, self.sent_at = True, time.monotonic()

    def _send(self, data):
        if data:
            self._socket.settimeout(self.call.left())
            self._socket.sendall(data)

    def response(self, method):
        """Reads the status and the headers of the response."""
        self._incoming = io.BufferedReader(_Incoming(self), _BUFFER)
        while True:
            response = http.client.HTTPResponse(self, method=method)
            response.begin()
            if response.status >= 200:
                return response
            # The final response follows in the same file.
            response.fp = None

    def makefile(self, mode):
        """Returns the incoming bytes as a file; `http.client` calls this method."""
        return self._incoming

    def receive_into(self, buffer):
        self._socket.settimeout(self.call.left())
        count = self._socket.recv_into(buffer)
        self.received += count
        return count

    def is_alive(self):
        """Returns true if an idle connection is still open and has nothing to read."""
        try:
            self._socket.settimeout(0)
            socket.socket.recv(self._socket, 1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    def close(self):
        self._socket.close()


class _Incoming(io.RawIOBase):
    """The bytes that a server sends, as a raw stream."""

    def __init__(self, connection):
        self._connection = connection

    def readable(self):
        return True

    def readinto(self, buffer):
        return self._connection.receive_into(buffer)


class Pool:
    """The idle connections of a client; threads share it."""

    def __init__(self, connect_timeout, context):
        self._connect_timeout = connect_timeout
        self._context = context
        self._lock = threading.Lock()
        self._idle = {}
        self._process = os.getpid()
        self._is_closed = False

    def idle(self, address):
        """Returns an idle connection to a server, or `None`."""
        while True:
            with self._lock:
                self._check_process()
                connections = self._idle.get(address.origin)
                if not connections:
                    return None
                # The connection that was used last is the most likely to be open.
                connection = connections.pop()
            if connection.is_alive():
                return connection
            connection.close()

    def connect(self, address, call):
        """Opens a connection; raises `OSError` if that fails."""
        if self._is_closed:
            raise RuntimeError("the client is closed")
        proxy = addresses.proxy_for(address)
        host, port = proxy[:2] if proxy else (address.host, address.port)
        timeout = min(call.left(), self._connect_timeout)
        if address.scheme == "https":
            opened = http.client.HTTPSConnection(host, port, timeout=timeout, context=self._tls())
            if proxy:
                secret = {"Proxy-Authorization": proxy.authorization}
                opened.set_tunnel(address.host, address.port, secret if proxy.authorization else {})
                proxy = None
        else:
            opened = http.client.HTTPConnection(host, port, timeout=timeout)
        try:
            opened.connect()
        except BaseException:
            opened.close()
            raise
        return Connection(address, opened.sock, proxy)

    def keep(self, connection):
        """Takes back a connection after its response has been read."""
        connection.call = None
        with self._lock:
            self._check_process()
            connections = self._idle.setdefault(connection.address.origin, [])
            if not self._is_closed and len(connections) < _MOST_IDLE:
                connections.append(connection)
                return
        connection.close()

    def __del__(self):
        self.close()

    def close(self):
        with self._lock:
            self._is_closed = True
            connections = [each for idle in self._idle.values() for each in idle]
            self._idle = {}
        for connection in connections:
            connection.close()

    def _tls(self):
        with self._lock:
            if self._context is None:
                # The default context reads SSL_CERT_FILE and SSL_CERT_DIR.
                self._context = ssl.create_default_context()
                self._context.set_alpn_protocols(["http/1.1"])
            return self._context

    def _check_process(self):
        """Drops the connections of the process that this one was forked from."""
        if self._process != os.getpid():
            self._process, self._idle = os.getpid(), {}
