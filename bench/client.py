"""Measures the Python client: pictures of 1 MB by four threads of it, against oha with four
connections.

    make bench-client

Both ask the same server, in turn, for a second each and many times: a machine that is slower
for a while is slower for both. Ends with status 1 when the client makes less than half of oha's
requests per second.
"""

import argparse
import dataclasses
import subprocess
import sys
import tempfile

import environments
import load
import pairs
import process
import servers
import works

# The least share of oha's requests per second that the client must reach.
LEAST = 0.5
THREADS = 4
SERVER = servers.SERVERS[0]
IMAGES = next(work for work in works.WORKS if work.name == "image-16")
WORK = dataclasses.replace(IMAGES, name="image-4", clients=THREADS)
# Seconds that the client's process may take longer than its turn.
PATIENCE = 20


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=20, metavar="N")
    parser.add_argument("--seconds", type=float, default=1, metavar="S", help="of one turn")
    options = parser.parse_args()
    process.adopt_orphans()
    environments.prepare_oha()
    folder = environments.prepare(SERVER)
    with process.serve(SERVER, WORK, folder) as running:
        load.warm_up(running, WORK, options.seconds)
        found = [turns(running, folder, options.seconds) for _ in range(options.pairs)]
    ratio, error = pairs.median([ours / theirs for ours, theirs in found])
    for name, rates in zip(("the client", "oha"), zip(*found)):
        print(f"{name}: {pairs.median(rates)[0]:.0f} requests/s")
    print(f"the client makes {ratio:.2f} of oha's requests/s (standard error {error:.2f})")
    sys.exit(ratio < LEAST)


def turns(running, folder, seconds):
    """Returns the requests per second of the client and of oha."""
    theirs = load.measure(running, WORK, seconds)["requests_per_second"]
    with tempfile.NamedTemporaryFile() as picture:
        picture.write(WORK.image)
        picture.flush()
        address = f"http://127.0.0.1:{running.port}"
        command = [folder / "python", servers.HERE / "client_turn.py", address, picture.name]
        done = subprocess.run(
            [*map(str, command), str(seconds), str(THREADS)],
            stdout=subprocess.PIPE,
            timeout=seconds + PATIENCE,
            check=True,
        )
    return float(done.stdout), theirs


if __name__ == "__main__":
    main()
