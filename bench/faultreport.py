"""The report of the faults: a table for each server, and one that puts the servers side by side.

The verdicts are made of the figures by rule; nothing here knows which server is whose.
"""

import environments
import injections
import scene

PAGE = environments.ROOT / "docs" / "reliability.md"
BEGIN = "<!-- bench-faults: written by `make bench-faults` -->"
END = "<!-- bench-faults: end -->"
TITLES = {fault.name: fault.title for fault in injections.FAULTS}

HOW = """\
`make bench-faults` does the same to this project's server and to three of its peers, each with two
workers of the same model and otherwise its defaults. Eight connections send distinct texts, each at
most 200 a second, while the fault happens. Each fault gets a newly started server. A cell has, by
rule:

* **errors**: requests of the load that got an HTTP error; **lost**: those whose connection was
  refused or broken, and (**silent**) those without a response within 20 s; **wrong** responses.
  Requests that carry a fault are mentioned if they got no response at all.
* the time until a fresh request on a new connection got a right response, for repeated faults the
  longest time; or that it got none within 30 s.
* what is **left** 15 s after the load: processes more or fewer than before, more than 10
  descriptors, more than 50 MB, fewer than two workers, or more than a fifth of a core in use by an
  idle server.
* the number of processes that **outlive** the server's first process, to which SIGTERM is sent, by
  more than 2 s; or that the first process has not ended within 10 s.
* other effects of the fault.

If a cell does not mention errors, lost or wrong requests, there were none. If it does not mention
anything left, the server was as before."""

REMARKS = """\
The model runs in processes of its own in all of them but BentoML, whose workers are also its HTTP
servers: a model that closes or writes to all descriptors closes and writes to the server's
connections there. A forked child belongs to the model: that it stays is no fault of a server, but
that it outlives the server is one. SIGTERM and kill -9 are sent only to the process that was
started, as by `docker stop` or a supervisor. If that process is process 1 of a container, the
processes that outlive it end with the container."""


def verdict(figures, usually=0):
    """Summarizes a fault for one cell. `usually` processes outlive a server without a fault."""
    if "missing" in figures:
        return f"not measured: {figures['missing']}"
    parts = []
    if figures["wrong"]:
        parts.append(f"**{figures['wrong']:,} wrong**")
    if figures["failed"]:
        parts.append(f"{figures['failed']:,} {'error' if figures['failed'] == 1 else 'errors'}")
    if lost := figures["broken"] + figures["silent"]:
        silent = f" ({figures['silent']:,} silent)" if figures["silent"] else ""
        parts.append(f"**{lost:,} lost**{silent}")
    if unanswered := figures.get("unanswered"):
        parts.append(
            f"{unanswered} of {len(figures['fault_outcomes'])} faulty requests without an answer"
        )
    if not figures["ends_the_server"]:
        parts.append(recovery(figures))
    parts += figures["notes"]
    parts += left(figures, usually)
    return "; ".join(parts)


def recovery(figures):
    if figures["recovery"] is None:
        return f"**no right answer for {scene.RECOVERY_PATIENCE} s**"
    return injections.milliseconds(figures["recovery"])


def left(figures, usually):
    """Describes what the server had not released, now and at the end."""
    parts, rest = [], []
    if not figures["ends_the_server"]:
        if figures["workers"] != scene.WORK.workers:
            rest.append(f"{figures['workers']} of {scene.WORK.workers} workers")
        elif figures["processes"]:
            rest.append(f"{figures['processes']:+} processes")
        if figures["descriptors"] > scene.MORE_DESCRIPTORS:
            rest.append(f"{figures['descriptors']:+,} descriptors")
        if figures["memory"] > scene.MORE_MEMORY:
            rest.append(f"{figures['memory']:+,.0f} MB")
        if figures["busy"] > scene.BUSY:
            rest.append(f"{figures['busy']:.1f} cores busy")
    if rest:
        parts.append(f"left: {', '.join(rest)}")
    if figures["ended_in"] is None:
        if not figures["ends_the_server"]:
            parts.append(f"does not end on SIGTERM within {scene.STOP_PATIENCE} s")
    elif figures["outliving"] > usually:
        parts.append(f"{figures['outliving']} outlive it")
    return parts


def usually_outliving(faults):
    return faults.get("none", {}).get("outliving", 0)


def markdown(rows, figures=()):
    """Returns a Markdown table. The columns `figures` are aligned to the right."""
    rule = ["---:" if column in figures else "---" for column in range(len(rows[0]))]
    lines = [" | ".join(row) for row in rows]
    return "\n".join(
        [f"| {lines[0]} |", f"|{'|'.join(rule)}|", *(f"| {one} |" for one in lines[1:])]
    )


def summary(results, servers):
    """Returns the table with a row for each fault and a column for each server."""
    shown = [server for server in servers if server.name in results]
    rows = [["fault", *(server.title for server in shown)]]
    for fault in injections.FAULTS:
        cells = [cell(results[server.name]["faults"], fault.name) for server in shown]
        if any(text != "–" for text in cells):
            rows.append([fault.title, *cells])
    return markdown(rows)


def cell(faults, name):
    if name not in faults:
        return "–"
    # Reported once: for the server without a fault, and for the one that is stopped under load.
    usually = 0 if name in ("none", "terminate") else usually_outliving(faults)
    return verdict(faults[name], usually)


def settings(results, servers):
    rows = [["server", "version", "settings beside the defaults, where a fault asks for them"]]
    for server in servers:
        if found := results.get(server.name):
            rows.append([server.title, found.get("version", "–"), server.how])
    return markdown(rows)


def table(server, faults):
    """Returns the table of one server's figures, as in docs/reliability.md."""
    head = "fault|requests|right|errors|lost|wrong|recovery|the faulty requests|what else"
    rows = [head.split("|")]
    for name, figures in faults.items():
        if "missing" in figures:
            rows.append([TITLES[name], *["–"] * 7, figures["missing"]])
            continue
        rows.append(
            [
                TITLES[name],
                f"{figures['requests']:,}",
                f"{figures['right']:,}",
                f"{figures['failed']:,}",
                f"{figures['broken'] + figures['silent']:,}",
                f"{figures['wrong']:,}",
                "–" if figures["ends_the_server"] else recovery(figures),
                counted(figures["fault_outcomes"]),
                ", ".join([*figures["notes"], *left(figures, 0), *figures["examples"][:3]]),
            ]
        )
    return markdown(rows, figures=range(1, 6))


def counted(outcomes):
    return ", ".join(f"{outcomes.count(one)} × {one}" for one in dict.fromkeys(outcomes)) or "–"


def page(results, servers):
    """Returns the page with the tables of all servers."""
    parts = ["# The same faults on several servers", summary(results, servers)]
    for server in servers:
        if found := results.get(server.name):
            parts += [f"## {server.title} {found.get('version', '')}"]
            parts.append(found.get("missing") or table(server, found["faults"]))
    return "\n\n".join(parts) + "\n"


def section(results, servers):
    dates = sorted({found["date"] for found in results.values() if "date" in found})
    ran = f"Run on {' and '.join(dates)}, on 2 cores; the times are of one run, and rough."
    return "\n\n".join(
        [
            BEGIN,
            "## The same faults on other servers",
            HOW,
            summary(results, servers),
            REMARKS,
            ran,
            settings(results, servers),
            END,
        ]
    )


def write_summary(results, servers):
    """Puts the section into the page, and replaces an earlier one."""
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(before.rstrip() + "\n\n" + section(results, servers) + "\n" + after)
    return PAGE
