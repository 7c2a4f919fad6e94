"""Causes the same faults on this project's server and on its peers, and compares the outcomes.

    make bench-faults   all of it, some 25 minutes; writes the summary into docs/reliability.md

For each fault, a server is started with two workers. While the fault happens, it gets requests, and
all responses are checked. Then its resources are compared with those before, and it is stopped. The
figures are saved after each fault, so that a run can be continued or repeated in parts.
"""

import argparse
import datetime
import json
import signal
import sys
import time
from dataclasses import replace

import checked
import environments
import faultreport
import injections
import process
import scene
import servers

RESULTS = environments.CACHE / "faults.json"
REPORT = environments.CACHE / "report" / "faults.md"
SEED = 1


def with_faults(name, **more):
    known = {server.name: server for server in servers.SERVERS}
    return replace(known[name], **more)


# The servers of the benchmark, each with a program from `peers/NAME` that causes the faults. Access
# logs are off, as in the benchmark. All other settings are the defaults, except those that `how`
# names.
SERVERS = [
    with_faults(
        "ai_integration",
        command=("{bin}/python", "faults.py"),
        how="workers are always started again. Time limit `AI_INTEGRATION_TIMEOUT=1` (with the "
        "default grace of 5 s), queue `AI_INTEGRATION_QUEUE=10`, leak `AI_INTEGRATION_MAX_RSS=200`",
    ),
    with_faults(
        "litserve",
        command=("{bin}/python", "faults.py"),
        how="`restart_workers=True`. Time limit `timeout=1`, which holds for the wait in the queue "
        "alone; it has no setting for the queue or for leaks. With `fast_queue`, the "
        "outcomes of kill -9, the segfault and the fork were the same",
    ),
    with_faults(
        "bentoml",
        command=(
            *("{bin}/bentoml", "serve", "faults:Model"),
            *("--host", "127.0.0.1", "--port", "{port}"),
        ),
        how="workers are always started again. Time limit `traffic.timeout=1`, queue "
        "`traffic.max_concurrency=10`; it has no setting for leaks",
    ),
    with_faults(
        "mosec",
        command=("{bin}/python", "faults.py", "--address", "127.0.0.1", "--port", "{port}"),
        how="workers are always started again. Time limit `MOSEC_TIMEOUT=1000`, which holds for "
        "the request and for `forward`; queue `MOSEC_CAPACITY=10`, uploads "
        "`MOSEC_MAX_REQUEST_SIZE` of 100 MB; it has no setting for leaks",
    ),
]

# The names of the settings that limit a fault in these servers. The programs of the other servers
# read the names on the left themselves.
NAMES = {
    "ai_integration": {
        "TIME_LIMIT": "AI_INTEGRATION_TIMEOUT",
        "QUEUE_LIMIT": "AI_INTEGRATION_QUEUE",
        "MEMORY_LIMIT": "AI_INTEGRATION_MAX_RSS",
        "BODY_LIMIT": "AI_INTEGRATION_MAX_BODY",
    },
    "mosec": {
        "TIME_LIMIT": "MOSEC_TIMEOUT",
        "QUEUE_LIMIT": "MOSEC_CAPACITY",
        "BODY_LIMIT": "MOSEC_MAX_REQUEST_SIZE",
    },
}


def main():
    options = parse_options()
    # On SIGTERM, the `finally` blocks stop the servers that this program has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    process.adopt_orphans()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if not options.render:
        run(options, results)
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(faultreport.page(results, SERVERS))
    print(f"written: {REPORT}")
    if options.write:
        print(f"written: {faultreport.write_summary(results, SERVERS)}")


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--servers", type=names_of(SERVERS), default=SERVERS, metavar="NAMES")
    parser.add_argument(
        "--faults", type=names_of(injections.FAULTS), default=injections.FAULTS, metavar="NAMES"
    )
    parser.add_argument("--render", action="store_true", help="report earlier results again")
    parser.add_argument(
        "--write", action="store_true", help="put the summary into docs/reliability.md"
    )
    return parser.parse_args()


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


def run(options, results):
    for server in options.servers:
        print(f"\n{server.title}", flush=True)
        kept = results.setdefault(server.name, {"faults": {}})
        try:
            folder = environments.prepare(server)
        except environments.Failed as failure:
            kept["missing"] = f"cannot be installed here: {failure}"
            print(f"  {kept['missing']}")
            continue
        kept |= {
            "version": environments.version(server),
            "date": datetime.date.today().isoformat(),
        }
        for fault in options.faults:
            begin = time.monotonic()
            figures = visit(server, fault, folder)
            figures["seconds"] = time.monotonic() - begin
            kept["faults"][fault.name] = figures
            RESULTS.write_text(json.dumps(results, indent=1))
            print(
                f"  {fault.title:52}{figures['seconds']:6.1f} s   {faultreport.verdict(figures)}",
                flush=True,
            )


def visit(server, fault, folder):
    """Starts a server once, and causes one fault."""
    try:
        with process.serve(limited(server, fault.limits), scene.WORK, folder) as running:
            act = scene.Scene(running, SEED)
            act.prepare()
            fault.act(act)
            act.finish()
            return figures_of(act)
    except (process.Failed, OSError) as failure:
        return {"missing": str(failure)}


def limited(server, limits):
    """Returns the server with the limits of a fault, under the server's own names of settings."""
    names = NAMES.get(server.name, {})
    values = {names.get(name, name): value for name, value in limits.items()}
    if "MOSEC_TIMEOUT" in values:
        values["MOSEC_TIMEOUT"] += "000"  # This server takes milliseconds.
    return replace(server, variables=lambda start: {**server.variables(start), **values})


def figures_of(act):
    outcomes = act.load.outcomes
    count = {kind: sum(one.kind == kind for one in outcomes) for kind in checked.KINDS}
    figures = {
        "requests": len(outcomes),
        **count,
        "examples": sorted({str(one) for one in outcomes if one.kind != checked.RIGHT})[:10],
        "fault_outcomes": [str(one) for one in act.fault_outcomes],
        "unanswered": sum(
            one.kind in (checked.BROKEN, checked.SILENT) for one in act.fault_outcomes
        ),
        "notes": act.notes,
        "outliving": act.outliving,
        "ended_in": act.ended_in,
        "ends_the_server": act.ends_the_server,
    }
    if not act.ends_the_server:
        figures |= {
            "recovery": act.recovery,
            "workers": act.workers_after,
            "processes": len(act.after.processes) - len(act.before.processes),
            "descriptors": act.after.descriptors - act.before.descriptors,
            "memory": act.after.memory - act.before.memory,
            "busy": act.busy,
        }
    return figures


if __name__ == "__main__":
    main()
