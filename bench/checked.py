"""Puts a server under load, and checks every response against its own request."""

import contextlib
import dataclasses
import http.client
import select
import socket
import threading
import time
from typing import NamedTuple

# The timeout of a request, in seconds.
PATIENCE = 20
# Seconds between two requests of a connection, and after a failed one. The load is the same for all
# servers, so that their failures can be compared.
PAUSE = 0.005
PAUSE_AFTER_FAILURE = 0.1

RIGHT, FAILED, BROKEN, SILENT, WRONG = "right", "failed", "broken", "silent", "wrong"
KINDS = (RIGHT, FAILED, BROKEN, SILENT, WRONG)


class Outcome(NamedTuple):
    """The end of a request.

    `right` is the expected response, `failed` an error response with a body. `broken` is an error
    response without a body, or a connection that was refused, reset or closed. `silent` is a
    timeout. `wrong` is everything else.
    """

    kind: str
    detail: str = ""

    def __str__(self):
        return self.detail or self.kind


class Asker:
    """A client that keeps its connection open until the server closes it."""

    def __init__(self, running, patience=PATIENCE):
        self.running = running
        self.patience = patience
        self.connection = None

    def ask(self, work):
        try:
            status, body = self._exchange(self.running.server.request(work))
        except TimeoutError:
            self.close()
            return Outcome(SILENT, f"no response for {self.patience:g} s")
        except (OSError, http.client.RemoteDisconnected, http.client.IncompleteRead) as failure:
            self.close()
            return Outcome(BROKEN, type(failure).__name__)
        except http.client.HTTPException as failure:
            self.close()
            return Outcome(WRONG, f"no HTTP: {str(failure)[:60]!r}")
        if status >= 400:
            return Outcome(FAILED, str(status)) if body else Outcome(BROKEN, f"bare {status}")
        with contextlib.suppress(ValueError, LookupError, TypeError):
            if self.running.server.answer(body) == work.right_answer:
                return Outcome(RIGHT)
        return Outcome(WRONG, f"{status} {body[:60]!r}")

    def close(self):
        if self.connection:
            self.connection.close()
            self.connection = None

    def _exchange(self, request):
        if self.connection and self._has_ended():
            self.close()
        if not self.connection:
            self.connection = http.client.HTTPConnection(
                "127.0.0.1", self.running.port, timeout=self.patience
            )
            self.connection.connect()
            self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection.request("POST", request.path, request.body, {"Content-Type": request.type})
        response = self.connection.getresponse()
        return response.status, response.read()

    def _has_ended(self):
        """Returns true if the server has closed the connection between two requests (no fault)."""
        open_socket = self.connection.sock
        if open_socket is None:
            return True
        if not select.select([open_socket], [], [], 0)[0]:
            return False
        try:
            return not open_socket.recv(1, socket.MSG_PEEK)
        except OSError:
            return True


def ask(running, work, patience=PATIENCE):
    """Sends one request over a connection of its own."""
    with contextlib.closing(Asker(running, patience)) as asker:
        return asker.ask(work)


class Load:
    """Clients that each send distinct texts one after the other, until `end`."""

    def __init__(self, running, clients):
        self.running = running
        self.outcomes = []
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(number,), daemon=True)
            for number in range(clients)
        ]
        for thread in self._threads:
            thread.start()

    def tell_to_end(self):
        self._over.set()

    def end(self):
        """Stops the load, and waits for the requests in flight."""
        self.tell_to_end()
        for thread in self._threads:
            thread.join(PATIENCE + 5)

    def _run(self, client):
        number = 0
        with contextlib.closing(Asker(self.running)) as asker:
            while not self._over.is_set():
                number += 1
                work = dataclasses.replace(self.running.work, text=payload(client, number))
                outcome = asker.ask(work)
                self.outcomes.append(outcome)
                time.sleep(PAUSE if outcome.kind == RIGHT else PAUSE_AFTER_FAILURE)


def payload(client, number):
    """Returns a distinct text: some are short, some long, some have quotes or are not ASCII."""
    filler = ("x", "grüße ", "語", '"\\')[number % 4]
    return f"{client}-{number} {filler * (number * 7919 % 40)}"
