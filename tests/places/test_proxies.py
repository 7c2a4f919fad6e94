"""The page behind proxies with the configurations of docs/http.md, and in frames of other sites."""

import contextlib
import json
import re
import ssl
import time
import urllib.request

import pytest
from proxies import proxy
from support import REPOSITORY

PREFIX = "/models/ocr/"
STRIPPED = """
    server {
        listen 127.0.0.1:PORT;
        location /models/ocr/ { proxy_pass %s/; %s }
    }
"""


def documented(language, certificate, upstream):
    """Returns a configuration of docs/http.md, with the ports and files of the tests."""
    page = (REPOSITORY / "docs" / "http.md").read_text()
    text = re.search(r"```%s\n(.*?)```" % language, page, re.S).group(1)
    replaced = {
        "listen 443 ssl": "listen 127.0.0.1:PORT ssl",
        "/etc/ssl/portal.pem": str(certificate / "cert.pem"),
        "/etc/ssl/portal.key": str(certificate / "key.pem"),
        "http://127.0.0.1:5000": upstream,
        "reverse_proxy 127.0.0.1:5000": "reverse_proxy " + upstream.split("//")[1],
        "portal.example.org {\n": "https://portal.example.org:PORT {\n\ttls %s %s\n"
        % (certificate / "cert.pem", certificate / "key.pem"),
    }
    for old, new in replaced.items():
        text = text.replace(old, new)
    return text


def within(seen, base):
    """Asserts that the page worked, and that all its requests went to addresses below `base`."""
    assert [one for one in seen["requests"] if not one.startswith(base)] == []
    assert seen["troubles"] == []
    assert "got hello" in seen["result"]
    assert seen["history"] == 1


def toured(seen, base):
    within(seen, base)
    assert "'%sinfer'" % base in seen["snippet"]
    assert any(one.endswith("/assets/de.json") for one in seen["requests"])
    assert (seen["docs"], seen["back"]) == (base + "docs", base)
    assert seen["openapi"] == [{"url": "./"}]


def arrivals(url, headers=None):
    """Returns the seconds at which the chunks of a streamed response come, and the whole body."""
    body = json.dumps({"text": "stream"}).encode()
    headers = {"Content-Type": "application/json", **(headers or {})}
    request = urllib.request.Request(url + "infer", body, headers)
    # The certificate is self-signed.
    context = ssl._create_unverified_context()
    begin, pieces, times = time.monotonic(), b"", []
    with urllib.request.urlopen(request, timeout=20, context=context) as answer:
        while piece := answer.read1(65536):
            pieces += piece
            times.append(time.monotonic() - begin)
    return times, pieces


def is_streamed(url):
    for headers in [{}, {"Accept": "text/event-stream"}]:
        times, pieces = arrivals(url, {"Host": "portal.example.org", **headers})
        assert pieces.count(b"part") == 4
        assert times[-1] - times[0] > 0.8, times


def test_nginx_as_documented(nginx, listed, certificate, browser):
    port = nginx(documented("nginx", certificate, listed.url))
    base = "https://portal.example.org:%d%s" % (port, PREFIX)
    toured(browser.visit(base, tour=True), base)
    is_streamed("https://127.0.0.1:%d%s" % (port, PREFIX))


def test_caddy_as_documented(caddy, listed, certificate, browser):
    port = caddy(documented("caddy", certificate, listed.url))
    base = "https://portal.example.org:%d%s" % (port, PREFIX)
    seen = browser.visit(base.rstrip("/"), tour=True)
    # This address without a slash redirects to the page.
    seen["requests"].remove(base.rstrip("/"))
    toured(seen, base)


def test_nginx_with_its_defaults(nginx, plain, browser):
    # It rewrites Host, and speaks HTTP/1.0 to the server.
    port = nginx(STRIPPED % (plain.url, ""))
    base = "http://127.0.0.1:%d%s" % (port, PREFIX)
    within(browser.visit(base), base)
    is_streamed(base)
    # Over plain HTTP browsers send no Sec-Fetch-Site, but here Origin differs from Host.
    base = base.replace("127.0.0.1", "portal.example.org")
    seen = browser.visit(base, status="Failed")
    assert "X-Forwarded-Host" in seen["result"]


def test_models_of_one_site_have_histories_of_their_own(nginx, plain, browser):
    port = nginx(
        """
        server {
            listen 127.0.0.1:PORT;
            location /one/ { proxy_pass %s/; }
            location /two/ { proxy_pass %s/; }
        }
        """
        % (plain.url, plain.url)
    )
    one, two = ["http://127.0.0.1:%d/%s/" % (port, name) for name in ["one", "two"]]
    seen = browser.visit(one, other=two)
    assert (seen["history"], seen["other"]["history"]) == (1, 1)


FORWARDED = [
    "proxy_set_header X-Forwarded-Host $http_host; proxy_set_header X-Forwarded-Proto $scheme;",
    'proxy_set_header Forwarded "for=$remote_addr;host=\\"$http_host\\";proto=$scheme";',
]


@pytest.mark.parametrize("headers", FORWARDED, ids=["x-forwarded", "forwarded"])
def test_a_proxy_that_rewrites_the_host_and_is_trusted(nginx, listed, browser, headers):
    port = nginx(STRIPPED % (listed.url, headers))
    base = "http://portal.example.org:%d%s" % (port, PREFIX)
    within(browser.visit(base), base)


def test_forwarded_headers_count_only_for_listed_names(plain, listed):
    own = {"Origin": "https://portal.example.org", "X-Forwarded-Host": "portal.example.org"}
    for headers, trusted in [
        (own, 200),
        ({**own, "X-Forwarded-Proto": "https"}, 200),
        ({**own, "Origin": "http://portal.example.org", "X-Forwarded-Proto": "https"}, 403),
        ({**own, "Sec-Fetch-Site": "cross-site", "Origin": "https://evil.test"}, 403),
        ({"Origin": "https://evil.test", "X-Forwarded-Host": "evil.test"}, 403),
        ({**own, "Host": "evil.test"}, 421),
        ({"Host": "evil.test", "Sec-Fetch-Site": "same-origin"}, 421),
        ({"Origin": own["Origin"], "Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": own["Origin"], "Sec-Fetch-Site": "none"}, 403),
    ]:
        assert listed.post(headers=headers, text="x").status == trusted, headers
        expected = 403 if trusted == 200 else trusted
        assert plain.post(headers=headers, text="x").status == expected, headers
    same = {"Origin": "https://m.example.com", "Sec-Fetch-Site": "same-origin"}
    assert plain.post(headers=same, text="x").status == 200


def traefik(path, headers):
    """Changes a request as Traefik's middleware StripPrefix does."""
    prefix = PREFIX.rstrip("/")
    if not path.startswith(prefix):
        return None, {}
    host, _, port = headers["Host"].partition(":")
    return path[len(prefix) :] or "/", {
        "X-Forwarded-Prefix": prefix,
        "X-Forwarded-For": "198.51.100.1",
        "X-Forwarded-Host": headers["Host"],
        "X-Forwarded-Port": port,
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Server": "traefik",
        "X-Real-Ip": "198.51.100.1",
    }


@pytest.mark.parametrize("end", ["", "/"])
def test_traefik(listed, browser, end):
    with proxy(listed, traefik) as port:
        base = "http://portal.example.org:%d%s" % (port, PREFIX)
        seen = browser.visit(base.rstrip("/") + end, tour=True)
        # Without the slash, the address of the page itself is not below `base`; all others are.
        seen["requests"] = [one for one in seen["requests"] if one != base.rstrip("/")]
        toured(seen, base)


def codespaces(server, is_host_kept):
    """Changes a request as GitHub's tunnel does: Host or Origin is the server's address."""
    local = "localhost:" + server.url.rsplit(":", 1)[1]

    def change(path, headers):
        changed = {"X-Forwarded-Host": headers["Host"], "X-Forwarded-Proto": "https"}
        if not is_host_kept:
            changed["Host"] = local
        elif "Origin" in headers:
            changed["Origin"] = "http://" + local
        return path, changed

    return change


@pytest.mark.parametrize("is_host_kept", [False, True])
def test_codespaces(plain, listed, certificate, browser, is_host_kept):
    server = listed if is_host_kept else plain
    with proxy(server, codespaces(server, is_host_kept), certificate) as port:
        base = "https://abc-5000.app.github.dev:%d/" % port
        toured(browser.visit(base, tour=True), base)


def test_without_scripts_everything_is_relative(plain):
    accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    pages = [plain.get("/"), plain.get("/docs")]
    for mode in ["navigate", None]:
        headers = {"Accept": accept, **({"Sec-Fetch-Mode": mode} if mode else {})}
        pages += [plain.post("/", headers=headers, **fields) for fields in [{}, {"image": b"x"}]]
    for page in pages:
        assert page.type == "text/html"
        links = re.findall(r'(?:href|src|action)="([^"]*)"', page.body.decode())
        assert links
        assert [link for link in links if re.match(r"/|\w+://", link)] == []


def framing(source, certificate, attributes=""):
    """Returns a server block of nginx, whose page shows `source` in a frame."""
    return """
        server {
            listen 127.0.0.1:PORT ssl;
            ssl_certificate %s/cert.pem;
            ssl_certificate_key %s/key.pem;
            default_type text/html;
            location / {
                return 200 '<link rel=icon href="data:,"><iframe src="%s" %s></iframe>';
            }
        }
    """ % (certificate, certificate, source, attributes)


@contextlib.contextmanager
def space(server, certificate):
    """A Space of Hugging Face's: its name in Host, and TLS in front."""

    def change(path, headers):
        return path, {"X-Forwarded-For": "198.51.100.1", "X-Forwarded-Proto": "https"}

    with proxy(server, change, certificate) as port:
        yield "https://me-ocr.hf.space:%d/" % port


@pytest.mark.parametrize("denies", [False, True])
def test_a_site_that_may_frame_the_page(nginx, listed, certificate, browser, denies):
    with space(listed, certificate) as base:
        port = nginx(framing(base, certificate))
        url = "https://huggingface.co:%d/" % port
        seen = browser.visit(url, isFramed=True, denies=denies, camera=True)
        seen["requests"].remove(url)
        # The frame has not been given the camera.
        (trouble,) = seen.pop("troubles")
        assert "Permissions policy violation: camera" in trouble
        assert "Cannot access the device" in seen["camera"]
        within({**seen, "troubles": []}, base)
        seen = browser.visit(url, isFramed=True, text="file", denies=denies)
        assert seen["download"]
        assert seen["troubles"] == []


def test_no_other_site_may_frame_it(nginx, listed, plain, certificate, browser):
    with space(listed, certificate) as base:
        port = nginx(framing(base, certificate))
        seen = browser.visit("https://evil.test:%d/" % port, isFramed=True, isRefused=True)
    assert seen["form"] == 0
    assert "frame-ancestors" in " ".join(seen["troubles"])
    for path in ["/", "/docs", "/schema", "/nothing"]:
        policy = plain.get(path).headers["Content-Security-Policy"]
        assert policy.endswith("; frame-ancestors 'none'")
        policy = listed.get(path).headers["Content-Security-Policy"]
        assert policy.endswith("; frame-ancestors https://huggingface.co:*")
    assert plain.get("/").headers["X-Frame-Options"] == "DENY"
    assert listed.get("/").headers["X-Frame-Options"] is None
