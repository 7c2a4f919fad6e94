"""`MODE=runpod`: a worker of RunPod, beside the worker of RunPod's own SDK.

The platform is `fakes/runpod_control.py`. The tests with `worker` run first with the SDK, which
shows that the fake is right, and then with ours.
"""

import base64
import contextlib
import json
import signal
import subprocess
import threading
from pathlib import Path

import pytest
import vendors
from fakes.runpod_control import KEY, POD, control
from runpod_cases import CASES, PNG, STREAMS
from support import BINARY, PYTHON, TIMEOUT, certificate, environment, eventually

HERE = Path(__file__).parent
MODEL = HERE / "runpod_model.py"
# The retries and pauses of a worker take some of the time.
LONG = 2 * TIMEOUT


class Worker:
    """A running worker, and its output."""

    def __init__(self, command, **variables):
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment(**variables),
            text=True,
        )
        self.lines = []
        self.reader = threading.Thread(
            target=lambda: self.lines.extend(iter(self.process.stdout.readline, "")), daemon=True
        )
        self.reader.start()

    def output(self):
        return "".join(self.lines)

    def printed(self, words):
        """Waits until these words are printed."""
        eventually(lambda: words in self.output() or self.process.poll() is not None, words)
        assert words in self.output(), self.output()

    def ends(self):
        """Waits for the end, and returns the exit status."""
        status = self.process.wait(LONG)
        self.reader.join(TIMEOUT)
        return status


@contextlib.contextmanager
def working(kind, platform, **variables):
    """Runs a worker of the platform: `sdk` is RunPod's own."""
    variables = {**platform.variables(), **variables}
    if kind == "sdk":
        variables["RUNPOD_SKIP_AUTO_SYSTEM_CHECKS"] = variables["RUNPOD_SKIP_GPU_CHECK"] = "true"
        worker = Worker([vendors.python_of("runpod"), HERE / "runpod_handler.py"], **variables)
    else:
        count = variables.pop("CONCURRENCY", None)
        settings = {"MODE": "runpod", "AI_INTEGRATION_CONCURRENCY": count, **variables}
        worker = Worker([PYTHON, MODEL], **settings)
    try:
        yield worker
    finally:
        print(worker.output())
        if worker.process.poll() is None:
            worker.process.terminate()
            try:
                worker.process.wait(TIMEOUT)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
        worker.reader.join(TIMEOUT)


def job(name, **inputs):
    return {"id": name, "input": inputs}


@pytest.fixture(params=[pytest.param("sdk", marks=pytest.mark.clients), "ours"])
def worker(request):
    return request.param


@pytest.fixture
def platform():
    with control() as platform:
        yield platform


@pytest.fixture
def ours(platform):
    with working("ours", platform) as worker:
        yield worker


def test_jobs_get_the_same_results(worker, platform):
    with working(worker, platform):
        for number, (inputs, output) in enumerate(CASES):
            platform.submit(job("job-%d" % number, **inputs))
            assert platform.result("job-%d" % number, LONG) == {"output": output}


def test_a_failure_is_a_text_of_json(worker, platform):
    with working(worker, platform):
        platform.submit(job("job-1", kind="failure", text="too dark"), job("job-2", **CASES[0][0]))
        result = platform.result("job-1", LONG)
        assert list(result) == ["error"]
        error = json.loads(result["error"])
        assert "too dark" in error["error_message"]
        assert "ValueError" in error["error_traceback"]
        assert (error["worker_id"], error["hostname"]) == (POD, "unknown")
        assert isinstance(error["error_type"], str)
        assert platform.result("job-2", LONG) == {"output": CASES[0][1]}


def test_the_requests_are_those_that_the_platform_expects(worker, platform):
    with working(worker, platform):
        platform.submit(job("job-1", **CASES[0][0]))
        platform.result("job-1", LONG)
        eventually(lambda: len(platform.of_kind("job-take")) > 2, "it asks again")
        eventually(lambda: platform.of_kind("job-stop"), "it asks for jobs that must end")
        eventually(lambda: platform.of_kind("ping"), "it pings")
    take = platform.of_kind("job-take")[0]
    assert (take.method, take.query) == ("GET", {"gpu": "x", "job_in_progress": "0"})
    stop = platform.of_kind("job-stop")[0]
    assert (stop.method, stop.query) == ("GET", {"gpu": "x"})
    ping = platform.of_kind("ping")[0]
    assert (ping.method, set(ping.query)) == ("GET", {"gpu", "runpod_version"})
    assert ping.query["runpod_version"] == "1.12.0"
    (done,) = platform.of_kind("job-done")
    assert (done.method, done.job) == ("POST", "job-1")
    assert done.query == {"gpu": "x", "isStream": "false"}
    assert done.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert done.headers["X-Request-ID"] == "job-1"
    for one in platform.seen:
        assert (one.prefix, one.pod, one.headers["Authorization"]) == ("/v2/ep", POD, KEY), one


@pytest.mark.parametrize(("inputs", "parts"), STREAMS)
def test_the_parts_of_a_stream_are_sent_one_by_one(worker, platform, inputs, parts):
    with working(worker, platform, STREAMS=1):
        platform.submit(job("job-1", **inputs))
        output = platform.result("job-1", LONG)["output"]
    (done,) = platform.of_kind("job-done")
    assert done.query["isStream"] == "true"
    sent = platform.of_kind("job-stream", "job-1")
    assert all(one.query == {"gpu": "x", "isStream": "false"} for one in sent)
    sent = [one.json() for one in sent]
    assert all(list(one) == ["output"] for one in sent)
    sent = [one["output"] for one in sent]
    if worker == "ours" and isinstance(parts[0], str):
        # Pieces of a text that come at once may be sent together.
        parts, sent, output = "".join(parts), "".join(sent), [output]
        assert output == [parts]
    else:
        assert output == parts
    assert sent == parts


def test_a_stream_that_fails_ends_with_an_error(worker, platform):
    with working(worker, platform, STREAMS=1):
        platform.submit(job("job-1", kind="broken", text="too dark"))
        result = platform.result("job-1", LONG)
    assert "too dark" in result["error"]
    assert "begun" in [one.json()["output"] for one in platform.of_kind("job-stream")]


def test_as_many_jobs_are_taken_as_can_run_at_once(worker, platform):
    with working(worker, platform, CONCURRENCY=3):
        eventually(lambda: platform.of_kind("job-take-batch"), "it asks for several", LONG)
        names = ["job-1", "job-2", "job-3"]
        platform.submit(*[job(name, kind="meet", count=3) for name in names])
        for name in names:
            assert platform.result(name, LONG) == {"output": "met"}
    asked = platform.of_kind("job-take-batch")[0]
    assert asked.query == {"gpu": "x", "batch_size": "3", "job_in_progress": "0"}


def test_a_worker_says_whether_it_has_jobs(worker, platform):
    with working(worker, platform, CONCURRENCY=2):
        platform.submit(job("job-1", kind="wait"))

        def is_busy():
            takes = platform.of_kind("job-take") + platform.of_kind("job-take-batch")
            takes.sort(key=platform.seen.index)
            return takes and takes[-1].query["job_in_progress"] == "1"

        eventually(is_busy, "it asks for one more job", LONG)
        assert platform.of_kind("job-take"), "it asks for one"
        platform.stop("job-1")
        eventually(lambda: not is_busy(), "it has no job", LONG)


def test_a_ping_names_the_jobs_that_run_and_a_stop_ends_one(worker, platform):
    with working(worker, platform):
        platform.submit(job("job-1", kind="wait"))

        def is_named():
            return [one for one in platform.of_kind("ping") if one.query.get("job_id") == "job-1"]

        eventually(is_named, "a ping names the job", LONG)
        platform.stop("unknown")
        platform.stop("job-1")
        platform.submit(job("job-2", **CASES[0][0]))
        assert platform.result("job-2", LONG) == {"output": CASES[0][1]}
        eventually(lambda: "job_id" not in platform.of_kind("ping")[-1].query, "no job is named")
    assert [one.job for one in platform.of_kind("job-done")] == ["job-2"]


def test_a_job_is_taken_after_answers_without_one(worker, platform):
    platform.refuse("job-take", 204, 400, 429, 500)
    platform.submit(job("job-1", **CASES[0][0]))
    with working(worker, platform):
        assert platform.result("job-1", LONG) == {"output": CASES[0][1]}
    assert [one.status for one in platform.of_kind("job-take")][:5] == [204, 400, 429, 500, 200]


def test_a_result_is_sent_in_three_tries(worker, platform):
    platform.refuse("job-done", 500, 503)
    with working(worker, platform):
        platform.submit(job("job-1", **CASES[0][0]))
        assert platform.result("job-1", LONG) == {"output": CASES[0][1]}
    tries = platform.of_kind("job-done")
    assert [one.status for one in tries] == [500, 503, 200]
    assert len({one.body for one in tries}) == 1


def test_a_worker_that_is_told_to_stop_finishes_its_job(worker, platform, tmp_path):
    gate = tmp_path / "open"
    with working(worker, platform, CONCURRENCY=2) as process:
        platform.submit(job("job-1", kind="gate", text=str(gate)))
        process.printed("at the gate")
        process.process.send_signal(signal.SIGTERM)
        gate.touch()
        assert process.ends() == 0, process.output()
    assert platform.result("job-1", TIMEOUT) == {"output": "passed"}


def test_a_job_that_runs_is_finished_and_no_other_is_taken(platform, ours, tmp_path):
    gate = tmp_path / "open"
    platform.submit(job("job-1", kind="gate", text=str(gate)))
    ours.printed("at the gate")
    ours.process.send_signal(signal.SIGTERM)
    ours.printed("stopping; 1 jobs run")
    platform.submit(job("job-2", **CASES[0][0]))
    gate.touch()
    assert ours.ends() == 0, ours.output()
    assert platform.result("job-1", TIMEOUT) == {"output": "passed"}
    assert [one["id"] for one in platform.queue] == ["job-2"]


def test_a_job_that_does_not_end_in_time_gets_an_error(platform):
    with working("ours", platform, AI_INTEGRATION_STOP_TIMEOUT=1) as worker:
        platform.submit(job("job-1", kind="gate", text="/there/is/none"))
        worker.printed("at the gate")
        worker.process.send_signal(signal.SIGTERM)
        assert worker.ends() == 0, worker.output()
    assert error_of(platform.result("job-1", TIMEOUT))["error_type"] == "shutting_down"


def error_of(result):
    return json.loads(result["error"])


def test_a_job_holds_its_part_of_the_memory_until_it_ends(platform):
    settings = {"AI_INTEGRATION_MAX_IN_FLIGHT": "4MiB", "CONCURRENCY": 2}
    large = "x" * 3_000_000
    with working("ours", platform, **settings) as worker:
        platform.submit(job("job-1", kind="wait", text=large))
        worker.printed("waits")
        platform.submit(job("job-2", kind="text", text=large))
        worker.printed("the memory for requests is in use")
        platform.stop("job-1")
        worker.printed("was cancelled")
        platform.submit(job("job-3", kind="text", text=large))
        assert platform.result("job-3", LONG) == {"output": large.upper()}


def test_files_are_data_urls(platform, ours):
    url = "data:image/png;base64," + base64.b64encode(PNG).decode()
    for kind, output in [("picture", url), ("pictures", [url, url])]:
        platform.submit(job(kind, kind=kind))
        assert platform.result(kind, TIMEOUT) == {"output": output}
    for name, file in [("a", url), ("b", url.partition(",")[2])]:
        platform.submit(job(name, kind="size", file=file))
        assert platform.result(name, TIMEOUT) == {"output": len(PNG)}


def test_failures_have_codes(platform, ours):
    cases = [
        ("reported", {"input": {"kind": "reported", "text": "too dark"}}, "model_failed"),
        ("crash", {"input": {"kind": "crash"}}, "model_crashed"),
        ("missing", {"input": {}}, "invalid_input"),
        ("wrong", {"input": {"kind": "meet", "count": "many"}}, "invalid_input"),
        ("text", {"input": "text"}, "malformed_request"),
        ("none", {}, "malformed_request"),
        (
            "slow",
            {"input": {"kind": "wait"}, "policy": {"executionTimeout": 500}},
            "timeout",
        ),
    ]
    for name, one, code in cases:
        platform.submit({"id": name, **one})
        error = error_of(platform.result(name, TIMEOUT))
        assert (error["error_type"], error["worker_id"]) == (code, POD), error
        assert error["error_message"]
    platform.submit(job("last", **CASES[0][0]))
    assert platform.result("last", LONG) == {"output": CASES[0][1]}


def test_jobs_that_cannot_be_answered_are_logged(platform, ours):
    platform.submit([], {"input": {}}, {"id": "../x", "input": {}}, job("job-1", **CASES[0][0]))
    assert platform.result("job-1", TIMEOUT) == {"output": CASES[0][1]}
    ours.printed("a job cannot be read: its id has characters that no address may have")


def test_the_deadline_of_the_engine_ends_a_job(platform):
    with working("ours", platform, AI_INTEGRATION_TIMEOUT="0.5"):
        platform.submit(job("job-1", kind="wait"))
        assert error_of(platform.result("job-1", LONG))["error_type"] == "timeout"


def test_a_result_that_the_platform_refuses_becomes_an_error(platform, ours):
    platform.refuse("job-done", 413)
    platform.submit(job("job-1", kind="large", count=100_000))
    error = error_of(platform.result("job-1", TIMEOUT))
    assert error["error_type"] == "too_large"
    assert "status 413" in error["error_message"]


def test_a_stream_outlives_parts_that_are_refused(platform, ours):
    platform.refuse("job-stream", 404)
    platform.submit(job("job-1", kind="values"))
    assert platform.result("job-1", TIMEOUT) == {"output": [{"number": n} for n in range(3)]}
    assert len(platform.of_kind("job-stream")) == 1


def test_the_key_is_neither_logged_nor_given_to_the_model(platform):
    platform.refuse("job-take", 500)
    platform.refuse("ping", 500)
    with working("ours", platform, AI_INTEGRATION_LOG="trace") as worker:
        platform.submit(job("job-1", kind="key"))
        assert platform.result("job-1", LONG) == {"output": "hidden"}
        worker.printed("a ping failed")
        worker.process.send_signal(signal.SIGTERM)
        assert worker.ends() == 0
    assert KEY not in worker.output()
    assert "gpu=x" not in worker.output()


def test_a_worker_without_its_variables_ends_with_the_reason(platform):
    for name in ["RUNPOD_WEBHOOK_GET_JOB", "RUNPOD_WEBHOOK_POST_OUTPUT"]:
        with working("ours", platform, **{name: None}) as worker:
            assert worker.ends() == 2
        assert name in worker.output()
        assert "MODE=http" in worker.output()


def test_a_model_that_cannot_start_ends_the_worker(platform, tmp_path):
    program = tmp_path / "broken.py"
    program.write_text("import ai_integration\nraise SystemExit('no weights')\n")
    settings = {"MODE": "runpod", "AI_INTEGRATION_START_ATTEMPTS": 1}
    worker = Worker([PYTHON, program], **{**platform.variables(), **settings})
    assert worker.ends() == 70
    assert "no weights" in worker.output()
    assert platform.of_kind("job-take") == platform.of_kind("ping") == []


def test_the_platform_is_asked_over_tls(tmp_path):
    files = certificate(tmp_path)
    with control(files) as platform:
        assert platform.variables()["RUNPOD_WEBHOOK_GET_JOB"].startswith("https:")
        with working("ours", platform) as worker:
            worker.printed("no job was taken, 1 times in a row: ")
        assert platform.seen == []
        with working("ours", platform, SSL_CERT_FILE=files[0]):
            platform.submit(job("job-1", **CASES[0][0]))
            assert platform.result("job-1", LONG) == {"output": CASES[0][1]}


@pytest.mark.parametrize(
    ("command", "mode"),
    [([BINARY, "run", MODEL], "runpod"), ([PYTHON, MODEL], None), ([BINARY, "run", MODEL], None)],
)
def test_a_program_is_a_worker_by_its_mode_or_by_the_variables_of_the_platform(
    platform, command, mode
):
    worker = Worker(command, **{**platform.variables(), "MODE": mode})
    try:
        platform.submit(job("job-1", **CASES[0][0]))
        assert platform.result("job-1", LONG) == {"output": CASES[0][1]}
    finally:
        worker.process.send_signal(signal.SIGTERM)
    assert worker.ends() == 0
