"""Load on a server by oha or over gRPC, and the figures of one run."""

import statistics
import tempfile
import time

import environments
import process
import works

# The timeout of a request, in seconds.
REQUEST_PATIENCE = 10


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
    found = _send(running, work, seconds)
    used = running.processor_time() - before
    good = found["requests"]
    if not good:
        raise process.Failed(f"no request succeeded: {found['reason']}")
    return {
        "requests_per_second": good / found["seconds"],
        "p50_ms": found["p50"] * 1000,
        "p99_ms": found["p99"] * 1000,
        "cpu_per_1000": used / good * 1000,
        "errors": found["errors"],
    }


def warm_up(running, work, seconds):
    _send(running, work, seconds)


def _send(running, work, seconds):
    """Sends requests, and returns what `bench/grpc` prints of them, also if oha has sent them."""
    if work.tensors == works.GRPC:
        return running.call(work, work.clients, seconds)
    found = _oha(running, work, seconds)
    statuses = {int(status): count for status, count in found["statusCodeDistribution"].items()}
    good = sum(count for status, count in statuses.items() if status < 300)
    broken = found["errorDistribution"]
    times = found["latencyPercentilesSuccessful"]
    return {
        "requests": good,
        "errors": sum(statuses.values()) - good + sum(broken.values()),
        "seconds": found["summary"]["total"],
        "p50": times["p50"],
        "p99": times["p99"],
        "reason": ", ".join([*broken, *(f"status {status}" for status in statuses)]),
    }


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
            *(word for header in request.headers.items() for word in ("-H", ": ".join(header))),
            f"http://127.0.0.1:{running.port}{request.path}",
        ]
        return process.output_of(command, seconds + process.MORE_PATIENCE)
