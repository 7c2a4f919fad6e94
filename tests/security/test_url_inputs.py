"""Inputs given as URLs: off by default, and no way to reach private addresses.

The server must not connect to a refused address: a canary on loopback counts connections.
"""

import contextlib
import http.server
import json
import re
import ssl
import subprocess
import threading
import time
import urllib.parse

import pytest
import support
from support import PYTHON, environment, eventually, serve

MODEL = """
    import ai_integration
    schema = {
        "file": {"type": "file", "required": False},
        "image": {"type": "image", "required": False},
        "text": {"type": "text", "required": False},
        "files": {"type": "file", "required": False, "list": True},
        "images": {"type": "image", "required": False, "list": True},
    }
    while True:
        with ai_integration.get_next_input(inputs_schema=schema) as inputs:
            parts = ["%s=%d bytes %r" % (name, len(value), value[:80])
                     for name, value in sorted(inputs.items())]
            ai_integration.send_result(
                {"content-type": "text/plain", "data": "; ".join(parts), "success": True})
"""
CONTENT = b"what the canary keeps"


class Canary(http.server.BaseHTTPRequestHandler):
    """A server that records its requests: in most tests it must not get any."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.append((self.path, dict(self.headers)))
        name, _, rest = self.path[1:].partition("/")
        getattr(self, "_" + name, self._nothing)(rest)

    def _send(self, status, content=b"", **headers):
        self.send_response(status)
        for header, value in headers.items():
            self.send_header(header.replace("_", "-"), value)
        self.send_header("Content-Length", len(content))
        self.end_headers()
        self.wfile.write(content)

    def _file(self, _):
        self._send(200, CONTENT)

    def _large(self, length):
        self._send(200, b"x" * int(length))

    def _endless(self, _):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(1000):
                self.wfile.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        self.close_connection = True

    def _slow(self, _):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(50):
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.2)
        self.close_connection = True

    def _packed(self, _):
        self._send(200, CONTENT, Content_Encoding="gzip")

    def _to(self, place):
        self._send(302, Location=place)

    def _round(self, left):
        self._send(302, Location="/round/%d" % (int(left) - 1) if int(left) > 1 else "/file")

    def _nothing(self, _):
        self._send(404, b"there is no such thing")

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def listening(address="127.0.0.1", certificate=None):
    with http.server.ThreadingHTTPServer((address, 0), Canary) as server:
        server.daemon_threads = True
        server.asked = []
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
            server.socket = context.wrap_socket(server.socket, server_side=True)
        server.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def canary():
    with listening() as server:
        yield server


@pytest.fixture(autouse=True)
def forget(canary):
    canary.asked.clear()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    import textwrap

    path = tmp_path_factory.mktemp("model") / "entrypoint.py"
    path.write_text(textwrap.dedent(MODEL))
    return path


@pytest.fixture(scope="module")
def public(model, canary):
    """Runs a server that fetches from every public host, and from no private address."""
    ports = "80,443,%d" % canary.port
    settings = {"AI_INTEGRATION_URL_INPUTS": "*", "AI_INTEGRATION_URL_PORTS": ports}
    with serve(model, HOST="127.0.0.1", AI_INTEGRATION_URL_TIMEOUT=5, **settings) as server:
        yield server


@pytest.fixture(scope="module")
def trusting(model, canary):
    """Runs a server that may fetch from loopback too."""
    settings = {
        "AI_INTEGRATION_URL_INPUTS": "127.0.0.1, localhost",
        "AI_INTEGRATION_URL_NETWORKS": "127.0.0.1, ::1",
        "AI_INTEGRATION_URL_PORTS": canary.port,
        "AI_INTEGRATION_URL_TIMEOUT": 2,
        "AI_INTEGRATION_MAX_BODY": 1 << 20,
    }
    with serve(model, HOST="127.0.0.1", **settings) as server:
        yield server


def message(answer):
    assert answer.status == 422, answer
    problem = answer.json()
    assert problem["code"] == "invalid_input"
    (error,) = problem["errors"]
    return error["message"]


def test_nothing_is_fetched_by_default(model, canary):
    with serve(model, HOST="127.0.0.1") as server:
        url = "http://127.0.0.1:%d/file" % canary.port
        for name in ["file", "image"]:
            assert "AI_INTEGRATION_URL_HOSTS" in message(server.post(**{name: url}))
        # A text is a text.
        assert server.post(text=url).status == 200
    assert canary.asked == []


HOSTS = [
    "127.0.0.1",
    "127.1",
    "0",
    "0x7f.1",
    "2130706433",
    "017700000001",
    "0.0.0.0",
    "127.127.127.127",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "127。0。0。1",
    "①②⑦.0.0.1",
    "localhost",
    "localhost.",
    "LOCALHOST",
    "ip6-localhost",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "[fd00::8]",
    "[fe80::1]",
    "[fec0::1]",
    "[ff02::1]",
    "[2001:db8::1]",
]


@pytest.mark.parametrize("host", HOSTS)
def test_private_addresses_are_not_connected_to(public, canary, host):
    begin = time.monotonic()
    words = message(public.post(file="http://%s:%d/file" % (host, canary.port)))
    # Nothing was dialled: these would hang, or be refused in other words.
    assert time.monotonic() - begin < 4
    is_name = host.strip(".").lower() in ("localhost", "ip6-localhost")
    expected = "the file cannot be fetched" if is_name else "URLs with this host are not fetched"
    assert words.startswith(expected), words
    assert canary.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "http://user@127.0.0.1:{port}/file",
        "http://user:secret@example.org:{port}/file",
        "http://127.0.0.1:{port}#@example.org/file",
        "http://example.org@127.0.0.1:{port}/file",
        "http://example.org\\@127.0.0.1:{port}/file",
        "http:\\\\127.0.0.1:{port}\\file",
        "http:127.0.0.1:{port}/file",
        "http:///127.0.0.1:{port}/file",
        "http://127.0.0.1:{port}\t/file",
        "http://127.0.0.1%00:{port}/file",
        "http://example.org:22/",
        "http://[::1%25lo]:{port}/file",
        "https://127.0.0.1:{port}/file",
        "file:///etc/hostname",
        "gopher://127.0.0.1:{port}/_GET",
        "ftp://127.0.0.1:{port}/file",
        "unix:///run/docker.sock",
        "jar:http://127.0.0.1:{port}!/file",
        " http://127.0.0.1:{port}/file",
        "http://",
        "http://:80/",
        "http://" + "a" * 9000,
    ],
)
def test_no_spelling_reaches_a_private_address(public, canary, url):
    message(public.post(file=url.format(port=canary.port)))
    assert canary.asked == []


def test_only_the_log_has_the_reason_of_a_failed_fetch(trusting, canary):
    """The message is always the same, so that it does not show which ports are open."""
    urls = [
        "http://127.0.0.1:%d/none" % canary.port,
        "http://localhost:%d/none" % canary.port,
        "http://127.0.0.1:%d/large/2000000" % canary.port,
        "http://127.0.0.1:%d/endless" % canary.port,
        "http://127.0.0.1:%d/slow" % canary.port,
        "http://127.0.0.1:%d/packed" % canary.port,
        "https://127.0.0.1:%d/file" % canary.port,
        "http://127.0.0.1:%d/to/http://127.0.0.1:22/" % canary.port,
        "http://127.0.0.1:%d/to/http://127.0.0.2:%d/" % (canary.port, canary.port),
        "http://127.0.0.1:%d/to/file:///etc/hostname" % canary.port,
        "http://127.0.0.1:%d/round/5" % canary.port,
    ]
    assert len({message(trusting.post(file=url)) for url in urls}) == 1
    eventually(lambda: "status 404" in trusting.output(), "the reason is in the log")
    trusting.wait_for_output("too large")
    trusting.wait_for_output("redirects")


def test_a_file_is_fetched(trusting, canary):
    url = "http://127.0.0.1:%d/file" % canary.port
    expected = b"file=%d bytes %r" % (len(CONTENT), CONTENT)
    assert trusting.post(file=url).body == expected.replace(b'b"', b"b'")
    assert trusting.request("/infer", b'{"file": " %s"}' % url.encode(), JSON).body == expected
    (path, headers), _ = canary.asked
    assert path == "/file"
    # No header of the client's request is passed on.
    assert set(map(str.lower, headers)) == {"accept", "accept-encoding", "host", "user-agent"}


JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def urlencoded(**fields):
    return urllib.parse.urlencode(fields, doseq=True).encode()


def test_a_request_may_limit_the_time_of_its_files_too(trusting, canary):
    url = "http://127.0.0.1:%d/slow" % canary.port
    begin = time.monotonic()
    answer = trusting.post(file=url, headers={"AI-Integration-Timeout": "0.5"})
    assert (answer.status, answer.json()["code"]) == (504, "timeout")
    assert time.monotonic() - begin < 1


def test_nothing_is_fetched_for_a_request_with_another_invalid_input(trusting, canary):
    url = "http://127.0.0.1:%d/file" % canary.port
    answer = trusting.post(file=url, text=b"\xff\xfe")
    assert "expected text" in message(answer)
    assert canary.asked == []


def test_everything_that_is_wrong_is_named(trusting, canary):
    url = "http://127.0.0.1:%d/none" % canary.port
    errors = trusting.post(file=url, image=url).json()["errors"]
    assert [error["name"] for error in errors] == ["file", "image"]


def test_redirects_are_followed_three_times(trusting, canary):
    start = "http://localhost:%d" % canary.port
    assert CONTENT in trusting.post(file=start + "/round/3").body
    message(trusting.post(file=start + "/round/4"))


def test_each_redirect_is_checked(model, canary):
    """A redirect may not lead from an allowed address to a refused one."""
    with listening("127.0.0.2") as stepping_stone:
        settings = {
            "AI_INTEGRATION_URL_INPUTS": "*",
            "AI_INTEGRATION_URL_NETWORKS": "127.0.0.2",
            "AI_INTEGRATION_URL_PORTS": "%d,%d" % (canary.port, stepping_stone.port),
        }
        with serve(model, HOST="127.0.0.1", **settings) as server:
            start = "http://127.0.0.2:%d" % stepping_stone.port
            assert CONTENT in server.post(file=start + "/file").body
            for host in ["127.0.0.1", "localhost", "[::1]", "127.1"]:
                message(server.post(file="%s/to/http://%s:%d/file" % (start, host, canary.port)))
            assert len(stepping_stone.asked) == 5
    assert canary.asked == []


def test_a_picture_is_looked_at_as_any_other(trusting, canary):
    words = message(trusting.post(image="http://127.0.0.1:%d/file" % canary.port))
    assert "expected a picture" in words


def test_all_files_of_a_request_together_are_bounded(trusting, canary):
    url = "http://127.0.0.1:%d/large/600000" % canary.port
    assert trusting.post(file=url).status == 200
    answer = trusting.post(file=url, image=url)
    assert "cannot be fetched" in message(answer)
    most = "at most 1048576 bytes together with the request's other files from URLs"
    assert most in message(answer)


def test_the_files_of_a_list_are_fetched_each_in_its_place(trusting, canary):
    start = "http://127.0.0.1:%d" % canary.port
    items = [start + "/file", "YQ==", " %s/file" % start]
    body = json.dumps({"files": items}).encode()
    expected = b"files=3 bytes %r" % [CONTENT, b"a", CONTENT]
    assert trusting.request("/infer", body, JSON).body == expected
    assert trusting.request("/infer", urlencoded(files=items), FORM).body == expected
    assert trusting.post(**{"files": json.dumps(items)}).body == expected
    assert len(canary.asked) == 6


def test_errors_in_the_files_of_a_list_name_their_places(trusting, public, canary):
    start = "http://127.0.0.1:%d" % canary.port
    body = {"files": ["YQ==", start + "/none"], "images": [start + "/none"]}
    errors = trusting.request("/infer", json.dumps(body).encode(), JSON).json()["errors"]
    assert [error["name"] for error in errors] == ["files[1]", "images[0]"]
    body = json.dumps({"images": [start + "/file"]}).encode()
    (error,) = trusting.request("/infer", body, JSON).json()["errors"]
    assert error["name"] == "images[0]"
    assert "expected a picture" in error["message"]
    canary.asked.clear()
    body = json.dumps({"files": ["YQ==", start + "/file"]}).encode()
    (error,) = public.request("/infer", body, JSON).json()["errors"]
    assert (error["name"], canary.asked) == ("files[1]", [])
    body = json.dumps({"files": [start + "/file"] * 1000}).encode()
    errors = public.request("/infer", body, JSON).json()["errors"]
    assert len(errors) == 20
    assert canary.asked == []


def test_all_files_of_a_list_together_are_bounded(trusting, canary):
    url = "http://127.0.0.1:%d/large/600000" % canary.port
    body = json.dumps({"files": [url, url]}).encode()
    assert "cannot be fetched" in message(trusting.request("/infer", body, JSON))


def test_slow_servers_do_not_delay_other_requests(trusting, canary):
    waiting = []
    for _ in range(20):
        thread = threading.Thread(
            target=trusting.post, kwargs={"file": "http://127.0.0.1:%d/slow" % canary.port}
        )
        thread.start()
        waiting.append(thread)
    begin = time.monotonic()
    assert trusting.post(text="x").status == 200
    assert time.monotonic() - begin < 1
    for thread in waiting:
        thread.join(10)
        assert not thread.is_alive()
    assert time.monotonic() - begin < 8


def test_certificates_are_checked(model, tmp_path):
    support.certificate(tmp_path, addresses="DNS:localhost")
    with listening(certificate=tmp_path) as server:
        settings = {
            "AI_INTEGRATION_URL_INPUTS": "*",
            "AI_INTEGRATION_URL_NETWORKS": "127.0.0.1, ::1",
            "AI_INTEGRATION_URL_PORTS": server.port,
        }
        url = "https://%s:%d/file"
        # As its operator adds certificates to those of the system.
        known = {"SSL_CERT_FILE": tmp_path / "cert.pem"}
        with serve(model, HOST="127.0.0.1", **known, **settings) as trusting:
            assert CONTENT in trusting.post(file=url % ("localhost", server.port)).body
            # The certificate is for another name.
            message(trusting.post(file=url % ("127.0.0.1", server.port)))
        with serve(model, HOST="127.0.0.1", **settings) as strict:
            message(strict.post(file=url % ("localhost", server.port)))


def test_every_address_of_a_name_has_to_be_public(model, canary, tmp_path):
    """One name has a public and a private address, the other one has only a private one."""
    hosts = tmp_path / "hosts"
    hosts.write_text("192.0.2.1 documentation.test\n127.0.0.1 mixed.test\n1.1.1.1 mixed.test\n")
    inside = ["unshare", "--user", "--map-root-user", "--mount"]
    able = subprocess.run([*inside, "mount", "--bind", hosts, "/etc/hosts"], capture_output=True)
    if able.returncode:
        pytest.skip("no mount namespaces: %s" % able.stderr.decode(errors="replace").strip())
    script = 'mount --bind %s /etc/hosts && exec "$@"' % hosts
    settings = {
        "AI_INTEGRATION_URL_INPUTS": "*.test",
        "AI_INTEGRATION_URL_PORTS": canary.port,
        "AI_INTEGRATION_URL_TIMEOUT": 5,
    }
    command = [*inside, "sh", "-c", script, "sh", PYTHON]
    with serve(model, HOST="127.0.0.1", command=command, **settings) as server:
        for name, address in [("mixed.test", "127.0.0.1"), ("documentation.test", "192.0.2.1")]:
            message(server.post(file="http://%s:%d/file" % (name, canary.port)))
            server.wait_for_output(re.escape(address + " is not a public address"))
    assert canary.asked == []


def test_invalid_settings_are_refused_at_the_start(model):
    for variable, value in [
        ("AI_INTEGRATION_URL_NETWORKS", "home"),
        ("AI_INTEGRATION_URL_PORTS", "http"),
        ("AI_INTEGRATION_URL_TIMEOUT", "0"),
        ("AI_INTEGRATION_URL_INPUTS", "https://example.org"),
    ]:
        settings = {"MODE": "http", "AI_INTEGRATION_URL_INPUTS": "*", variable: value}
        ended = subprocess.run(
            [PYTHON, model], env=environment(**settings), capture_output=True, timeout=20
        )
        assert ended.returncode == 2
        assert variable in ended.stderr.decode()
