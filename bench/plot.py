"""Draws the plot of a run: plot.py RESULTS FOLDER. It runs where matplotlib is installed."""

import json
import math
import sys
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import report  # noqa: E402
from matplotlib import pyplot  # noqa: E402
from matplotlib.ticker import NullFormatter, NullLocator  # noqa: E402

OURS_COLOUR, PEER_COLOUR, FLOOR_COLOUR = "#c2410c", "#64748b", "#cbd5e1"
# The title, the figure that is drawn, and True for a logarithmic scale.
PANELS = [
    ("text echo, 1 client: requests/s", ("of", "text-1", "requests_per_second"), True),
    ("text echo, 16 clients: requests/s", ("of", "text-16", "requests_per_second"), True),
    ("1 MB image, 16 clients: requests/s", ("of", "image-16", "requests_per_second"), True),
    ("text echo, 16 clients: CPU s per 1,000", ("of", "text-16", "cpu_per_1000"), True),
    ("5 ms computing, 2 workers: requests/s", ("of", "compute-2", "requests_per_second"), False),
    ("10 ms per batch, 64 clients: requests/s", ("of", "batch-64", "requests_per_second"), False),
    ("waiting 100 ms, 64 clients: requests/s", ("of", "wait-64", "requests_per_second"), False),
    ("64 streams: chunks/s", ("of", "stream-64", "chunks_per_second"), True),
    ("64 streams of 50 chunks/s: p99 of the delay, ms", ("of", "pace-64", "p99_ms"), True),
    ("8 threads, waiting 500 ms: requests/s", ("of", "loop-8", "requests_per_second"), False),
    ("start to first answer: seconds", ("start", "first_answer"), True),
    ("idle memory, all processes: MB", ("start", "idle"), True),
]
COLUMNS = 2


def main(results_file, folder):
    figures = report.Figures(json.loads(results_file.read_text()))
    panels = [panel for panel in PANELS if values_of(figures, panel[1])]
    if not panels:
        return
    names = [*figures.servers, *report.PROGRAM_NAMES]
    rows = -(-len(panels) // COLUMNS)
    pyplot.rcParams.update({"font.size": 9, "svg.hashsalt": "benchmarks", "svg.fonttype": "none"})
    figure, grid = pyplot.subplots(
        rows,
        COLUMNS,
        figsize=(10, rows * (0.7 + 0.18 * len(names))),
        squeeze=False,
        layout="constrained",
    )
    for axes, panel in zip(grid.flat, panels, strict=False):
        draw(axes, figures, *panel)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    figure.supxlabel("Lines are powers of ten; panels without lines start at 0.", fontsize=9)
    for kind, metadata in (("svg", {"Date": None}), ("png", {})):
        figure.savefig(folder / f"benchmarks.{kind}", dpi=130, metadata=metadata, facecolor="white")


def values_of(figures, what):
    """Returns the figure of each server, or None if it was not measured; {} if no server has it."""
    method, *which = what
    names = [*figures.servers, *report.PROGRAM_NAMES]
    values = {name: getattr(figures, method)(name, *which) for name in names}
    # A floor without this figure is left out.
    values = {
        name: value
        for name, value in values.items()
        if value is not None or name not in report.FLOORS
    }
    return values if any(values.values()) else {}


def draw(axes, figures, title, what, logarithmic):
    values = values_of(figures, what)
    known = [value for value in values.values() if value is not None]
    start = 0
    if logarithmic:
        # The axis starts at a power of ten that leaves the smallest bar visible.
        start = 10 ** math.floor(math.log10(min(known) / 1.5))
        axes.set_xscale("log")
        axes.set_xlim(start, max(known) * (max(known) / start) ** 0.18)
        axes.grid(axis="x", color="#e2e8f0")
    else:
        axes.set_xlim(0, max(known) * 1.18)
    places = range(len(values))
    bars = axes.barh(
        places,
        [(value or start) - start for value in values.values()],
        left=start,
        color=[colour(name) for name in values],
        height=0.72,
        zorder=2,
    )
    axes.bar_label(bars, [report.number(value) for value in values.values()], padding=3)
    axes.set_yticks(places, [report.TITLES[name] for name in values])
    for label in axes.get_yticklabels():
        if label.get_text() == report.TITLES[report.OURS]:
            label.set_fontweight("bold")
    axes.invert_yaxis()
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(NullFormatter())
    axes.tick_params(length=0)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.set_title(title, loc="left", fontweight="bold")


def colour(name):
    if name == report.OURS:
        return OURS_COLOUR
    return FLOOR_COLOUR if name in report.FLOORS else PEER_COLOUR


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
