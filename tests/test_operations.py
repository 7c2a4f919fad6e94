"""Metrics and logs report what happened, and match the documentation."""

import json
import re

import pytest
from support import REPOSITORY, eventually, in_background, serve

OPERATIONS = REPOSITORY / "docs" / "operations"
MODEL = """
    import os, time
    import ai_integration

    while True:
        with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
            text = inputs["text"]
            if text == "exit":
                os._exit(3)
            if text == "raise":
                raise ValueError("no such size")
            if text == "slow":
                time.sleep(0.5)
            success = text != "fail"
            ai_integration.send_result({"content-type": "text/plain", "data": text,
                                        "success": success, "error": "too dark"})
"""
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.M)


def metrics(server, **headers):
    """The samples: name and labels as they are written, with their values."""
    answer = server.get("/metrics", **headers)
    assert answer.status == 200, answer
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    text = answer.body.decode()
    assert text.endswith("# EOF\n")
    return {
        name + ("{%s}" % labels if labels else ""): float(value)
        for name, labels, value in SAMPLE.findall(text)
    }


def names(samples):
    """The metrics' own names, without what a histogram's samples add."""
    return {re.sub(r"_(bucket|sum|count)(\{.*)?$|\{.*$", "", name) for name in samples}


def test_metrics_count_requests_and_workers(program):
    with serve(program(MODEL)) as server:
        for text in ["a", "b", "fail", "exit"]:
            server.post(text=text)
        server.post(other="x")
        server.get("/nowhere")
        eventually(lambda: metrics(server)["ai_integration_workers_ready"] == 1, "the new worker")
        seen = metrics(server)
    total = {
        'ai_integration_jobs_total{outcome="succeeded"}': 2,
        'ai_integration_jobs_total{outcome="failed"}': 1,
        'ai_integration_jobs_total{outcome="model_crashed"}': 1,
        'ai_integration_http_requests_total{route="/infer",status="200"}': 2,
        'ai_integration_http_requests_total{route="/infer",status="500"}': 2,
        'ai_integration_http_requests_total{route="/infer",status="422"}': 1,
        'ai_integration_http_requests_total{route="other",status="404"}': 1,
        'ai_integration_http_failures_total{code="model_failed"}': 1,
        'ai_integration_http_failures_total{code="model_crashed"}': 1,
        'ai_integration_http_failures_total{code="invalid_input"}': 1,
        'ai_integration_worker_ends_total{cause="exited"}': 1,
        "ai_integration_job_duration_seconds_count": 4,
        "ai_integration_queue_wait_seconds_count": 4,
        "ai_integration_queue_depth": 0,
        "ai_integration_jobs_in_flight": 0,
        "ai_integration_http_in_flight_bytes": 0,
        "ai_integration_http_connections_refused_total": 0,
    }
    assert {name: seen.get(name) for name in total} == total
    assert seen['ai_integration_worker_resident_memory_bytes{worker="1"}'] > 1 << 20


def test_metrics_report_waiting_requests(program):
    with serve(program(MODEL)) as server:
        waiting = [in_background(server.post, text="slow") for _ in range(3)]
        eventually(lambda: metrics(server)["ai_integration_jobs_in_flight"] == 1, "a job runs")
        with pytest.raises(TimeoutError):
            server.request("/infer", b"text=x", FORM, timeout=0.05)
        left = 'ai_integration_http_requests_total{route="/infer",status="499"}'
        eventually(lambda: metrics(server).get(left) == 1, "the client that left is noticed")
        seen = metrics(server)
        assert seen["ai_integration_queue_depth"] == 2
        assert seen["ai_integration_http_in_flight_bytes"] > 3 * len("slow")
        assert seen["ai_integration_http_connections"] >= 4
        for answer in waiting:
            answer()
        seen = metrics(server)
        assert seen["ai_integration_http_in_flight_bytes"] == 0
        assert seen["ai_integration_queue_wait_seconds_sum"] > 1


def test_the_documentation_names_the_metrics_that_there_are(program):
    page = (OPERATIONS / "metrics.md").read_text()
    documented = set(re.findall(r"^\| `(\w+)` \|", page, re.M))
    with serve(program(MODEL)) as server:
        server.post(text="x")
        metrics(server)
        assert names(metrics(server)) == documented
        causes = set(re.findall(r'worker_ends_total\{cause="(\w+)"', "\n".join(metrics(server))))
    assert len(causes) > 5
    assert all("`%s`" % cause in page for cause in causes)
    for file in ["dashboard.json", "alerts.yml"]:
        used = set(re.findall(r"ai_integration_\w+", (OPERATIONS / file).read_text()))
        assert len(used) > 3, file
        assert names(used) <= documented, file
    # Whatever is counted is shown.
    shown = set(re.findall(r"ai_integration_\w+", (OPERATIONS / "dashboard.json").read_text()))
    assert names(shown) == documented


def test_the_dashboard_is_one():
    dashboard = json.loads((OPERATIONS / "dashboard.json").read_text())
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"]) > 5
    assert all(panel["targets"] for panel in dashboard["panels"])


def lines(server):
    """The log's lines that are JSON."""
    return [json.loads(line) for line in server.output().splitlines() if line.startswith("{")]


def test_the_log_is_json_where_no_terminal_reads_it(program):
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with serve(program(MODEL), AI_INTEGRATION_LOG_FORMAT=None) as server:
        headers = {"X-Request-Id": "order-66", "traceparent": traceparent}
        answer = server.post(text="raise", headers=headers)
        assert answer.headers["X-Request-Id"] == answer.json()["request_id"] == "order-66"
        server.wait_for_output("order-66")
        told = [line for line in lines(server) if line.get("request_id") == "order-66"]
    assert [line["code"] for line in told] == ["model_failed"]
    assert told[0]["level"] == "WARN"
    assert told[0]["route"] == "/infer"
    assert told[0]["traceparent"] == traceparent
    assert "ValueError: no such size" in told[0]["message"]
    assert "Traceback" in told[0]["message"]


@pytest.mark.parametrize("given", ["", "a b", "x" * 101, "<script>"])
def test_a_request_has_an_id_of_its_own_unless_it_brings_a_plain_one(program, given):
    with serve(program(MODEL)) as server:
        ids = {
            server.post(text="x", headers={"X-Request-Id": given}).headers["X-Request-Id"]
            for _ in range(3)
        }
    assert len(ids) == 3
    assert all(re.fullmatch("[0-9a-f]{16}", name) for name in ids)


def test_at_debug_every_request_is_logged(program):
    with serve(program(MODEL), AI_INTEGRATION_LOG="debug") as server:
        server.post(text="secret words", headers={"X-Request-Id": "mine"})
        server.wait_for_output(r"answered after .*request_id=\"?mine")
        assert "secret words" not in server.output()
