"""Measures this project's server and its peers side by side, and writes a report.

    make bench         everything, an estimated 35 minutes; writes docs/benchmarks.md and its plot
    make bench-quick   four servers in under eight minutes; writes beneath .cache/bench
    make bench-works   chosen works on chosen servers; writes beneath .cache/bench

Each repetition goes through all servers in turn, so that a machine that is slower for a minute is
slower for all of them. Each server is started for each group of works with the same model and
number of workers. For each work, its response is checked, and the server is warmed up and measured.
"""

import argparse
import datetime
import itertools
import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import environments
import load
import process
import report
import servers
import streams
import works

QUICK_SERVERS = ("ai_integration", "mosec", "fastapi", "original")
# Seconds between the warm-up and the measurement of the memory of an idle server.
IDLE = 0.3


def main():
    options = parse_options()
    # On SIGTERM, the `finally` blocks stop the servers that this program has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    process.adopt_orphans()
    if options.render:
        results = json.loads(options.render.read_text())
    else:
        results = Bench(options).run()
        options.output_dir.mkdir(parents=True, exist_ok=True)
        environments.RESULTS.write_text(json.dumps(results, indent=1))
    print()
    print(report.console(results))
    page = options.output_dir / "benchmarks.md"
    page.write_text(report.page(results))
    draw(options.output_dir)
    print(f"written: {page} and its plot, .svg and .png")


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="four servers, shorter runs")
    parser.add_argument("--servers", type=names_of(servers.SERVERS), help="names with commas")
    parser.add_argument("--works", type=names_of(works.WORKS), help="names with commas")
    parser.add_argument("--repetitions", type=int, default=3, metavar="N")
    parser.add_argument("--seconds", type=float, metavar="S", help="length of one run")
    parser.add_argument("--output-dir", type=Path, metavar="FOLDER")
    parser.add_argument(
        "--render", type=Path, metavar="FILE", help="write the report of earlier results again"
    )
    options = parser.parse_args()
    complete = not (options.quick or options.servers or options.works or options.render)
    if options.seconds is None:
        options.seconds = 1.5 if options.quick else 3
    if options.servers is None:
        wanted = [one for one in servers.SERVERS if not options.quick or one.name in QUICK_SERVERS]
        options.servers = wanted
    options.works = options.works or works.WORKS
    if options.output_dir is None:
        # Only a complete run replaces the committed report.
        options.output_dir = (
            environments.ROOT / "docs" if complete else environments.CACHE / "report"
        )
    return options


def names_of(table):
    known = {one.name: one for one in table}

    def parse(text):
        unknown = set(text.split(",")) - set(known)
        if unknown:
            raise argparse.ArgumentTypeError(
                f"{', '.join(sorted(unknown))}: not among {', '.join(known)}"
            )
        return [known[name] for name in text.split(",")]

    return parse


class Bench:
    def __init__(self, options):
        self.options = options
        self.folders = {}
        self.failed = {}
        self.runs = {server.name: {} for server in options.servers}
        self.starts = {server.name: [] for server in options.servers}
        self.reasons = {server.name: {} for server in options.servers}

    def run(self):
        self.prepare()
        begin = time.monotonic()
        facts = machine()
        groups = [
            list(group)
            for _, group in itertools.groupby(
                self.options.works, key=lambda work: (work.model, work.workers)
            )
        ]
        for repetition in range(self.options.repetitions):
            for group in groups:
                print(
                    f"\nrepetition {repetition + 1} of {self.options.repetitions}: "
                    f"{' and '.join(work.title for work in group)}"
                )
                for server in self.options.servers:
                    self.visit(server, group)
                for floor in report.PROGRAMS:
                    if floor.work in [work.name for work in group]:
                        self.visit_floor(floor)
        return {
            "date": datetime.date.today().isoformat(),
            "minutes": (time.monotonic() - begin) / 60,
            "machine": facts,
            "quick": self.options.quick,
            "seconds": self.options.seconds,
            "repetitions": self.options.repetitions,
            "works": [work.name for work in self.options.works],
            "servers": [
                {"name": server.name, "version": environments.version(server)}
                for server in self.options.servers
            ],
            "failed": self.failed,
            "runs": self.runs,
            "starts": self.starts,
            "reasons": self.reasons,
        }

    def prepare(self):
        """Installs what is missing. The report names each peer that cannot be installed."""
        environments.prepare_oha()
        environments.prepare_plot()
        if any(work.tensors == works.GRPC for work in self.options.works):
            environments.prepare_grpc()
        for server in self.options.servers:
            try:
                self.folders[server.name] = environments.prepare(server)
            except environments.Failed as failure:
                self.failed[server.name] = f"cannot be installed here: {failure}"
                print(f"{server.title}: {self.failed[server.name]}")

    def visit(self, server, group):
        """Starts a server once, and runs a group of works on it."""
        if server.name in self.failed:
            return
        for work in group:
            if reason := server.lack(work):
                self.reasons[server.name][work.name] = reason
        group = [work for work in group if not server.lack(work)]
        if not group:
            return
        print(f"  {server.title:20}", end="", flush=True)
        done = set()
        try:
            with process.serve(server, group[0], self.folders[server.name]) as running:
                print(f"{running.first_answer:7.2f} s", end="", flush=True)
                idle = loaded = None
                for work in group:
                    running.check(work)
                    client = streams if work.chunks else load
                    client.warm_up(running, work, self.options.seconds / 4)
                    if idle is None:
                        time.sleep(IDLE)
                        idle = running.memory()
                        first = running.memory_of_first_process()
                    figures = client.measure(running, work, self.options.seconds)
                    self.runs[server.name].setdefault(work.name, []).append(figures)
                    if not work.tensors:
                        loaded = running.memory()
                    done.add(work.name)
                    print(f"{figures[work.rate]:10,.0f}/s", end="", flush=True)
                if group[0].model == "text" and not group[0].tensors:
                    self.starts[server.name].append(
                        {
                            "first_answer": running.first_answer,
                            "idle": idle,
                            "first_process": first,
                            "loaded": loaded,
                        }
                    )
            print()
        except process.Failed as failure:
            print(f"  {failure}")
            for work in group:
                if work.name not in done:
                    self.reasons[server.name][work.name] = str(failure)

    def visit_floor(self, floor):
        found = subprocess.run(
            [sys.executable, servers.HERE / f"{floor.name}.py", str(self.options.seconds)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(servers.HERE / "model")},
            timeout=self.options.seconds + 20,
            check=True,
        )
        figures = json.loads(found.stdout)
        self.runs.setdefault(floor.name, {}).setdefault(floor.work, []).append(figures)
        print(f"  {floor.title:29}{figures['requests_per_second']:10,.0f}/s")


def machine():
    """Describes the machine, and its load average before the run."""
    cpu = next(
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    )
    rust = subprocess.run(["rustc", "--version"], stdout=subprocess.PIPE, text=True, check=True)
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30,
        "system": platform.freedesktop_os_release()["PRETTY_NAME"],
        "kernel": platform.release(),
        "python": platform.python_version(),
        "rust": rust.stdout.split()[1],
        "oha": environments.OHA_VERSION,
        "load_average": os.getloadavg()[0],
    }


def draw(folder):
    """Draws the plot, with the Python of an environment that has matplotlib."""
    python = environments.prepare_plot() / "python"
    subprocess.run(
        [python, servers.HERE / "plot.py", environments.RESULTS, folder], timeout=120, check=True
    )


if __name__ == "__main__":
    main()
