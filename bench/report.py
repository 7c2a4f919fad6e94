"""The report of a run: one table for the console, and a page in Markdown.

Every figure is the median of the repetitions. `Figures` gives them; the tables and goals below only
arrange them.
"""

import operator
import re
import statistics
from collections.abc import Callable
from typing import NamedTuple

import servers
import works

OURS = "ai_integration"
PINGPONG = "pingpong"
TITLES = {server.name: server.title for server in servers.SERVERS} | {
    PINGPONG: "floor: Python ping-pong"
}
FLOORS = {server.name for server in servers.SERVERS if server.floor} | {PINGPONG}
WORKS = {work.name: work for work in works.WORKS}
# One batch of 32 takes 10 ms.
IDEAL_BATCHES = 3200
NONE = "–"


class Figures:
    """The medians of a run's results; None where something was not measured."""

    def __init__(self, results):
        self.results = results
        self.servers = [server["name"] for server in results["servers"]]
        self.peers = [name for name in self.servers if name != OURS and name not in FLOORS]

    def of(self, server, work, figure):
        return self._median(self.results["runs"].get(server, {}).get(work, []), figure)

    def start(self, server, figure):
        return self._median(self.results["starts"].get(server, []), figure)

    def errors(self, server, work):
        return sum(run["errors"] for run in self.results["runs"].get(server, {}).get(work, []))

    def missing(self, server, work):
        """Why there are no figures, or why there are fewer than there should be; or None."""
        failed = self.results["failed"].get(server)
        return failed or self.results["reasons"].get(server, {}).get(work)

    @staticmethod
    def _median(runs, figure):
        return statistics.median(run[figure] for run in runs) if runs else None


# --- goals ---


class Goal(NamedTuple):
    """A figure, mostly a ratio within one run, and what it is held against."""

    title: str
    value: Callable[[Figures], float]
    sign: str
    limit: float
    unit: str = " ×"

    def row(self, figures):
        bound = f"{self.sign} {self.limit:g}{self.unit}"
        try:
            value = self.value(figures)
        except (TypeError, ValueError):  # Something is None: it was not measured.
            return [self.title, bound, NONE, "not measured"]
        verdict = "reached" if COMPARISONS[self.sign](value, self.limit) else "missed"
        return [self.title, bound, f"{value:.2f}{self.unit}", verdict]


COMPARISONS = {"≥": operator.ge, "≤": operator.le, "<": operator.lt}


def ratio(work, figure, peer):
    return lambda figures: figures.of(OURS, work, figure) / figures.of(peer, work, figure)


def two_workers(figures):
    one, two = (
        figures.of(OURS, name, "requests_per_second") for name in ("compute-1", "compute-2")
    )
    return two / one


def first_answer(figures):
    peers = [figures.start(name, "first_answer") for name in figures.peers]
    return figures.start(OURS, "first_answer") / min(peer for peer in peers if peer is not None)


def share_of_ideal(figures):
    return figures.of(OURS, "batch-64", "requests_per_second") / IDEAL_BATCHES


def idle_memory(figures):
    return figures.start(OURS, "idle") / figures.start("original", "idle")


TEXT_1, TEXT_16 = "text echo, 1 client", "text echo, 16 clients"
RATE, CPU = "requests_per_second", "cpu_per_1000"
GOALS = [
    Goal(f"{TEXT_16}: requests/s of mosec's", ratio("text-16", RATE, "mosec"), "≥", 5),
    Goal(f"{TEXT_16}: CPU per request of mosec's", ratio("text-16", CPU, "mosec"), "≤", 0.25),
    Goal(f"{TEXT_16}: p99 of mosec's", ratio("text-16", "p99_ms", "mosec"), "<", 1),
    Goal(f"{TEXT_1}: requests/s of mosec's", ratio("text-1", RATE, "mosec"), "≥", 1.5),
    Goal(
        "1 MB image by multipart, 16 clients: requests/s of mosec's, which takes it raw",
        ratio("image-16", RATE, "mosec"),
        "≥",
        2,
    ),
    Goal("batches, 64 clients: requests/s of the ideal 3,200", share_of_ideal, "≥", 0.97),
    Goal("batches, 1 client: p50 of FastAPI's", ratio("batch-1", "p50_ms", "fastapi"), "≤", 1.05),
    Goal("5 ms of computing: requests/s of 2 workers to 1", two_workers, "≥", 1.95),
    Goal("start to first answer, to the quickest peer's", first_answer, "<", 1),
    Goal("idle memory of all processes, to the original's", idle_memory, "<", 1),
    Goal(
        "idle memory of the engine's process",
        lambda figures: figures.start(OURS, "first_process"),
        "≤",
        10,
        " MB",
    ),
]


def goals(figures):
    return [["goal", "limit", "measured", ""], *(goal.row(figures) for goal in GOALS)]


# --- tables: rows of texts, the first of them the head ---

HEAD = ["server", "requests/s", "p50 ms", "p99 ms", "CPU s per 1,000", "errors"]


def number(value):
    """Three digits that mean something, whatever the size."""
    if value is None:
        return NONE
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def rows_of_work(figures, work):
    names = [*figures.servers, PINGPONG] if work == "text-1" else figures.servers
    for name in names:
        if figures.of(name, work, "requests_per_second") is not None:
            keys = ("requests_per_second", "p50_ms", "p99_ms", "cpu_per_1000")
            values = [number(figures.of(name, work, key)) for key in keys]
            yield [TITLES[name], *values, f"{figures.errors(name, work):,}"]
        elif name != PINGPONG and name not in FLOORS:
            yield [TITLES[name], *[NONE] * 5]


def rows_of_starts(figures):
    for name in figures.servers:
        keys = ("first_answer", "idle", "loaded")
        yield [TITLES[name], *(number(figures.start(name, key)) for key in keys)]


def missing(figures):
    """What was not measured, and why; the same reason for several works is one line."""
    found = {}
    for name in figures.servers:
        if name in FLOORS:
            continue
        for work in figures.results["works"]:
            if reason := figures.missing(name, work):
                found.setdefault((name, reason), []).append(work)
    everything = figures.results["works"]
    for (name, reason), names in found.items():
        yield TITLES[name], "everything" if names == everything else ", ".join(names), reason


def markdown(rows):
    """A table, aligned so that it can be read as text too: names to the left, figures right."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(3, *map(len, column)) for column in zip(*rows, strict=True)]
    left = [
        index == 0 or not column[1:] or not any(map(_is_figure, column[1:]))
        for index, column in enumerate(zip(*rows, strict=True))
    ]
    lines = [
        " | ".join(
            cell.ljust(width) if to_left else cell.rjust(width)
            for cell, width, to_left in zip(row, widths, left, strict=True)
        )
        for row in rows
    ]
    rule = "|".join(
        f" {'-' * width} " if to_left else f" {'-' * (width - 1)}: "
        for width, to_left in zip(widths, left, strict=True)
    )
    lines = [f"| {line} |" for line in lines]
    return "\n".join([lines[0], f"|{rule}|", *lines[1:]])


def _is_figure(cell):
    return bool(re.fullmatch(r"[\d.,]+( ×| MB)?", cell))


# --- the two forms ---


def console(results):
    """Everything in one table, and the goals."""
    figures = Figures(results)
    table = [["work", *HEAD, "first answer s", "idle MB", "loaded MB"]]
    for work in results["works"]:
        starts = {row[0]: row[1:] for row in rows_of_starts(figures)}
        for row in rows_of_work(figures, work):
            own = starts.get(row[0], [NONE] * 3) if WORKS[work].model == "text" else [""] * 3
            table.append([work, *row, *own])
    reasons = [f"{title}, {which}: {reason}" for title, which, reason in missing(figures)]
    return "\n".join([markdown(table), *reasons, "", markdown(goals(figures))])


def page(results):
    figures = Figures(results)
    facts = results["machine"]
    parts = [
        "# Benchmarks",
        "This project's server beside its peers: the same model, the same requests, one machine, "
        "one run. Written by `bench/bench.py`; do not edit it.",
        "![Requests per second, processor time, start and memory of each server](benchmarks.svg)",
        f"Measured on {results['date']}: {facts['cores']} cores of {facts['cpu']}, "
        f"{facts['memory_gb']:.0f} GB, {facts['system']}, Linux {facts['kernel']}; Python "
        f"{facts['python']}, Rust {facts['rust']}, oha {facts['oha']}. "
        f"{results['repetitions']} repetitions of {results['seconds']:g} s for each figure, in "
        f"{results['minutes']:.0f} minutes altogether; the load average before was "
        f"{facts['load_average']:.1f}. Absolute figures drift between machines and days: only "
        "ratios within one run mean something.",
        "## Goals",
        markdown(goals(figures)),
    ]
    for work in results["works"]:
        parts += [f"## {WORKS[work].title}", markdown([HEAD, *rows_of_work(figures, work)])]
        if note := NOTES.get(work):
            parts.append(note)
    starts = [["server", "first answer s", "idle MB", "loaded MB"], *rows_of_starts(figures)]
    parts += ["## Start and memory", markdown(starts), START_NOTE]
    if rows := [list(row) for row in missing(figures)]:
        parts += ["## Not measured", markdown([["server", "work", "reason"], *rows])]
    parts += ["## How", HOW, markdown(list(configurations(results))), REMARKS, REPEAT]
    return "\n\n".join(parts) + "\n"


def configurations(results):
    yield ["server", "version", "how it is run and asked"]
    known = {server.name: server for server in servers.SERVERS}
    for entry in results["servers"]:
        server = known[entry["name"]]
        version = f"hyper {entry['version']}" if server.floor else entry["version"]
        yield [server.title, version, server.how]
    if PINGPONG in results["runs"]:
        yield [TITLES[PINGPONG], "", "100 bytes over a socket pair between two processes and back"]


NOTES = {
    "text-1": "The ping-pong is no server: it is what two plain Python processes need to hand each "
    "other 100 bytes.",
    "image-16": "A PNG of noise. mosec and Ray Serve get the bare bytes, coglet and MLServer "
    "base64 in JSON, the others a multipart form, which has to be taken apart.",
    "compute-2": "One worker can do no more than 200 requests/s, two no more than 400 less what "
    "the server and the load generator use of the two cores.",
    "batch-64": "The ideal is 3,200 requests/s: 32 for every 10 ms. Servers without batches can do "
    "no more than 100.",
}

START_NOTE = (
    "The first answer is the time from starting the program until its first right answer, asked "
    "for every few milliseconds. Memory is of all processes together, where what several share "
    "counts in proportion (Pss), also what they share with other programs on the machine: after "
    "the first warm-up of the text echo, and after its load."
)

HOW = """\
Each server is started, checked for the right answer, warmed up, measured and ended for each kind
of work, all servers in turn, and that again for each repetition; the figures are medians, errors
are sums. `oha` drives it over loopback, with connections kept open where the server keeps them.

* **Requests/s** counts answers with a status of success. What is under way when time is up is
  waited for, and the wait counts as time.
* **p50 and p99** are of the successful requests alone.
* **CPU** is user and system time of all processes of the server, ended ones included, for 1,000
  successful requests. It is counted in steps of 10 ms.
* **Text echo** sends 100 bytes of text and gets them back in JSON. **Computing** spins for 5 ms of
  the thread's processor time, so that nobody finishes sooner by being interrupted. **A batch**
  sleeps for 10 ms whatever its size, one batch at a time, in place of a GPU.

One worker unless said otherwise, access logs off, everything else as each server's documentation
advises for the work:"""

REMARKS = """\
## Remarks

* The load generator runs on the same cores. It takes the more of them the faster a server is, so
  the quickest servers are held back most, the bare floor above all.
* The servers do not do the same for a request. The floor does nothing at all; this project's
  server, FastAPI and BentoML hold the input against a schema; the original sends every input back
  within its answer.
* FastAPI, the original and coglet have no batches of their own. One can be written for them; it
  would then be that program which is measured.
* The programs are in [`bench/peers`](../bench/peers). Whoever knows a server better than that is
  welcome to correct them."""

REPEAT = """\
## Repeat it

```sh
make bench         # everything: some 25 minutes after the installation, on a quiet machine
make bench-quick   # this project, mosec, FastAPI and the original: under five minutes
```

It needs Linux, Python 3.11 and Rust, and installs each server into an environment of its own
beneath `.cache/bench`. `bench/bench.py --help` lists how to choose servers, works, repetitions and
lengths. A further server is one folder in `bench/peers` and one entry in `bench/servers.py`.

```sh
make bench-builds BEFORE=HEAD~9   # the engine of a revision and of the sources, some 15 minutes
```

This builds both and compares them: the instructions that the engine needs for a request, counted by
valgrind's callgrind, the requests/s and CPU time of both in turn, and the memory of an idle engine.
`bench/builds.py --before FILE --after FILE` takes programs that are built already."""
