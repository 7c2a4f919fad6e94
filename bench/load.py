"""Load on a server by oha, and the figures of one run."""

import json
import statistics
import subprocess
import tempfile
import time

import environments
import process

# The timeout of a request, and the time that oha may exceed its duration by, in seconds.
REQUEST_PATIENCE = 10
MORE_PATIENCE = 20


def measure(running, work, seconds):
    """Puts a server under load for some seconds, and returns the figures of that time."""
    if not work.in_rounds:
        return _measure_once(running, work, seconds)
    end = time.monotonic() + seconds
    rounds = [_measure_once(running, work, seconds)]
    while time.monotonic() < end:
        rounds.append(_measure_once(running, work, seconds))
    figures = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    return {**figures, "errors": sum(one["errors"] for one in rounds)}


def _measure_once(running, work, seconds):
    before = running.processor_time()
    found = _oha(running, work, seconds)
    used = running.processor_time() - before

    statuses = {int(status): count for status, count in found["statusCodeDistribution"].items()}
    good = sum(count for status, count in statuses.items() if status < 300)
    broken = sum(found["errorDistribution"].values())
    if not good:
        reasons = [*found["errorDistribution"], *(f"status {status}" for status in statuses)]
        raise process.Failed("no request succeeded: " + ", ".join(reasons))
    times = found["latencyPercentilesSuccessful"]
    return {
        "requests_per_second": good / found["summary"]["total"],
        "p50_ms": times["p50"] * 1000,
        "p99_ms": times["p99"] * 1000,
        "cpu_per_1000": used / good * 1000,
        "errors": sum(statuses.values()) - good + broken,
    }


def warm_up(running, work, seconds):
    _oha(running, work, seconds)


def _oha(running, work, seconds):
    """Runs oha for some seconds, or for one round. Returns what it prints."""
    # -w: oha waits for requests in flight when the time is up. Otherwise a slow server would lose
    # them, and would still be busy with them in the next run.
    extent = ("-n", work.clients) if work.in_rounds else ("-z", f"{seconds}s", "-w")
    request = running.server.request(work)
    with tempfile.NamedTemporaryFile() as body:
        body.write(request.body)
        body.flush()
        command = [
            *(environments.OHA, "--no-tui", "--output-format", "json", "--stats-success-breakdown"),
            *(*extent, "-c", work.clients, "-t", f"{REQUEST_PATIENCE}s"),
            *("-m", "POST", "-T", request.type, "-D", body.name, "--disable-compression"),
            f"http://127.0.0.1:{running.port}{request.path}",
        ]
        with subprocess.Popen(
            list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as oha, process.own_child(oha.pid):
            try:
                output, complaint = oha.communicate(timeout=seconds + MORE_PATIENCE)
            except subprocess.TimeoutExpired:
                oha.kill()
                raise process.Failed("the load generator did not come to its end") from None
    if oha.returncode:
        raise process.Failed(f"the load generator failed: {complaint.decode()[-200:]}")
    return json.loads(output)
