"""Measures what metrics and logs cost: the server as it is against one that was built without them.

    make bench-observed

Both echo a short text for sixteen clients, in turn and each a number of times; the one with metrics
is asked for them every second meanwhile, and writes its log to a file. Ends with status 1 when it
loses more of its requests per second than it may.
"""

import argparse
import contextlib
import dataclasses
import os
import statistics
import subprocess
import sys
import threading
import urllib.request

import environments
import load
import process
import servers
import works

# What metrics and logs may cost, as a part of the requests per second.
MOST = 0.03
SERVER = servers.SERVERS[0]
WORK = next(work for work in works.WORKS if work.name == "text-16")
TARGET = environments.CACHE / "target" / "unobserved"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=12, metavar="N")
    parser.add_argument("--seconds", type=float, default=3, metavar="S", help="length of one run")
    options = parser.parse_args()
    process.adopt_orphans()
    environments.prepare_oha()
    folder = environments.prepare(SERVER)
    without = build_without()
    lost = []
    for pair in range(options.pairs):
        order = [True, False] if pair % 2 else [False, True]
        rates = {observed: run(folder, without, observed, options.seconds) for observed in order}
        lost.append(1 - rates[True] / rates[False])
        print(f"with {rates[True]:7.0f}/s, without {rates[False]:7.0f}/s: {lost[-1]:+.1%}")
    cost = statistics.median(lost)
    error = statistics.stdev(lost) / len(lost) ** 0.5
    print(
        f"metrics and logs cost {cost:.1%} of the requests per second (standard error {error:.1%})"
    )
    sys.exit(cost > MOST)


def build_without():
    """The engine's program without metrics."""
    print("building the engine without metrics …", flush=True)
    subprocess.run(
        [
            *("cargo", "build", "--release", "--locked", "--quiet", "-p", "ai-integration-cli"),
            *("--manifest-path", environments.ROOT / "Cargo.toml", "--target-dir", TARGET),
        ],
        env={**os.environ, "RUSTFLAGS": "--cfg unobserved"},
        timeout=environments.PATIENCE,
        check=True,
    )
    return TARGET / "release" / "ai-integration"


def run(folder, without, observed, seconds):
    """Requests per second of one start."""
    more = (
        {} if observed else {"AI_INTEGRATION_BINARY": str(without), "AI_INTEGRATION_LOG": "error"}
    )
    server = dataclasses.replace(
        SERVER, variables=lambda start: {**SERVER.variables(start), **more}
    )
    with process.serve(server, WORK, folder) as running:
        load.warm_up(running, WORK, 1)
        with scraped(running) if observed else contextlib.nullcontext():
            return load.measure(running, WORK, seconds)["requests_per_second"]


@contextlib.contextmanager
def scraped(running):
    """Asks for the metrics every second, as Prometheus does every fifteen."""
    over = threading.Event()
    address = f"http://127.0.0.1:{running.port}/metrics"

    def scrape():
        while not over.wait(1):
            with urllib.request.urlopen(address, timeout=5) as answer:
                answer.read()

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


if __name__ == "__main__":
    main()
