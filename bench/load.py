"""Load on a server by oha, and the figures of one run."""

import json
import subprocess
import tempfile

import environments
import process

# The timeout of a request, and the time that oha may exceed its duration by, in seconds.
REQUEST_PATIENCE = 10
MORE_PATIENCE = 20


def measure(running, work, seconds):
    """Puts a server under load for some seconds, and returns the figures of that time."""
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
    request = running.server.request(work)
    with tempfile.NamedTemporaryFile() as body:
        body.write(request.body)
        body.flush()
        command = [
            *(environments.OHA, "--no-tui", "--output-format", "json", "--stats-success-breakdown"),
            # -w: oha waits for requests in flight when the time is up. Otherwise a slow server
            # would lose them, and would still be busy with them in the next run.
            *("-z", f"{seconds}s", "-w", "-c", str(work.clients), "-t", f"{REQUEST_PATIENCE}s"),
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
