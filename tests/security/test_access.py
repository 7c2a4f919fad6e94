"""Access to the server: Host, Origin, token, rate, TLS."""

import re
import ssl
import subprocess
import urllib.request

import pytest
from raw import connected, seconds_until_closed
from support import BINARY, run, serve

LOCAL = {"HOST": "127.0.0.1"}


def ask(server, method="POST", path="/infer", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    body = b"text=x" if method == "POST" else None
    if body:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    return server.request(path, body, headers, method=method)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("127.0.0.1:5000", 200),
        ("[::1]", 200),
        ("evil.test", 421),
        ("localhost.evil.test", 421),
        ("127.0.0.1.evil.test", 421),
    ],
)
@pytest.mark.parametrize("path", ["/infer", "/", "/metrics", "/readyz"])
def test_dns_rebinding(server, path, host, status):
    method = "GET" if path in ("/metrics", "/readyz") else "POST"
    answer = ask(server, method, path, Host=host)
    assert answer.status == status
    if status == 421:
        assert answer.json()["code"] == "misdirected"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "INVENTED"])
@pytest.mark.parametrize("origin", ["http://evil.test", "null", "https://127.0.0.1:1"])
def test_a_page_of_another_site_may_not_send_requests(server, method, origin):
    answer = ask(server, method, Origin=origin)
    assert (answer.status, answer.json()["code"]) == (403, "forbidden")
    assert "access-control-allow-origin" not in answer.headers
    site = ask(server, method, Sec_Fetch_Site="cross-site")
    assert site.status == 403


def test_the_servers_own_page_may_send_requests(server):
    own = server.url.rstrip("/")
    assert ask(server, Origin=own).status == 200
    assert ask(server, Sec_Fetch_Site="same-origin").status == 200


def test_no_response_allows_other_origins_by_default(server):
    answer = ask(server, "OPTIONS", Origin="http://evil.test", Access_Control_Request_Method="POST")
    assert "access-control-allow-origin" not in answer.headers
    answer = ask(server, "GET", "/schema", Origin="http://evil.test")
    assert "access-control-allow-origin" not in answer.headers


def test_listed_names_and_sites_may_send_requests(module_program):
    settings = {
        "AI_INTEGRATION_HOSTS": "model.example.org, *.internal.test",
        "AI_INTEGRATION_ORIGINS": "https://app.example.org",
        "AI_INTEGRATION_TOKEN": "secret",
    }
    token = {"Authorization": "Bearer secret"}
    with serve(module_program, **LOCAL, **settings) as server:
        for host in ["model.example.org", "a.internal.test:80"]:
            assert ask(server, Host=host, **token).status == 200
        assert ask(server, Host="internal.test", **token).status == 421
        answer = ask(server, Origin="https://app.example.org", **token)
        assert answer.status == 200
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example.org"
        preflight = ask(
            server,
            "OPTIONS",
            Origin="https://app.example.org",
            Access_Control_Request_Method="POST",
            Access_Control_Request_Headers="authorization",
        )
        assert preflight.status == 204
        assert preflight.headers["Access-Control-Allow-Origin"] == "https://app.example.org"
        # Browsers do not count `authorization` as part of a wildcard, so it has to be named.
        assert preflight.headers["Access-Control-Allow-Headers"] == "authorization"
        assert ask(server, Origin="https://evil.test", **token).status == 403


def test_an_allowed_site_can_read_why_its_request_is_refused(module_program):
    settings = {
        "AI_INTEGRATION_ORIGINS": "https://app.example.org",
        "AI_INTEGRATION_TOKEN": "secret",
        "AI_INTEGRATION_RATE_LIMIT": "3/h",
    }
    with serve(module_program, **LOCAL, **settings) as server:
        for status in [401, 401, 401, 429]:
            answer = ask(server, Origin="https://app.example.org")
            assert (answer.status, answer.json()["status"]) == (status, status)
            assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example.org"
            assert "origin" in answer.headers["Vary"]
        foreign = ask(server, Origin="https://evil.test")
        assert foreign.status == 403
        assert "Access-Control-Allow-Origin" not in foreign.headers
        # A client over its rate gets the refusal for OPTIONS too, not a list of what is allowed.
        options = ask(server, "OPTIONS", Origin="https://app.example.org")
        assert options.status == 429
        preflight = ask(
            server,
            "OPTIONS",
            Host="evil.test",
            Origin="https://app.example.org",
            Access_Control_Request_Method="POST",
        )
        assert preflight.status == 421


def test_options_requests_work_beside_cors(module_program):
    origin = {"Origin": "https://app.example.org"}
    settings = {"AI_INTEGRATION_ORIGINS": origin["Origin"]}
    with serve(module_program, **LOCAL, **settings) as server:
        for headers in [{}, origin]:
            answer = ask(server, "OPTIONS", **headers)
            assert (answer.status, answer.headers["Allow"]) == (204, "POST,OPTIONS")
            assert ask(server, "OPTIONS", "/nothing", **headers).status == 404
        wanted = {"Access_Control_Request_Method": "POST", **origin}
        preflight = ask(server, "OPTIONS", **wanted)
        assert (preflight.status, preflight.headers["Allow"]) == (204, "POST,OPTIONS")
        assert preflight.headers["Access-Control-Allow-Origin"] == origin["Origin"]
        assert preflight.headers["Access-Control-Allow-Methods"] == "GET,POST"
        assert "origin" in preflight.headers["Vary"]
        assert ask(server, "OPTIONS", "/nothing", **wanted).status == 404
        foreign = ask(server, "OPTIONS", **{**wanted, "Origin": "https://evil.test"})
        assert (foreign.status, foreign.headers["Access-Control-Allow-Origin"]) == (204, None)


@pytest.mark.parametrize(
    ("sites", "policy", "options"),
    [
        (None, "'none'", "DENY"),
        ("", "'none'", "DENY"),
        ("'none'", "'none'", "DENY"),
        ("self", "'self'", "SAMEORIGIN"),
        ("*", "*", None),
        ("https://Wiki.test, http://localhost:*", "https://wiki.test http://localhost:*", None),
    ],
)
def test_sites_that_may_frame_the_page(module_program, sites, policy, options):
    settings = {"AI_INTEGRATION_FRAME_ANCESTORS": sites}
    with serve(module_program, **LOCAL, **settings, ready=False) as server:
        page = server.get("/")
        told = page.headers["Content-Security-Policy"].rpartition("; ")[2]
        assert told == "frame-ancestors " + policy
        assert page.headers["X-Frame-Options"] == options


@pytest.mark.parametrize(
    ("sites", "nearest"),
    [
        ("huggingface.co", "did you mean https://huggingface.co?"),
        ("https://wiki.test/page", "did you mean https://wiki.test?"),
        ("https://a.test https://b.test", "commas"),
        ("https://a.test; script-src *", "commas"),
        ("'none', https://a.test", "'none'"),
        ("https://", "https://huggingface.co"),
        ("vscode-webview://*", "https://huggingface.co"),
        ("https://*/", "https://huggingface.co"),
        ("*:8080", "https://huggingface.co"),
    ],
)
def test_an_invalid_frame_setting_is_refused(module_program, sites, nearest):
    name = "AI_INTEGRATION_FRAME_ANCESTORS"
    done = run(module_program, mode="http", PORT=0, **{name: sites})
    errors = refused(done, name)
    assert nearest in errors
    # The message must not suggest opening the page to every site.
    assert "did you mean https://*" not in errors


def test_without_the_token_requests_are_refused(module_program):
    with serve(module_program, **LOCAL, AI_INTEGRATION_TOKEN="s3cret-token") as server:
        for method, path in [
            ("POST", "/infer"),
            ("POST", "/"),
            ("GET", "/"),
            ("GET", "/schema"),
            ("GET", "/metrics"),
            ("GET", "/openapi.json"),
            ("GET", "/nowhere"),
        ]:
            for header in [
                {},
                {"Authorization": "Bearer s3cret"},
                {"Authorization": "s3cret-token"},
            ]:
                answer = ask(server, method, path, **header)
                assert (answer.status, answer.json()["code"]) == (401, "unauthorized"), path
                assert "Bearer" in answer.headers.get_all("WWW-Authenticate")
        assert ask(server, "GET", "/healthz").status == 200
        assert ask(server, "GET", "/readyz").status == 200
        assert ask(server, Authorization="Bearer s3cret-token").status == 200
        basic = "Basic dXNlcjpzM2NyZXQtdG9rZW4="
        assert ask(server, "GET", "/", Authorization=basic).status == 200


def test_the_token_is_nowhere_to_be_seen(program, tmp_path):
    source = """
        import os
        import ai_integration
        while True:
            with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}):
                ai_integration.send_result(
                    {"content-type": "text/plain", "data": repr(dict(os.environ)), "success": True})
    """
    secret = tmp_path / "secret"
    secret.write_text("from-a-file\n")
    for settings, token in [
        ({"AI_INTEGRATION_TOKEN": "from-the-environment"}, "from-the-environment"),
        ({"AI_INTEGRATION_TOKEN_FILE": secret}, "from-a-file"),
    ]:
        with serve(program(source), **LOCAL, AI_INTEGRATION_LOG="trace", **settings) as server:
            answer = ask(server, Authorization="Bearer " + token)
            assert answer.status == 200
            assert token not in answer.body.decode()
            ask(server, Authorization="Bearer wrong-" + token)
            listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, check=True)
            assert token.encode() not in listing.stdout
            assert token not in server.output()


# Values that somebody sets by mistake: an unset variable of Compose or Kubernetes leaves an empty
# value, an empty file has only white space, and the last one is a no-break space.
EMPTY = ["", " ", " \t\n", "\u00a0"]
PROTECTIVE = [
    *("AI_INTEGRATION_TOKEN", "AI_INTEGRATION_TOKEN_FILE", "AI_INTEGRATION_HOSTS"),
    *("AI_INTEGRATION_RATE_LIMIT", "AI_INTEGRATION_TLS_CERT", "AI_INTEGRATION_TLS_KEY"),
    *("AI_INTEGRATION_ERRORS", "AI_INTEGRATION_TIMEOUT", "AI_INTEGRATION_WORKER_MEMORY"),
]


def refused(done, name):
    assert (done.returncode, done.stdout) == (2, b""), done
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("error: %s" % name), line
    return line


@pytest.mark.parametrize("name", PROTECTIVE)
def test_an_empty_setting_grants_no_access(module_program, name):
    for value in EMPTY:
        done = run(module_program, mode="http", PORT=0, **{name: value})
        line = refused(done, name)
        assert "empty" in line
        assert "remove it" in line
    flag = "--" + name[len("AI_INTEGRATION_") :].lower().replace("_", "-")
    if flag != "--token":
        command = [BINARY, "run", "--mode", "http", flag, " "]
        line = refused(run(module_program, command=command, PORT=0), name)
        assert "empty" in line


def test_an_invalid_setting_grants_no_access(module_program):
    for name, value in [
        ("AI_INTEGRATION_TOKEN", b"caf\xe9"),
        ("AI_INTEGRATION_TOKEN_FILE", b"/run/caf\xe9"),
        ("AI_INTEGRATION_RATE_LIMIT", b"\xff"),
        ("AI_INTEGRATION_HOSTS", b" , ,"),
    ]:
        settings = {name: value.decode(errors="surrogateescape")}
        done = run(module_program, mode="http", PORT=0, **settings)
        assert "caf" not in refused(done, name) or name.endswith("_FILE")


def test_a_setting_whose_default_is_safe_may_be_empty(module_program):
    names = ["ORIGINS", "TRUSTED_PROXIES", "URL_HOSTS", "URL_NETWORKS", "MAX_BODY", "MAX_PIXELS"]
    settings = {"AI_INTEGRATION_" + name: "" for name in names}
    with serve(module_program, **LOCAL, **settings) as server:
        assert ask(server, Origin="https://app.example.org").status == 403
        assert server.post(url="http://127.0.0.1/").status == 200


def test_the_rate_limit_holds_for_each_client(module_program):
    settings = {"AI_INTEGRATION_RATE_LIMIT": "3/min", "AI_INTEGRATION_TRUSTED_PROXIES": "10.0.0.1"}
    with serve(module_program, **LOCAL, **settings) as server:
        answers = [ask(server, X_Forwarded_For="198.51.100.%d" % n) for n in range(5)]
        # A client that is not a trusted proxy cannot pass for another client.
        assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
        assert answers[-1].json()["code"] == "rate_limited"
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
        assert server.get("/healthz").status == 200
    settings["AI_INTEGRATION_TRUSTED_PROXIES"] = "127.0.0.0/8"
    with serve(module_program, **LOCAL, **settings) as server:
        answers = [ask(server, X_Forwarded_For="1.1.1.%d, 198.51.100.1" % n) for n in range(5)]
        assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
        assert ask(server, X_Forwarded_For="198.51.100.2").status == 200


@pytest.mark.parametrize("header", ["X-Forwarded-Host", "Forwarded"])
def test_a_forwarded_host_must_be_one_of_the_server(module_program, header):
    proxy = {"AI_INTEGRATION_TRUSTED_PROXIES": "127.0.0.1"}

    def status(server, name, **headers):
        forwarded = name if header == "X-Forwarded-Host" else "host=" + name
        headers = {"Origin": "http://" + name, header.replace("-", "_"): forwarded, **headers}
        return ask(server, **headers).status

    with serve(module_program, **LOCAL, **proxy) as server:
        assert status(server, "evil.test") == 403
        refusal = ask(server, Origin="http://evil.test", X_Forwarded_Host="evil.test").json()
        assert "X-Forwarded-Host with a name of AI_INTEGRATION_HOSTS" in refusal["detail"]
        assert status(server, "localhost") == 200
        assert status(server, "model.test", Sec_Fetch_Site="same-origin") == 200
    with serve(module_program, **LOCAL, **proxy, AI_INTEGRATION_HOSTS="model.test") as server:
        assert status(server, "model.test") == 200
        assert status(server, "evil.test") == 403


def test_a_proxy_may_write_a_clients_port(module_program):
    settings = {"AI_INTEGRATION_RATE_LIMIT": "2/min", "AI_INTEGRATION_TRUSTED_PROXIES": "127.0.0.1"}
    with serve(module_program, **LOCAL, **settings) as server:

        def statuses(*forwarded):
            return [ask(server, X_Forwarded_For=entry).status for entry in forwarded]

        # Each client has its own rate, whatever its port.
        clients = ["198.51.100.%d:%d" % (n, 50000 + n) for n in range(5)]
        clients += ["[2001:db8:%d::1]:443" % n for n in range(5)]
        clients += ["1.1.1.1, 203.0.113.%d:80" % n for n in range(5)]
        assert statuses(*clients) == [200] * 15
        same = ["198.51.100.1:%d" % n for n in range(3)]
        assert statuses(*same) == [200, 429, 429]
        same = ["[2001:db8:1::%d]" % n for n in range(3)]
        assert statuses(*same) == [200, 429, 429]
        assert "X-Forwarded-For" not in server.output()
        # A value that is no address is logged, once and in one line.
        assert statuses(*["unknown\twith\ttabs"] * 3) == [200, 200, 429]
        line = server.wait_for_output(r".*X-Forwarded-For from the trusted proxy.*").group()
        assert r'"unknown\twith\ttabs"' in line
        assert "127.0.0.1" in line
        assert server.output().count("X-Forwarded-For") == 1


def test_files_of_the_page_do_not_count_towards_the_rate_but_wrong_tokens_do(module_program):
    settings = {"AI_INTEGRATION_RATE_LIMIT": "3/min"}
    with serve(module_program, **LOCAL, **settings) as server:
        assert [server.get("/assets/page.js").status for _ in range(10)] == [200] * 10
        assert ask(server).status == 200
    settings["AI_INTEGRATION_TOKEN"] = "the-secret"
    with serve(module_program, **LOCAL, **settings) as server:
        right = {"Authorization": "Bearer the-secret"}
        assert server.get("/assets/page.js", headers=right).status == 200
        guesses = [
            server.get("/assets/page.js", headers={"Authorization": "Bearer %d" % n}).status
            for n in range(5)
        ]
        assert guesses == [401, 401, 401, 429, 429]


def test_errors_are_brief_where_the_operator_wants_it(program):
    source = """
        import os, sys
        import ai_integration
        while True:
            with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
                if inputs["text"] == "die":
                    print("the key is in /etc/keys", flush=True)
                    os._exit(4)
                raise ValueError("no such size")
    """
    with serve(program(source), AI_INTEGRATION_ERRORS="brief") as server:
        native = server.post(text="x").json()
        assert native["detail"] == "ValueError: no such size"
        assert server.classic(text="x") == {"err": "ValueError: no such size"}
        page = server.post("/", headers={"Accept": "text/html"}, text="x").body.decode()
        events = server.post(headers={"Accept": "text/event-stream"}, text="x").body.decode()
        assert "Traceback" not in page + events
        assert "no such size" in page
        assert "no such size" in events
        assert "/etc/keys" not in server.post(text="die").body.decode()
        server.wait_for_output("/etc/keys")
        server.wait_for_output("Traceback")
        server.wait_for_output(native["request_id"])


def test_tls(module_program, certificate):
    folder = certificate("first")
    settings = {
        "AI_INTEGRATION_TLS_CERT": folder / "cert.pem",
        "AI_INTEGRATION_TLS_KEY": folder / "key.pem",
        "AI_INTEGRATION_HEAD_TIMEOUT": 1,
    }
    with serve(module_program, **LOCAL, **settings, ready=False) as server:
        port = re.search(r":(\d+)$", server.url).group(1)
        url = "https://localhost:%s/infer" % port

        def context():
            return ssl.create_default_context(cafile=str(folder / "cert.pem"))

        def infer():
            with urllib.request.urlopen(url, b"text=x", 10, context=context()) as answer:
                return answer.read()

        assert b"text" in infer()
        # The server speaks HTTP/2 if the client offers it.
        command = [
            "curl",
            "-s",
            "--http2",
            "--cacert",
            str(folder / "cert.pem"),
            "-d",
            "text=x",
            "-o",
            "/dev/null",
            "-w",
            "%{http_version} %{http_code}",
            url,
        ]
        done = subprocess.run(command, capture_output=True, check=True, timeout=20)
        assert done.stdout == b"2 200"
        done = subprocess.run(
            [*command[:-1], "-H", "Host: evil.test", url],
            capture_output=True,
            check=True,
            timeout=20,
        )
        assert done.stdout == b"2 421"
        # The server refuses old versions of TLS, and clients that do not finish their handshake.
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname = False
        old.verify_mode = ssl.CERT_NONE
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        with connected(server) as connection, pytest.raises((ssl.SSLError, ConnectionError)):
            old.wrap_socket(connection)
        with connected(server) as connection:
            connection.sendall(b"\x16\x03\x01\x00\xa5")
            assert 0.5 < seconds_until_closed(connection) < 3
        # On the signal the server reads the new certificate. It keeps the old one if it cannot.
        certificate("second")
        server.process.send_signal(1)
        server.wait_for_output("the certificate was reloaded")
        assert b"text" in infer()
        (folder / "cert.pem").write_text("nonsense")
        server.process.send_signal(1)
        server.wait_for_output("the old certificate stays in use")
