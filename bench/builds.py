"""Compares two builds of the engine: what a request costs, the speed side by side, the idle memory.

    make bench-builds BEFORE=HEAD~9                       a revision and the sources as they are
    python3 bench/builds.py --before FILE --after FILE    two programs that are built already

Instructions are those of the engine's process under callgrind: for the text echo and for a 1 MB
picture as a form and as base64 in JSON, asked for by one client over one connection. The speed is
that of both builds, which run at the same time and are measured in turn. Ratios are of after to
before, with their standard errors. Both are measured with the Python client of the earlier build,
and again with the client of each where these differ. Ends with status 1 when a request costs more
instructions than it may.
"""

import argparse
import dataclasses
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import callgrind
import environments
import load
import pairs
import process
import servers
import works

# The share by which the instructions per request may grow.
MOST = 0.03
SERVER = servers.SERVERS[0]
BUILDS = environments.CACHE / "builds"
TARGET = environments.CACHE / "target" / "builds"
WORKS = {work.name: work for work in works.WORKS}
# For each work: its title, and the requests in one count. One client sends them. A server that is
# started once is counted several times.
COUNTED = {
    "text-1": ("100-byte text echo", 300),
    "image-16": ("1 MB image", 20),
    "base64-2": ("1 MB image as base64", 20),
}
COUNTS = 6
RACES = ("text-1", "text-16", "image-16", "base64-2")
# Seconds without a request before memory is measured: after the first response, and after a load.
# By then the engine has returned unused memory to the system.
IDLE, IDLE_AFTER_LOAD = 1, 12
MEMORY = ("Pss", "Rss", "Anonymous")


class Build(NamedTuple):
    program: Path
    client: Path


def main():
    options = parse_options()
    if missing := callgrind.missing():
        sys.exit(f"missing: {', '.join(missing)}; on Debian: apt-get install valgrind util-linux")
    # On SIGTERM, the `finally` blocks stop the servers that this program has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    process.adopt_orphans()
    environments.prepare_oha()
    before, after = find(options.before), find(options.after)
    same_client = after._replace(client=before.client)
    print("\nwith the earlier client\n")
    grown = compare_instructions(before, same_client, options.starts)
    compare_speed(before, same_client, options.pairs, options.seconds)
    compare_memory(before, same_client, options.starts)
    if modules(before.client) != modules(after.client):
        print("\nwith the client of each\n")
        compare_instructions(before, after, options.starts)
        compare_speed(before, after, options.pairs, options.seconds)
    sys.exit(max(grown) > 1 + MOST)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    build = {"metavar": "BUILD"}
    parser.add_argument("--before", required=True, help="a revision, or a program", **build)
    parser.add_argument("--after", help="the same; the sources as they are without it", **build)
    parser.add_argument("--starts", type=int, default=3, metavar="N", help="of each, one by one")
    parser.add_argument("--pairs", type=int, default=40, metavar="N", help="of turns of both")
    parser.add_argument("--seconds", type=float, default=0.5, metavar="S", help="of one turn")
    return parser.parse_args()


# --- the builds ---


def find(wanted):
    """Returns the build of a program or of a revision; without either, that of the sources."""
    if wanted is None:
        return build("sources", environments.ROOT)
    if Path(wanted).is_file():
        program = Path(wanted).resolve()
        clients = (folder / "python" for folder in (*program.parents, environments.ROOT))
        return Build(program, next(one for one in clients if (one / "ai_integration").is_dir()))
    commit = git("rev-parse", "--verify", "--quiet", f"{wanted}^{{commit}}")
    if not commit:
        sys.exit(f"{wanted} is neither a revision nor a file")
    source = BUILDS / f"{commit}-sources"
    shutil.rmtree(source, ignore_errors=True)
    with tempfile.NamedTemporaryFile(suffix=".tar") as archive:
        git("archive", "--output", archive.name, commit)
        shutil.unpack_archive(archive.name, source)
    # Both get the same web page, which the comparison does not concern.
    shutil.copytree(environments.ROOT / "web" / "dist", source / "web" / "dist")
    return build(commit, source)


def git(*arguments):
    """Returns the output of git, or nothing if git fails."""
    command = ["git", "-C", environments.ROOT, *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True).stdout.strip()


def build(name, source):
    print(f"building {name} …", flush=True)
    BUILDS.mkdir(parents=True, exist_ok=True)
    program = BUILDS / name
    shutil.copy(environments.build_engine(source, TARGET), program)
    return Build(program, source / "python")


def modules(client):
    return {path.relative_to(client): path.read_bytes() for path in client.rglob("*.py")}


# --- what is compared ---


def compare_instructions(before, after, starts):
    """Returns the growth of the instructions per request, for each work."""
    print(f"  {'instructions per request':28}{'before':>12}{'after':>12}{'ratio':>10}")
    grown = []
    for name, (title, requests) in COUNTED.items():
        found = [
            [one for _ in range(starts) for one in count(build, WORKS[name], requests)]
            for build in (before, after)
        ]
        usual = [statistics.median(one.instructions for one in counts) for counts in found]
        waits = [statistics.median(one.waits for one in counts) for counts in found]
        spread = max(
            max(one.instructions for one in counts) - min(one.instructions for one in counts)
            for counts in found
        )
        grown.append(usual[1] / usual[0])
        row = f"{usual[0]:12,.0f}{usual[1]:12,.0f}{grown[-1]:10.4f}"
        notes = f"{spread:,.0f} between counts; waits: {waits[0]:.2f} and {waits[1]:.2f}"
        print(f"  {title:28}{row}   {notes}", flush=True)
    return grown


def compare_speed(before, after, count, seconds):
    print(f"\n  {'after to before, in turn':40}{'requests/s':>20}{'CPU per request':>20}")
    for name in RACES:
        with serve(before, WORKS[name]) as first, serve(after, WORKS[name]) as second:
            found = pairs.measure(second, first, WORKS[name], count, seconds)
        columns = [
            "{:.3f} ± {:.3f}".format(*pairs.median(pairs.ratios(found, figure)))
            for figure in ("requests_per_second", "cpu_per_1000")
        ]
        print(f"  {WORKS[name].title:40}{columns[0]:>20}{columns[1]:>20}", flush=True)


def compare_memory(before, after, starts):
    print(f"\n  {'MB of the idle engine':28}{'before':>12}{'after':>12}{'ratio':>10}")
    found = [[memory(build) for build in (before, after)] for _ in range(starts)]
    for number, moment in enumerate(("fresh", "after a load")):
        for kind in MEMORY:
            usual = [
                statistics.median(start[which][number][kind] for start in found) for which in (0, 1)
            ]
            title = f"{moment}, {kind}"
            print(f"  {title:28}{usual[0]:12.2f}{usual[1]:12.2f}{usual[1] / usual[0]:10.3f}")


def count(build, work, requests):
    """Counts the cost of a request in the engine, several times in one start."""
    with tempfile.TemporaryDirectory(prefix="builds-", dir="/tmp") as folder:
        counted = callgrind.Callgrind(build.program, Path(folder))
        with serve(build._replace(program=counted.program), work) as running:
            counts = [counted.count(running, work, requests) for _ in range(COUNTS + 1)]
    # The first count includes the start.
    return counts[1:]


def memory(build):
    """Measures the memory of an idle engine, after the first response and after a load.

    The program is started from a copy. Otherwise the state of its file in the page cache decides
    how much of it is mapped with each touched page, which makes a difference of half a megabyte.
    """
    found = []
    folder = tempfile.TemporaryDirectory(prefix="builds-", dir="/tmp")
    program = Path(folder.name) / build.program.name
    shutil.copy(build.program, program)
    with folder, serve(build._replace(program=program), WORKS["text-16"]) as running:
        for pause in (IDLE, IDLE_AFTER_LOAD):
            time.sleep(pause)
            found.append({kind: running.memory_of_first_process(kind) for kind in MEMORY})
            if len(found) == 1:
                load.warm_up(running, running.work, 2)
    return found


def serve(build, work):
    """Runs a server with this engine and this Python package while the block runs."""

    variables = {
        "AI_INTEGRATION_BINARY": str(build.program),
        "PYTHONPATH": f"{build.client}:{servers.HERE / 'model'}",
    }
    server = dataclasses.replace(
        SERVER,
        command=(sys.executable, "model.py"),
        variables=lambda start: {**SERVER.variables(start), **variables},
    )
    return process.serve(server, work, Path(sys.executable).parent)


if __name__ == "__main__":
    main()
