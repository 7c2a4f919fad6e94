"""Measures what metrics and logs cost: the server as it is against one that was built without them.

    make bench-observed

Both run all the time and echo a short text for sixteen clients, in turn, for half a second each and
many times, so that a machine that is slower for a while is slower for both. The one with metrics is
asked for them meanwhile, and writes its log to a file. Ends with status 1 when it loses more of its
requests per second than it may.
"""

import argparse
import contextlib
import dataclasses
import sys
import threading
import urllib.request

import environments
import pairs
import process
import servers
import works

# The share of the requests per second that metrics and logs may cost.
MOST = 0.03
SERVER = servers.SERVERS[0]
WORK = next(work for work in works.WORKS if work.name == "text-16")
TARGET = environments.CACHE / "target" / "unobserved"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=80, metavar="N")
    parser.add_argument("--seconds", type=float, default=0.5, metavar="S", help="of one turn")
    options = parser.parse_args()
    process.adopt_orphans()
    environments.prepare_oha()
    folder = environments.prepare(SERVER)
    without = {"AI_INTEGRATION_BINARY": str(build_without()), "AI_INTEGRATION_LOG": "error"}
    with serve(folder, {}) as observed, serve(folder, without) as unobserved, scraped(observed):
        figures = pairs.measure(observed, unobserved, WORK, options.pairs, options.seconds)
    lost = sorted(1 - ratio for ratio in pairs.ratios(figures, "requests_per_second"))
    print(
        "lost, in tenths of the pairs:", " ".join(f"{one:+.0%}" for one in lost[:: len(lost) // 10])
    )
    cost, error = pairs.median(lost)
    print(f"metrics and logs cost {cost:.1%} of the requests/s (standard error {error:.1%})")
    sys.exit(cost > MOST)


def build_without():
    """Builds the engine without metrics, and returns its path."""
    print("building the engine without metrics …", flush=True)
    return environments.build_engine(environments.ROOT, TARGET, RUSTFLAGS="--cfg unobserved")


def serve(folder, more):
    """Starts the server with more environment variables."""
    server = dataclasses.replace(
        SERVER, variables=lambda start: {**SERVER.variables(start), **more}
    )
    return process.serve(server, WORK, folder)


@contextlib.contextmanager
def scraped(running):
    """Asks for the metrics every second, as Prometheus does every fifteen."""
    over = threading.Event()
    address = f"http://127.0.0.1:{running.port}/metrics"

    def scrape():
        while not over.wait(1):
            with urllib.request.urlopen(address, timeout=5) as response:
                response.read()

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


if __name__ == "__main__":
    main()
