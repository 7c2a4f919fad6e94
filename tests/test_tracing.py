"""OpenTelemetry traces over OTLP, as a collector receives them."""

import contextlib
import http.server
import socket
import threading
import time

import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.trace.v1 import trace_pb2
from support import environment, eventually, in_background, run, serve

MODEL = """
    import time
    import ai_integration
    while True:
        with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
            if inputs["text"] == "fail":
                ai_integration.send_result(
                    {"content-type": None, "data": None, "success": False, "error": "too dark"})
                continue
            time.sleep(0.2)
            ai_integration.send_result(
                {"content-type": "text/plain", "data": "done", "success": True})
"""
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Collector(http.server.BaseHTTPRequestHandler):
    """Reads what it is sent with OpenTelemetry's own definitions."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        request = trace_service_pb2.ExportTraceServiceRequest.FromString(body)
        self.server.got.append((self.path, dict(self.headers), request))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def collecting():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        server.daemon_threads = True
        server.got = []
        server.url = "http://127.0.0.1:%d" % server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def collector():
    with collecting() as server:
        yield server


def spans(collector):
    return [
        span
        for _, _, request in collector.got
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def attributes(span):
    values = {}
    for attribute in span.attributes:
        kind = attribute.value.WhichOneof("value")
        values[attribute.key] = getattr(attribute.value, kind)
    return values


def seconds(span):
    return (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9


# The collector gets them at once, not every five seconds.
SOON = {"OTEL_BSP_SCHEDULE_DELAY": 100, "HOST": "127.0.0.1"}


def test_a_request_is_a_span_with_its_parts(program, collector):
    with serve(program(MODEL), OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **SOON) as server:
        first = in_background(server.post, text="x", headers={"traceparent": PARENT})
        time.sleep(0.1)
        second = server.post(text="x", headers={"X-Request-Id": "mine"})
        assert first().status == second.status == 200
        eventually(lambda: len(spans(collector)) == 6, "two requests' spans")
        found = spans(collector)
        one, other = sorted(
            (span for span in found if span.kind == trace_pb2.Span.SPAN_KIND_SERVER),
            key=lambda span: span.start_time_unix_nano,
        )
        assert one.name == other.name == "POST /infer"
        assert one.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
        assert one.parent_span_id.hex() == "b7ad6b7169203331"
        assert other.trace_id != one.trace_id
        assert not other.parent_span_id
        told = attributes(other)
        assert told["http.request.method"] == "POST"
        assert told["http.route"] == "/infer"
        assert told["http.response.status_code"] == 200
        assert told["http.response.body.size"] == len("done")
        assert told["http.request.header.x-request-id"] == "mine"
        for whole, waited in [(one, 0), (other, 0.1)]:
            parts = {span.name: span for span in found if span.parent_span_id == whole.span_id}
            assert set(parts) == {"queue", "model"}
            assert all(part.trace_id == whole.trace_id for part in parts.values())
            assert 0.19 < seconds(parts["model"]) < 0.35
            assert waited - 0.03 < seconds(parts["queue"]) < waited + 0.1
            assert seconds(parts["queue"]) + seconds(parts["model"]) <= seconds(whole) + 0.001
        path, headers, request = collector.got[0]
        assert path == "/v1/traces"
        assert headers["content-type"] == "application/x-protobuf"
        service = attributes(request.resource_spans[0].resource)
        assert service["service.name"] == "ai-integration"


def test_failures_are_marked_and_found_in_the_log(program, collector):
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url + "/",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20canary",
        "OTEL_SERVICE_NAME": "night-watch",
        "AI_INTEGRATION_LOG": "debug",
        **SOON,
    }
    with serve(program(MODEL), **settings) as server:
        assert server.post(text="fail").status == 500
        assert server.post(nothing="x").status == 422
        assert server.request("/../x", method="DELETE").status == 404
        for path in ["/healthz", "/readyz", "/metrics"]:
            assert server.get(path).status == 200
        eventually(lambda: len(spans(collector)) == 5, "the spans")
        served = {
            attributes(span)["http.response.status_code"]: span
            for span in spans(collector)
            if span.kind == trace_pb2.Span.SPAN_KIND_SERVER
        }
        assert set(served) == {404, 422, 500}
        assert attributes(served[500])["error.type"] == "model_failed"
        assert attributes(served[422])["error.type"] == "invalid_input"
        assert served[500].status.code == trace_pb2.Status.STATUS_CODE_ERROR
        assert served[422].status.code == trace_pb2.Status.STATUS_CODE_UNSET
        _, headers, request = collector.got[0]
        assert headers["authorization"] == "Bearer canary"
        assert attributes(request.resource_spans[0].resource)["service.name"] == "night-watch"
        log = server.output()
        assert "00-%s-%s-01" % (served[500].trace_id.hex(), served[500].span_id.hex()) in log
        assert "canary" not in log


def test_what_is_not_sampled_is_not_sent(program, collector):
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_TRACES_SAMPLER": "always_off"}
    with serve(program(MODEL), **settings, **SOON) as server:
        assert server.post(text="x").status == 200
        time.sleep(0.5)
    assert spans(collector) == []


def test_the_last_spans_are_sent_when_it_stops(program, collector):
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "HOST": "127.0.0.1"}
    with serve(program(MODEL), **settings) as server:
        assert server.post(text="x").status == 200
        assert server.stop() == 0
        assert len(spans(collector)) == 3


@pytest.mark.parametrize("way", ["closed", "silent"])
def test_a_missing_collector_delays_no_request(program, way):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if way == "silent":
            listener.listen()
        url = "http://127.0.0.1:%d" % listener.getsockname()[1]
        with serve(program(MODEL), OTEL_EXPORTER_OTLP_ENDPOINT=url, **SOON) as server:
            for _ in range(3):
                begin = time.monotonic()
                assert server.post(text="x").status == 200
                assert time.monotonic() - begin < 0.5
            begin = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - begin < 6
            assert "traces were not sent" in server.output() or way == "closed"


def test_invalid_settings_are_refused_at_the_start(program):
    path = program(MODEL)
    for nonsense in ["collector:4318", "ftp://collector", "http://"]:
        ended = run(path, mode="http", OTEL_EXPORTER_OTLP_ENDPOINT=nonsense)
        assert ended.returncode == 2
        assert b"OTEL_EXPORTER_OTLP_ENDPOINT" in ended.stderr
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" not in environment()
