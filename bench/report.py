"""Writes the report of a run: one table for the console, and a page in Markdown.

Every figure is the median of the repetitions. `Figures` computes the medians; the tables and goals
below only arrange them.
"""

import operator
import re
import statistics
import textwrap
from collections.abc import Callable
from typing import NamedTuple

import servers
import works


class Program(NamedTuple):
    """A floor that is a program in this folder, and not a server."""

    name: str
    work: str
    title: str
    how: str


PROGRAMS = [
    Program(
        *("pingpong", "text-1", "floor: Python ping-pong"),
        "100 bytes over a socket pair between two processes and back",
    ),
    Program("bareloop", "batch-1", "floor: bare loop", "one process calls the model in a loop"),
]
PROGRAM_NAMES = [program.name for program in PROGRAMS]
OURS = "ai_integration"
TITLES = {one.name: one.title for one in [*servers.SERVERS, *PROGRAMS]}
FLOORS = {server.name for server in servers.SERVERS if server.floor} | set(PROGRAM_NAMES)
WORKS = {work.name: work for work in works.WORKS}
# One batch of 32 takes 10 ms.
IDEAL_BATCHES = 3200
# 64 requests take 100 ms.
IDEAL_WAITS = 640
NONE, UNMEASURED = "–", "not measured"


class Figures:
    """The medians of a run's results; None for what was not measured."""

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
        """Returns the reason why figures are missing, or None if none are missing."""
        failed = self.results["failed"].get(server)
        return failed or self.results["reasons"].get(server, {}).get(work)

    @staticmethod
    def _median(runs, figure):
        values = [run[figure] for run in runs if figure in run]
        return statistics.median(values) if values else None


# --- goals ---


class Goal(NamedTuple):
    """A figure, mostly a ratio within one run, and the limit that it is compared with."""

    title: str
    value: Callable[[Figures], float]
    sign: str
    limit: float
    unit: str = " ×"

    def row(self, figures):
        bound = f"{self.sign} {self.limit:,g}{self.unit}"
        try:
            value = self.value(figures)
        except (TypeError, ValueError):  # A part of it is None: it was not measured.
            value = None
        if value is None:
            return [self.title, bound, NONE, UNMEASURED]
        verdict = "reached" if COMPARISONS[self.sign](value, self.limit) else "missed"
        return [self.title, bound, f"{value:,.2f}{self.unit}", verdict]


COMPARISONS = {"≥": operator.ge, "≤": operator.le, "<": operator.lt}


def own(work, figure):
    return lambda figures: figures.of(OURS, work, figure)


def ratio(work, figure, peer):
    return lambda figures: figures.of(OURS, work, figure) / figures.of(peer, work, figure)


def between(work, other):
    """Returns a function that compares the requests/s of two works on this project's server."""
    return lambda figures: figures.of(OURS, work, RATE) / figures.of(OURS, other, RATE)


def first_answer(figures):
    peers = [figures.start(name, "first_answer") for name in figures.peers]
    return figures.start(OURS, "first_answer") / min(peer for peer in peers if peer is not None)


def share_of(work, ideal):
    return lambda figures: figures.of(OURS, work, RATE) / ideal


def one_round(figures):
    """Returns the seconds that requests which are sent at the same time take together."""
    return WORKS["loop-8"].clients / figures.of(OURS, "loop-8", RATE)


def idle_memory(figures):
    return figures.start(OURS, "idle") / figures.start("original", "idle")


TEXT_1, TEXT_16 = "text echo, 1 client", "text echo, 16 clients"
RATE, CHUNK_RATE, CPU = "requests_per_second", "chunks_per_second", "cpu_per_1000"
STREAMS, PACED = "streams, 64 clients", "streams of 50 chunks/s, 64 clients"
CHAT, PACED_CHAT = "chat streams, 16 clients", "chat streams of 50 tokens/s, 16 clients"
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
    Goal(
        f"{TEXT_16}, as a tensor over REST: requests/s of those in JSON",
        between("oip-text-16", "text-16"),
        "≥",
        0.7,
    ),
    Goal(
        f"{TEXT_16}, as a tensor over gRPC: requests/s of those in JSON",
        between("grpc-text-16", "text-16"),
        "≥",
        0.35,
    ),
    Goal(
        "1 MB image as a tensor over REST, 16 clients: requests/s of those by multipart",
        between("oip-image-16", "image-16"),
        "≥",
        0.8,
    ),
    Goal("1 MB image in base64, 2 clients: requests/s", own("base64-2", RATE), "≥", 1200, "/s"),
    Goal(
        "batches, 64 clients: requests/s of the ideal 3,200",
        share_of("batch-64", IDEAL_BATCHES),
        "≥",
        0.97,
    ),
    Goal("batches, 1 client: p50 of FastAPI's", ratio("batch-1", "p50_ms", "fastapi"), "≤", 1.05),
    Goal(
        "batches, 1 client: p50 of a bare loop's", ratio("batch-1", "p50_ms", "bareloop"), "≤", 1.03
    ),
    Goal(
        "waiting 100 ms, 64 clients: requests/s of the ideal 640",
        share_of("wait-64", IDEAL_WAITS),
        "≥",
        0.98,
    ),
    Goal("8 requests of 0.5 s at once, on threads: all of them", one_round, "≤", 0.55, " s"),
    Goal(f"{STREAMS}: chunks/s of FastAPI's", ratio("stream-64", CHUNK_RATE, "fastapi"), "≥", 1.3),
    Goal(f"{STREAMS}: chunks/s of LitServe's", ratio("stream-64", CHUNK_RATE, "litserve"), "≥", 18),
    Goal(f"{PACED}: p99 of a chunk's delay", own("pace-64", "p99_ms"), "<", 2, " ms"),
    Goal(f"{PACED}: p99 until the first chunk", own("pace-64", "first_p99_ms"), "≤", 5, " ms"),
    Goal(f"{CHAT}: tokens/s of LitServe's", ratio("chat-16", CHUNK_RATE, "litserve"), "≥", 12),
    Goal(
        f"{PACED_CHAT}: p99 until the first token",
        own("chat-pace-16", "first_p99_ms"),
        "≤",
        5,
        " ms",
    ),
    Goal(
        "5 ms of computing: requests/s of 2 workers to 1",
        between("compute-2", "compute-1"),
        "≥",
        1.95,
    ),
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


# --- tables: rows of texts, of which the first is the header ---

# The columns of a work whose responses are not streams, and of one whose responses are.
OF_REQUESTS = {
    "requests/s": RATE,
    "p50 ms": "p50_ms",
    "p99 ms": "p99_ms",
    "CPU s per 1,000": CPU,
}
OF_STREAMS = {
    "chunks/s": CHUNK_RATE,
    "first p50 ms": "first_p50_ms",
    "first p99 ms": "first_p99_ms",
    "delay p50 ms": "p50_ms",
    "delay p99 ms": "p99_ms",
    "CPU s per 1,000": CPU,
    "client's CPU %": "client_cpu",
}


def columns(work):
    return OF_STREAMS if WORKS[work].chunks else OF_REQUESTS


def head(columns):
    return ["server", *columns, "errors"]


def number(value):
    """Formats a number with about three significant digits."""
    if value is None:
        return NONE
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def rows_of_work(figures, work):
    keys = columns(work).values()
    for name in [*figures.servers, *PROGRAM_NAMES]:
        if figures.of(name, work, WORKS[work].rate) is not None:
            values = [number(figures.of(name, work, key)) for key in keys]
            yield [TITLES[name], *values, f"{figures.errors(name, work):,}"]
        elif name not in FLOORS:
            yield [TITLES[name], *[NONE] * (len(keys) + 1)]


def rows_of_starts(figures):
    for name in figures.servers:
        keys = ("first_answer", "idle", "loaded")
        yield [TITLES[name], *(number(figures.start(name, key)) for key in keys)]


def missing(figures):
    """Lists what was not measured, and why. Works with the same reason share a line."""
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
    """Returns a Markdown table, aligned as text: names to the left, figures to the right."""
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
    return bool(re.fullmatch(r"[\d.,]+( ×| MB| ms| s|/s)?", cell))


# --- the two forms ---


def console(results):
    """Returns the report for the console: the figures of all works, and the goals."""
    figures = Figures(results)
    starts = {row[0]: row[1:] for row in rows_of_starts(figures)}
    table = [["work", *head(OF_REQUESTS), "first answer s", "idle MB", "loaded MB"]]
    streams = [["work", *head(OF_STREAMS)]]
    for work in results["works"]:
        for row in rows_of_work(figures, work):
            if WORKS[work].chunks:
                streams.append([work, *row])
            else:
                is_text = WORKS[work].model == "text"
                more = starts.get(row[0], [NONE] * 3) if is_text else [""] * 3
                table.append([work, *row, *more])
    tables = [markdown(rows) for rows in (table, streams) if len(rows) > 1]
    reasons = [f"{title}, {which}: {reason}" for title, which, reason in missing(figures)]
    rows = goals(figures)
    if set(results["works"]) != set(WORKS):
        rows = [row for row in rows if row[-1] != UNMEASURED]
    return "\n\n".join([*tables, *filter(None, ["\n".join(reasons)]), markdown(rows)])


def page(results):
    figures = Figures(results)
    facts = results["machine"]
    parts = [
        "# Benchmarks",
        paragraph(
            "This project's server beside its peers: the same model, the same requests, one "
            "machine, one run. This page is written by `bench/bench.py`; do not edit it."
        ),
        "![Requests per second, processor time, start and memory of each server](benchmarks.svg)",
        paragraph(
            f"Measured on {results['date']}: {facts['cores']} cores of {facts['cpu']}, "
            f"{facts['memory_gb']:.0f} GB, {facts['system']}, Linux {facts['kernel']}; Python "
            f"{facts['python']}, Rust {facts['rust']}, oha {facts['oha']}. "
            f"{results['repetitions']} repetitions of {results['seconds']:g} s for each figure, in "
            f"{results['minutes']:.0f} minutes altogether; the load average before was "
            f"{facts['load_average']:.1f}. Absolute figures drift between machines and days: only "
            "ratios within one run are meaningful."
        ),
        "## Goals",
        markdown(goals(figures)),
    ]
    for work in results["works"]:
        rows = [head(columns(work)), *rows_of_work(figures, work)]
        parts += [f"## {WORKS[work].title}", markdown(rows)]
        if note := NOTES.get(work):
            parts.append(paragraph(note))
    starts = [["server", "first answer s", "idle MB", "loaded MB"], *rows_of_starts(figures)]
    parts += ["## Start and memory", markdown(starts), paragraph(START_NOTE)]
    if rows := [list(row) for row in missing(figures)]:
        parts += ["## Not measured", markdown([["server", "work", "reason"], *rows])]
    parts += ["## How", HOW, markdown(list(configurations(results))), REMARKS, REPEAT]
    return "\n\n".join(parts) + "\n"


def paragraph(text):
    return textwrap.fill(text, 100, break_on_hyphens=False)


def configurations(results):
    yield ["server", "version", "how it is run and asked"]
    known = {server.name: server for server in servers.SERVERS}
    for entry in results["servers"]:
        server = known[entry["name"]]
        version = f"hyper {entry['version']}" if server.floor else entry["version"]
        yield [server.title, version, server.how]
    for program in PROGRAMS:
        if program.name in results["runs"]:
            yield [program.title, "", program.how]


NOTES = {
    "text-1": "The ping-pong is not a server: it is the time that two plain Python processes need "
    "to send each other 100 bytes.",
    "oip-text-16": "The Open Inference Protocol. This project's server gets binary data, MLServer "
    "JSON.",
    "grpc-text-16": "The Open Inference Protocol, with raw contents as Triton's clients send them.",
    "image-16": "A PNG of noise. mosec and Ray Serve get the bare bytes, coglet and MLServer "
    "base64 in JSON, the others a multipart form, which they must parse.",
    "oip-image-16": "The Open Inference Protocol. This project's server gets binary data, MLServer "
    "base64 in JSON.",
    "base64-2": "The body is a third larger than the image, and must be parsed and decoded.",
    "compute-2": "One worker can do at most 200 requests/s, and two at most 400, less the share "
    "of the two cores that the server and the load generator use.",
    "batch-1": "The bare loop is not a server: it is a Python program that calls the model all "
    "the time.",
    "batch-64": "The ideal is 3,200 requests/s: 32 for every 10 ms. Servers without batches can do "
    "no more than 100.",
    "wait-64": "The ideal is 640 requests/s: 64 for every 100 ms.",
    "loop-8": "An unchanged program with `start_loop`. All 8 responses together take 8 divided by "
    "the requests/s.",
    "stream-64": "The chunks have 8 bytes, and come as fast as the server takes them. First is the "
    "time from a request to its first chunk. A client that uses less than 100 % of a core waited "
    "for the server.",
    "pace-64": "The clients together get at most 3,200 chunks/s. Each chunk has the time of its "
    "sending; its delay is the time until the client has read it.",
    "chat-16": "The same streams by OpenAI's chat completions, whose events have some 150 bytes "
    "around each token.",
    "chat-pace-16": "The clients together get at most 800 tokens/s.",
}

START_NOTE = (
    "The first answer is the time from starting the program until its first right response, with "
    "a request every few milliseconds. Memory is the sum over all processes, after the first "
    "warm-up of the text echo, and after its load. Shared memory counts in proportion (Pss), also "
    "memory that is shared with other programs on the machine."
)

HOW = """\
Each server is started, checked for the right response, warmed up, measured and stopped for each
kind of work, all servers in turn; all this is done again for each repetition. The figures are
medians, and errors are sums. `oha` sends the requests over loopback and keeps connections open if
the server does.

* **Requests/s** counts responses with a status of success. Requests in flight when the time is up
  are waited for, and the wait counts as time.
* **p50 and p99** are of the successful requests alone.
* **Streams** are read by a client in one process (`bench/streams.py`), which takes 64 connections
  in turn. It counts the chunks that the model sent, also if the server joins several of them.
* **gRPC** requests come from `bench/grpc`, which has one thread, and a connection for each client.
* **CPU** is user and system time of all processes of the server, ended ones included, for 1,000
  successful requests, or 1,000 chunks. It is counted in steps of 10 ms.
* **Text echo** sends 100 bytes of text and gets them back in JSON. **Computing** spins for 5 ms of
  the thread's processor time, so that interruptions do not shorten the work. **A batch** sleeps for
  10 ms whatever its size, one batch at a time, in place of a GPU.

Each server has one worker unless said otherwise, no access logs, and otherwise the settings that
its documentation recommends for the work:"""

REMARKS = """\
## Remarks

* The load generator runs on the same cores. The faster a server is, the more of them the generator
  takes, so the fastest servers are slowed down most, above all the bare floor.
* The servers do different things for a request. The floor does nothing at all; this project's
  server, FastAPI and BentoML check the input against a schema; the original sends every input back
  within its response.
* FastAPI, the original and coglet have no batches of their own. A program could add them; then that
  program would be measured.
* The programs are in [`bench/peers`](../bench/peers). Corrections by people who know a server
  better are welcome."""

REPEAT = """\
## Repeat it

<!-- not run: installs eight servers from the network and takes 35 minutes -->
```sh
make bench         # everything: some 35 minutes after the installation, on a quiet machine
make bench-quick   # this project, mosec, FastAPI and the original: under eight minutes
make bench-works WORKS=wait-64 SERVERS=ai_integration,fastapi REPETITIONS=1 SECONDS=5
```

The benchmarks need Linux, Python 3.11 and Rust, and install each server into an environment of its
own below `.cache/bench`. `bench/bench.py --help` lists the options for servers, works, repetitions
and lengths. To add a server, add a folder in `bench/peers` and an entry in `bench/servers.py`.

<!-- not run: builds two engines for release, which takes 15 minutes -->
```sh
make bench-builds BEFORE=HEAD~9   # the engine of a revision and of the sources, some 15 minutes
```

This builds both and compares them: the instructions that the engine needs for a request, counted by
valgrind's callgrind, the requests/s and CPU time of both in turn, and the memory of an idle engine.
`bench/builds.py --before FILE --after FILE` compares programs that are already built."""
