"""The HTTP server as clients use it: the address of version 1.0.16, the native API, the page."""

import base64
import gzip
import hashlib
import html.parser
import json
import re
import socket
import textwrap
import urllib.parse
from pathlib import Path

import pytest
from compat import STYLES, model, picture
from openapi_spec_validator import OpenAPIV31SpecValidator
from support import BINARY, multipart, run, serve

PNG = picture()
SCHEMA = {
    "photo": {"type": "image", "description": "What to paint <over>"},
    "title": {"type": "text"},
    "steps": {"type": "integer", "min": 1, "max": 50, "default": 20},
    "scale": {"type": "number", "required": False},
    "style": {"type": "choice", "choices": ["oil", "ink & wash"], "default": "oil"},
    "tiled": {"type": "boolean", "default": False},
    "extra": {"type": "json", "required": False},
}
CONFIG = {"list_key": "faces", "nested": [1, {"deep": None}]}
PAINTER = """
    import json
    SCHEMA = %r

    def infer(inputs):
        seen = {}
        for name, value in inputs.items():
            seen[name] = len(value) if isinstance(value, bytes) else value
        if inputs["title"] == "image":
            return {"content-type": "image/png", "data": inputs["photo"], "success": True}
        if inputs["title"] == "script":
            return {"content-type": "text/html", "data": "<script>alert(1)</script>",
                    "success": True}
        return {"content-type": "application/json", "data": seen, "success": True}
""" % (SCHEMA,)


@pytest.fixture(scope="module", params=STYLES)
def server(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("http") / "entrypoint.py"
    source = model(PAINTER, request.param)
    config = ", visualizer_config=%r)" % (CONFIG,)
    source = source.replace("inputs_schema=SCHEMA)", "inputs_schema=SCHEMA" + config)
    assert "visualizer_config" in source
    path.write_text(source)
    with serve(path) as server:
        yield server


def url_of(media, data):
    return "data:%s;base64,%s" % (media, base64.b64encode(data).decode())


def test_the_response_of_1_0_has_its_six_fields(server):
    answer = server.post("/", photo=PNG, title="x")
    assert answer.status == 200
    assert answer.type == "application/json"
    body = answer.json()
    assert set(body) == {"id", "output_url", "scale_applied", "inputs", "output", "visualizer_data"}
    assert body["output"]["photo"] == len(PNG)
    assert body["output_url"] is None
    assert body["scale_applied"] == 1
    assert body["visualizer_data"] == CONFIG
    assert isinstance(body["id"], str)
    assert body["id"]


def test_each_response_has_its_own_id(server):
    ids = {server.classic(photo=PNG, title="x")["id"] for _ in range(5)}
    assert len(ids) == 5


def test_the_response_shows_the_inputs_in_the_schemas_order(server):
    body = server.classic(title="grün", photo=PNG)
    assert body["inputs"] == [
        {"is_img": True, "url": url_of("image/jpeg", PNG)},
        {"is_img": False, "url": url_of("text/plain", "grün".encode())},
    ]


@pytest.mark.parametrize("body", ["form", "urlencoded", "JSON"])
@pytest.mark.parametrize(
    ("head", "spell"),
    [
        ("", base64.b64encode),
        ("", base64.urlsafe_b64encode),
        ("", base64.encodebytes),
        ("data:image/png;base64,", base64.b64encode),
        ("data:;base64,", base64.urlsafe_b64encode),
        ("data:application/octet-stream;base64,", base64.b64encode),
    ],
)
def test_the_response_shows_a_picture_that_came_as_base64(server, head, spell, body):
    given = {"photo": head + spell(PNG).decode(), "title": "x"}
    if body == "form":
        answer = server.post("/", **given)
    elif body == "urlencoded":
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = server.request("/", urllib.parse.urlencode(given).encode(), headers)
    else:
        headers = {"Content-Type": "application/json"}
        answer = server.request("/", json.dumps(given).encode(), headers)
    media = "image/png" if "image" in head else "image/jpeg"
    assert answer.json()["inputs"][0] == {"is_img": True, "url": url_of(media, PNG)}


def test_an_image_result_is_a_data_url(server):
    body = server.classic(photo=PNG, title="image")
    assert body["output_url"] == url_of("image/png", PNG)
    assert body["output"] is None


def test_defaults_are_filled_in_and_values_become_their_types(server):
    given = {"photo": PNG, "title": "x", "steps": "7", "tiled": "yes", "extra": '{"a": [1]}'}
    seen = server.post(**given).json()
    expected = {
        "photo": len(PNG),
        "title": "x",
        "steps": 7,
        "style": "oil",
        "tiled": True,
        "extra": {"a": [1]},
    }
    assert seen == expected


@pytest.mark.parametrize("path", ["/", "/infer"])
def test_a_urlencoded_form_is_read(server, path):
    form = {"photo": url_of("image/png", PNG), "title": "a b&c=d ü", "style": "ink & wash"}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = server.request(path, urllib.parse.urlencode(form).encode(), headers)
    assert answer.status == 200, answer
    seen = answer.json()["output"] if path == "/" else answer.json()
    assert (seen["photo"], seen["title"], seen["style"]) == (len(PNG), "a b&c=d ü", "ink & wash")


@pytest.mark.parametrize("path", ["/", "/infer"])
def test_a_json_object_is_read(server, path):
    body = {"photo": url_of("image/png", PNG), "title": "x", "steps": 3, "other": {"deep": [1]}}
    answer = server.request(path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    assert answer.status == 200, answer
    seen = answer.json()["output"] if path == "/" else answer.json()
    assert (seen["photo"], seen["steps"], seen["other"]) == (len(PNG), 3, {"deep": [1]})


def test_a_file_part_may_be_text_and_a_field_may_be_a_picture(server):
    # Some clients send every part as a file, others pictures without a file's name.
    body, kind = multipart({"photo": PNG, "title": "painted ü".encode()})
    seen = server.request("/infer", body, {"Content-Type": kind}).json()
    assert seen["title"] == "painted ü"
    body = body.replace(b'; filename="file"\r\nContent-Type: application/octet-stream', b"")
    assert server.request("/infer", body, {"Content-Type": kind}).json()["photo"] == len(PNG)


def test_the_result_itself_is_inert_in_a_browser(server):
    answer = server.post(photo=PNG, title="script")
    assert answer.type == "text/html"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]


class Form(html.parser.HTMLParser):
    """The fields of a page's form, its address and its method."""

    def __init__(self, page):
        super().__init__()
        self.attributes = None
        self.fields = {}
        self.options = {}
        self.images = []
        self.text = ""
        self._select = None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "form":
            self.attributes = attributes
        if tag in ("input", "textarea", "select"):
            self.fields[attributes["name"]] = (tag, attributes)
            self._select = attributes["name"]
        if tag == "option":
            self.options.setdefault(self._select, []).append(attributes["value"])
        if tag == "img":
            self.images.append(attributes["src"])

    def handle_data(self, data):
        self.text += data


def test_the_page_has_a_form_field_for_each_input(server):
    answer = server.get("/")
    assert (answer.status, answer.type) == (200, "text/html")
    form = Form(answer.body.decode())
    assert form.attributes["method"] == "post"
    assert form.attributes["enctype"] == "multipart/form-data"
    assert urllib.parse.urljoin("/", form.attributes.get("action", "/")) == "/"
    assert list(form.fields) == list(SCHEMA)
    assert form.fields["photo"][1]["type"] == "file"
    assert form.fields["photo"][1]["accept"] == "image/*"
    assert form.fields["steps"][1]["type"] == "number"
    assert (form.fields["steps"][1]["min"], form.fields["steps"][1]["max"]) == ("1", "50")
    assert form.fields["steps"][1]["value"] == "20"
    assert form.options["style"] == ["oil", "ink & wash"]
    assert form.options["tiled"] == ["true", "false"]
    required = [name for name, (_, attributes) in form.fields.items() if "required" in attributes]
    assert {"photo", "title"} <= set(required)
    assert not {"scale", "extra"} & set(required)
    # What the author wrote is text, never markup.
    assert "What to paint <over>" in form.text


def browser_post(server, **fields):
    accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    return server.post("/", headers={"Accept": accept, "Origin": server.url}, **fields)


def test_the_form_sent_by_a_browser_shows_a_page_with_the_result(server):
    # An untouched file input and empty fields come along, as browsers send them.
    answer = browser_post(server, photo=PNG, title="a <b>", steps="20", scale="", extra="")
    assert (answer.status, answer.type) == (200, "text/html")
    shown = Form(answer.body.decode()).text
    assert '"title": "a <b>"' in shown
    assert '"steps": 20' in shown
    assert "scale" not in shown


JAVA = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({"Accept": JAVA}, "application/json"),
        ({"Accept": "text/html;q=0, */*"}, "application/json"),
        ({"Accept": "text/html, application/json"}, "application/json"),
        ({"Accept": "text/html", "Sec-Fetch-Mode": "cors"}, "application/json"),
        ({"Accept": "*/*", "Sec-Fetch-Mode": "navigate"}, "text/html"),
        ({"Accept": "text/html, application/xhtml+xml, image/jxr, */*"}, "text/html"),
        ({"Accept": "text/html"}, "text/html"),
    ],
)
def test_only_the_navigation_of_a_browser_gets_a_page(server, headers, kind):
    for title in ["x", "image"]:
        answer = server.post("/", headers=headers, photo=PNG, title=title)
        assert (answer.status, answer.type) == (200, kind)
    assert server.post("/", headers=headers, title="x").type == kind


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/event-stream;q=0, */*", "application/json"),
        ("text/event-stream;q=0.000", "application/json"),
        ('text/plain;note="a, text/event-stream"', "application/json"),
        ("application/json, text/event-stream;q=.1", "text/event-stream"),
    ],
)
def test_events_are_sent_if_accept_prefers_them(server, accept, kind):
    assert server.post(headers={"Accept": accept}, photo=PNG, title="x").type == kind


def test_an_image_result_is_shown_as_an_image(server):
    answer = browser_post(server, photo=PNG, title="image")
    assert Form(answer.body.decode()).images == [url_of("image/png", PNG)]


def test_html_from_a_model_is_shown_as_text(server):
    page = browser_post(server, photo=PNG, title="script").body.decode()
    assert "<script>alert" not in page
    assert "<script>alert(1)</script>" in Form(page).text


def test_a_browsers_bad_request_is_a_page_that_names_the_fields(server):
    answer = browser_post(server, photo=b"", title="x", steps="99")
    assert (answer.status, answer.type) == (422, "text/html")
    shown = Form(answer.body.decode()).text
    assert "photo: missing" in shown
    assert "steps: expected an integer from 1 to 50" in shown


def test_the_schema_is_served_as_the_author_wrote_it(server):
    answer = server.get("/schema")
    told = answer.json()
    inputs = told.pop("inputs")
    # By default all; see test_kserve.py for others.
    assert {"native", "classic"} < set(told.pop("dialects"))
    assert told == {
        "inputs_schema": SCHEMA,
        "outputs": None,
        "tasks": [],
        "visualizer_config": CONFIG,
        "model": {},
        "model_id": "model",
        "needs_token": False,
    }
    assert list(told["inputs_schema"]) == list(SCHEMA)
    # For front ends: in order, and with defaults for omitted properties.
    assert [one["name"] for one in inputs] == list(SCHEMA)
    named = {one["name"]: one for one in inputs}
    assert named["photo"]["shape"] == {"kind": "blob", "media": "image/*"}
    assert named["steps"]["shape"] == {"kind": "number", "whole": True}
    assert (named["steps"]["required"], named["steps"]["default"]) == (False, 20)
    assert named["style"]["choices"] == ["oil", "ink & wash"]


def test_the_page_brings_its_scripts_and_styles(server):
    page = server.get("/")
    assert "script-src 'self'; style-src 'self'" in page.headers["content-security-policy"]
    (script,) = re.findall(r"<script>(.*?)</script>", page.body.decode(), re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "script-src-elem 'self' 'sha256-%s';" % digest in page.headers["content-security-policy"]
    paths = re.findall(r'(?:src|href)="(assets/[^"]+)"', page.body.decode())
    assert len(paths) == 3
    for path in ["/" + path for path in paths]:
        plain = server.get(path)
        assert plain.status == 200, path
        packed = server.get(path, headers={"Accept-Encoding": "br, gzip"})
        assert packed.headers["content-encoding"] == "gzip"
        assert gzip.decompress(packed.body) == plain.body
        known = server.get(path, headers={"If-None-Match": plain.headers["etag"]})
        assert (known.status, known.body) == (304, b"")
    for path in ("/assets/", "/assets/page.js.gz", "/assets/..%2fCargo.toml", "/assets/none.js"):
        assert server.get(path).status == 404, path
    assert server.get("/docs").type == "text/html"


def test_the_openapi_document_is_valid_and_describes_the_inputs(server):
    answer = server.get("/openapi.json")
    assert answer.type == "application/json"
    document = answer.json()
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()
    operation = document["paths"]["/infer"]["post"]
    form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
    while "$ref" in form:
        form = document["components"]["schemas"][form["$ref"].rsplit("/", 1)[1]]
    assert set(form["properties"]) == set(SCHEMA)
    assert {"photo", "title"} <= set(form["required"])
    assert not {"scale", "extra"} & set(form["required"])
    assert form["properties"]["steps"]["minimum"] == 1
    assert form["properties"]["style"]["enum"] == ["oil", "ink & wash"]


def test_the_openapi_document_names_the_statuses_that_occur(server):
    operation = server.get("/openapi.json").json()["paths"]["/infer"]["post"]
    assert {"200", "422", "413"} <= set(operation["responses"])


def test_the_server_says_that_it_is_alive_and_ready(server):
    assert server.get("/healthz").json() == {"status": "ok"}
    ready = server.get("/readyz")
    assert (ready.status, ready.json()["status"]) == (200, "ready")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("POST", "/nothing", 404, "not_found"),
        ("GET", "/assets/none.js", 404, "not_found"),
        ("GET", "/assets/%zz", 404, "not_found"),
        ("GET", "/assets/%ff", 400, "malformed_request"),
        ("GET", "/infer", 405, "method_not_allowed"),
        ("OPTIONS", "/nothing", 404, "not_found"),
        ("PUT", "/infer", 405, "method_not_allowed"),
        ("DELETE", "/", 405, "method_not_allowed"),
        ("POST", "/schema", 405, "method_not_allowed"),
        ("POST", "/assets/page.js", 405, "method_not_allowed"),
    ],
)
def test_other_addresses_and_methods_are_refused(server, method, path, status, code):
    answer = server.request(path, method=method)
    assert (answer.status, answer.type) == (status, "application/problem+json")
    problem = answer.json()
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    allowed = {"/infer": {"POST"}, "/": {"GET", "HEAD", "POST"}}.get(path, {"GET", "HEAD"})
    allow = answer.headers["Allow"]
    expected = allowed | {"OPTIONS"} if status == 405 else None
    assert (set(allow.split(",")) if allow else None) == expected


@pytest.mark.parametrize("preflight", [False, True])
def test_options_names_the_methods_of_every_address(server, preflight):
    headers = {"Access-Control-Request-Method": "POST"} if preflight else {}
    described = server.get("/openapi.json").json()["paths"]
    methods = {path: {method.upper() for method in each} for path, each in described.items()}
    assert methods["/infer"] == {"POST"}
    assert methods["/"] == {"GET", "POST"}
    others = {"/docs": {"GET"}, "/assets/page.js": {"GET"}, "/?x=1": {"GET", "POST"}}
    for path, expected in {**methods, **others}.items():
        answer = server.request(path, method="OPTIONS", headers=headers)
        assert (answer.status, answer.body) == (204, b""), path
        allowed = set(answer.headers["Allow"].split(","))
        assert "OPTIONS" in allowed
        allowed -= {"OPTIONS"}
        assert allowed == expected | ({"HEAD"} if "GET" in expected else set()), path
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_refusal_without_a_body_has_its_headers(server):
    answer = server.request("/nothing", method="HEAD")
    assert (answer.status, answer.type) == (404, "application/problem+json")
    assert (answer.body, int(answer.headers["Content-Length"]) > 0) == (b"", True)


@pytest.mark.parametrize("path", ["/", "/infer"])
def test_a_body_over_the_limit_is_refused_with_413(program, path):
    with serve(program(model(PAINTER)), AI_INTEGRATION_MAX_BODY=50000) as server:
        answer = server.post(path, photo=PNG + b"x" * 60000, title="x")
        assert answer.status == 413
        assert "err" in answer.json() if path == "/" else answer.json()["code"] == "too_large"
        assert server.post(path, photo=PNG + b"x" * 30000, title="x").status == 200


def test_the_limit_of_a_body_is_100_mib_unless_set(program):
    with serve(program(model(PAINTER))) as server:
        answer = server.post("/", photo=PNG + b"x" * (100 << 20), title="x")
        assert answer.status == 413
        # Web frameworks often allow no more than 2 MiB; this image is larger.
        large = PNG + b"x" * (9 << 20)
        assert server.post(photo=large, title="x").json()["photo"] == len(large)


def test_an_image_of_many_megabytes_comes_back_unchanged(program):
    source = """
        SCHEMA = {"image": {"type": "image"}}

        def infer(inputs):
            return {"content-type": "application/octet-stream", "data": inputs["image"][::-1],
                    "success": True}
    """
    large = PNG + bytes(range(256)) * 80000
    with serve(program(model(source))) as server:
        assert server.post(image=large).body == large[::-1]


def test_the_port_is_taken_from_the_environment_and_is_5000_otherwise(program):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    with serve(program(model(PAINTER)), PORT=free) as server:
        assert server.url.endswith(":%d" % free)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", 5000))
        except OSError:
            pytest.skip("port 5000 is taken by something else on this machine")
    with serve(program(model(PAINTER)), PORT=None) as server:
        assert re.search(r":5000$", server.url)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_the_address_is_taken_from_the_environment(program, host):
    with serve(program(model(PAINTER)), HOST=host) as server:
        assert server.get("/healthz").status == 200
        port = int(server.url.rsplit(":", 1)[1])
        assert bound_addresses(port) == {host.replace("localhost", "127.0.0.1")}


@pytest.mark.parametrize("host", ["x86_64-conda-linux-gnu", "my-laptop", "0.0.0"])
def test_a_host_that_is_no_address_is_ignored_with_a_warning(program, host):
    with serve(program(model(PAINTER)), HOST=host) as server:
        assert server.get("/healthz").status == 200
        (line,) = [line for line in server.output().splitlines() if "WARN" in line]
        assert 'HOST="%s" is neither an address nor localhost' % host in line
        assert "HOST=0.0.0.0" in line


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.1", "127.0.0.1"),
        ("localhost.", "127.0.0.1"),
        ("LOCALHOST:5917", "127.0.0.1"),
        ("127.0.0.2:5917", "127.0.0.2"),
        ("http://localhost:x/", "127.0.0.1"),
        ("0.0.0.0:5000", "0.0.0.0"),
    ],
)
# Inside a container, a `HOST` that is not an address would make the server listen on all addresses.
@pytest.mark.parametrize("way", ["variable", "flag"])
def test_an_address_in_another_spelling_is_taken_as_meant(program, host, address, way):
    given = {"HOST": host} if way == "variable" else {"command": [BINARY, "run", "--host", host]}
    with serve(program(model(PAINTER)), container="docker", **given) as server:
        port = int(server.url.rsplit(":", 1)[1])
        assert bound_addresses(port) == {address}
        named = host.rstrip("/").partition("//")[2] or host
        if ":" in named:
            # Only PORT sets the port.
            server.wait_for_output("WARN.*HOST names the port .* is ignored.*PORT=0")
        else:
            assert "WARN" not in server.output()


@pytest.mark.parametrize("host", ["foo", "x86_64-conda-linux-gnu", "0.0.0"])
def test_a_flag_that_is_no_address_is_refused(program, host):
    command = [BINARY, "run", "--mode", "http", "--port", "0", "--host", host]
    done = run(program(model(PAINTER)), command=command)
    assert done.returncode == 2
    assert b'error: HOST="%s" does not fit: expected an IP address' % host.encode() in done.stderr


def test_the_log_has_the_servers_address_and_when_the_model_is_ready(program):
    source = "import time; time.sleep(1)\n" + textwrap.dedent(model(PAINTER))
    with serve(program(source), HOST="0.0.0.0", ready=False) as server:
        port = int(server.url.rsplit(":", 1)[1])
        server.wait_for_output(
            r"listening on http://127.0.0.1:%d/ \(bound to 0.0.0.0:%d" % (port, port)
        )
        assert "ready on" not in server.output()
        server.wait_until_ready()
        server.wait_for_output(r"ready on http://127\.0\.0\.1:%d/\n" % port)
    with serve(program(model(PAINTER))) as server:
        # If the server does not notice that it is in a container, it says how to open it to others.
        server.wait_for_output(r"listening on \S+ \((bound to \[::\]|.*set HOST=0\.0\.0\.0)")


def bound_addresses(port):
    """Returns the IPv4 addresses on which a process listens on a port (Linux)."""
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        address, local_port = words[1].split(":")
        if words[3] == "0A" and int(local_port, 16) == port:
            octets = [str(int(address[at : at + 2], 16)) for at in (6, 4, 2, 0)]
            found.add(".".join(octets))
    return found


def test_a_model_without_inputs_has_a_page_and_serves(program):
    source = """
        SCHEMA = {}

        def infer(inputs):
            return {"content-type": "text/plain", "data": "pong", "success": True}
    """
    with serve(program(model(source))) as server:
        assert Form(server.get("/").body.decode()).attributes["method"] == "post"
        assert server.request("/infer", method="POST", body=b"").body == b"pong"
        assert server.classic()["output"] == "pong"
        OpenAPIV31SpecValidator(server.get("/openapi.json").json()).validate()


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "hologram"},
        {"type": "text", "description": ["odd"], "min": "odd", "unknown": {"a": 1}},
        {"type": "image", "max_bytes": 1000},
        {"type": "audio"},
        {"type": "file"},
        {"type": "number", "choices": [1, 2.5]},
        {},
        "image",
    ],
)
def test_the_openapi_document_of_any_schema_is_valid(program, entry):
    source = "SCHEMA = {'a \"b\" <c>': %r}\ndef infer(inputs): return {}\n" % (entry,)
    with serve(program(model(source))) as server:
        OpenAPIV31SpecValidator(server.get("/openapi.json").json()).validate()
        assert list(Form(server.get("/").body.decode()).fields) == ['a "b" <c>']


ABOUT = """
    import ai_integration
    while True:
        with ai_integration.get_next_input(
            inputs_schema={"text": {"type": "text"}}, name="Echo <1>", description="Says it again.",
            version="7", examples=[{"text": "hello"}],
        ) as inputs:
            ai_integration.send_result(
                {"content-type": "text/plain", "data": inputs["text"], "success": True})
"""


def test_the_authors_description_of_the_model_is_shown(program):
    with serve(program(ABOUT)) as server:
        about = server.get("/schema").json()["model"]
        assert about == {
            "name": "Echo <1>",
            "description": "Says it again.",
            "version": "7",
            "examples": [{"text": "hello"}],
        }
        api = server.get("/openapi.json").json()["info"]
        assert (api["title"], api["version"]) == ("Echo <1>", "7")
        page = server.get("/").body.decode()
        assert "<h1>Echo &lt;1&gt;</h1>" in page
        assert "Says it again." in page
        assert "does not know" not in server.output()


def test_the_operator_may_change_the_description_of_the_model(program):
    settings = {"AI_INTEGRATION_MODEL_NAME": "Parrot", "AI_INTEGRATION_MODEL_VERSION": "8"}
    with serve(program(ABOUT), **settings) as server:
        schema = server.get("/schema").json()
        about = schema["model"]
        assert (about["name"], about["version"]) == ("Parrot", "8")
        assert about["description"] == "Says it again."
        assert schema["model_id"] == "parrot"
    with serve(program(ABOUT), **settings, AI_INTEGRATION_MODEL_ID="Parrot_8.1") as server:
        assert server.get("/schema").json()["model_id"] == "Parrot_8.1"


@pytest.mark.parametrize("said", ["name=7", "examples={}", "examples=['a']", "version=b'1'"])
def test_a_description_that_is_not_text_is_refused(program, said):
    source = "import ai_integration\nai_integration.get_next_input({}, %s).__enter__()\n" % said
    ended = run(program(source), mode="http", AI_INTEGRATION_START_ATTEMPTS=1, PORT=0)
    assert ended.returncode == 70, ended
    assert b"TypeError: " + said.split("=")[0].encode() in ended.stderr
