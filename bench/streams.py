"""Load on a server by many streams at the same time, and the figures of one run.

    python3 bench/streams.py    measures this client alone, against a sender of ready bytes

One thread reads all sockets, with as little work for each chunk as Python allows: HTTP/1.1 is
parsed here, since asyncio or a library for HTTP would be slower than the servers. The figures have
the share of a core that the client used. Below 100 % it waited for the server.
"""

import argparse
import contextlib
import os
import selectors
import signal
import socket
import statistics
import time

import process
import works

# Seconds without anything from the server, after which the run fails.
SILENCE = 10
# Seconds that the streams in flight may take after the end of the run.
MORE_PATIENCE = 20
# The clients begin one after the other within this time, so that they do not act in step.
SPREAD = 0.020
READ = 1 << 18
MOST_HEAD = 1 << 16
LAST_CHUNK = b"0\r\n\r\n"


def measure(running, work, seconds):
    """Reads streams for some seconds, and returns the figures of that time."""
    before = running.processor_time()
    address = ("127.0.0.1", running.port)
    request = b"".join(running.wire(running.server.request(work)))
    load = Load(work, address, request)
    try:
        load.run(seconds)
    except OSError as failure:
        raise process.Failed(f"no connection to the server: {failure}") from failure
    return load.figures(running.processor_time() - before)


def warm_up(running, work, seconds):
    measure(running, work, seconds)


class Broken(Exception):
    """A response is not the stream that it should be."""


class Load:
    """Reads streams with the clients of a work; each client reads one after another."""

    def __init__(self, work, address, request):
        self.work = work
        # The chunks of complete streams, and the streams that were not complete.
        self.chunks = self.errors = 0
        # In nanoseconds: from each request to its first chunk, and from the sending of each chunk
        # in the model to its arrival here.
        self.first, self.delays = [], []
        self.clients = [Client(self, address, request) for _ in range(work.clients)]
        self.reason = None

    def run(self, seconds):
        processor, begin = time.process_time(), time.monotonic()
        with contextlib.ExitStack() as stack:
            for client in self.clients:
                stack.enter_context(contextlib.closing(client))
            with selectors.DefaultSelector() as selector:
                self._read(selector, begin, seconds)
        self.seconds = time.monotonic() - begin
        self.client_cpu = (time.process_time() - processor) / self.seconds

    def _read(self, selector, begin, seconds):
        to_start = list(reversed(self.clients))
        pause = SPREAD / len(to_start)
        heard = begin
        while to_start or selector.get_map():
            now = time.monotonic()
            while to_start and now >= begin + pause * (len(self.clients) - len(to_start)):
                to_start.pop().start(selector)
            ready = selector.select(pause if to_start else SILENCE)
            now = time.monotonic()
            if ready:
                heard = now
            elif now > heard + SILENCE:
                raise process.Failed(f"{len(selector.get_map())} streams stand still")
            if now > begin + seconds + MORE_PATIENCE:
                raise process.Failed("the streams did not come to their end")
            for key, _ in ready:
                self._serve(selector, key.data, now < begin + seconds)

    def _serve(self, selector, client, goes_on):
        try:
            if not client.receive():
                return
        except (Broken, OSError, ValueError) as failure:
            self.errors += 1
            self.reason = self.reason or str(failure)
            client.stop(selector)
            if goes_on:
                client.start(selector)
            return
        if goes_on:
            client.send()
        else:
            client.stop(selector)

    def figures(self, used):
        """Returns the figures, from the CPU seconds that the server has used."""
        if not self.chunks:
            raise process.Failed(f"no stream succeeded: {self.reason}")
        times = {"": self.delays, "first_": self.first}
        return {
            "chunks_per_second": self.chunks / self.seconds,
            **{
                f"{name}{cut}_ms": value / 1e6
                for name, values in times.items()
                if values
                for cut, value in percentiles(values).items()
            },
            "cpu_per_1000": used / self.chunks * 1000,
            "client_cpu": self.client_cpu * 100,
            "errors": self.errors,
        }


def percentiles(values):
    cuts = statistics.quantiles(values, n=100) if len(values) > 1 else values * 99
    return {"p50": cuts[49], "p99": cuts[98]}


class Client:
    """One connection, which is kept for the next stream."""

    __slots__ = ("_address", "_count", "_is_in_body", "_line", "_load", "_request", "_rest")
    __slots__ += ("_sent", "socket")

    def __init__(self, load, address, request):
        self._load = load
        self._address = address
        self._request = request
        self.socket = None

    def start(self, selector):
        self.close()
        self.socket = socket.create_connection(self._address, SILENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(self.socket, selectors.EVENT_READ, self)
        self.send()

    def send(self):
        # What has arrived and is not parsed yet: of HTTP, and of a chunk with a time.
        self._rest = self._line = b""
        self._is_in_body = False
        self._count = 0
        self._sent = time.monotonic_ns()
        self.socket.sendall(self._request)

    def stop(self, selector):
        selector.unregister(self.socket)
        self.close()

    def close(self):
        if self.socket is not None:
            self.socket.close()

    def receive(self):
        """Reads what has arrived. Returns true at the end of a stream."""
        data = self.socket.recv(READ)
        now = time.monotonic_ns()
        if not data:
            raise Broken("the connection was closed before the end of the stream")
        self._rest += data
        if not self._is_in_body and not self._take_head():
            return False
        found, is_over = self._take_chunks()
        if found:
            self._note(b"".join(found), now)
        if is_over:
            if self._count != self._load.work.chunks:
                raise Broken(f"{self._count} chunks, instead of {self._load.work.chunks}")
            self._load.chunks += self._count
        return is_over

    def _take_head(self):
        head, end, rest = self._rest.partition(b"\r\n\r\n")
        if not end:
            if len(head) > MOST_HEAD:
                raise Broken("the head of the response is too long")
            return False
        status = head.split(maxsplit=2)[1]
        if status != b"200":
            raise Broken(f"status {status.decode(errors='replace')}")
        if b"transfer-encoding: chunked" not in head.lower():
            raise Broken("a response without chunks")
        self._rest = rest
        self._is_in_body = True
        return True

    def _take_chunks(self):
        """Returns the data of the chunks of HTTP that are complete, and true after the last."""
        data, begin, found = self._rest, 0, []
        is_over = False
        while (line := data.find(b"\r\n", begin)) >= 0:
            end = line + 2 + int(data[begin:line], 16)
            if len(data) < end + 2:
                break
            if end == line + 2:
                is_over = True
                if len(data) > end + 2:
                    raise Broken("data after the last chunk")
            found.append(data[line + 2 : end])
            begin = end + 2
        self._rest = data[begin:]
        return found, is_over

    def _note(self, data, now):
        """Counts the chunks of the model in what has arrived: each ends with a newline."""
        load = self._load
        newline = load.work.newline
        # The last bytes may be the first half of a newline.
        data = self._line + data
        *lines, self._line = data.split(newline)
        count = len(lines)
        if not self._count and count:
            load.first.append(now - self._sent)
        self._count += count
        if load.work.is_timed:
            # Before the time there may be the JSON of an event.
            load.delays += [now - int(line.rpartition(b'"')[2]) for line in lines]


# --- the client alone ---


def measure_alone(work, seconds):
    """Returns the figures of the client against a process that only sends what is ready."""
    body = b"8\r\na token\n\r\n" * work.chunks + LAST_CHUNK
    response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    with socket.create_server(("127.0.0.1", 0), backlog=work.clients) as listener:
        child = os.fork()
        if child == 0:
            try:
                answer(listener, response)
            finally:
                os._exit(1)
        try:
            load = Load(work, listener.getsockname(), b"POST / HTTP/1.1\r\n\r\n")
            load.run(seconds)
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    return load.figures(0)


def answer(listener, response):
    """Sends the response when something arrives on a connection, until the process is killed."""
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is listener:
                    selector.register(listener.accept()[0], selectors.EVENT_READ)
                elif key.fileobj.recv(READ):
                    key.fileobj.sendall(response)
                else:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()


def main():
    parser = argparse.ArgumentParser(description="Measures the client of streams alone.")
    parser.add_argument("--seconds", type=float, default=3, metavar="S")
    options = parser.parse_args()
    work = next(work for work in works.WORKS if work.chunks and not work.is_timed)
    figures = measure_alone(work, options.seconds)
    print(
        f"the client reads {figures['chunks_per_second']:,.0f} chunks/s that are ready, each of "
        f"them a chunk of HTTP, with {figures['client_cpu']:.0f} % of a core"
    )


if __name__ == "__main__":
    main()
