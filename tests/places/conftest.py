"""Models behind real proxies and in frames of other sites, with a real browser and a real JDK."""

import contextlib
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))
sys.path.insert(0, str(FOLDER))

import support  # noqa: E402
from debian_programs import listening, program_of  # noqa: E402
from support import TIMEOUT, free_port, serve, started  # noqa: E402

# The first word of the text says what comes.
MODEL = """
    import time
    import ai_integration
    schema = {
        "text": {"type": "text", "required": False, "default": ""},
        "image": {"type": "image", "required": False},
    }
    while True:
        with ai_integration.get_next_input(inputs_schema=schema) as inputs:
            text = inputs["text"]
            if text.startswith("stream"):
                for number in range(4):
                    ai_integration.send_chunk("part%d " % number)
                    time.sleep(0.4)
                data = None
            else:
                data = b"\\x00\\xff" if text == "file" else "got " + text
            kind = "application/octet-stream" if text == "file" else "text/plain"
            ai_integration.send_result({"content-type": kind, "data": data, "success": True})
"""


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "entrypoint.py"
    path.write_text(textwrap.dedent(MODEL))
    return path


@pytest.fixture(scope="session")
def plain(model):
    """Runs a server with its defaults."""
    with serve(model, HOST="127.0.0.1") as server:
        yield server


# The settings that docs/http.md names for servers behind proxies.
BEHIND_PROXIES = {
    "AI_INTEGRATION_HOSTS": "portal.example.org, *.app.github.dev, *.hf.space",
    "AI_INTEGRATION_TRUSTED_PROXIES": "127.0.0.1",
    "AI_INTEGRATION_FRAME_ANCESTORS": "https://huggingface.co:*",
}


@pytest.fixture(scope="session")
def listed(model):
    """Runs a server that has the names of its proxies in its settings."""
    with serve(model, HOST="127.0.0.1", **BEHIND_PROXIES) as server:
        yield server


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """Makes a self-signed certificate and its key."""
    folder = tmp_path_factory.mktemp("tls")
    support.certificate(folder, "portal.example.org")
    return folder


@pytest.fixture
def nginx(tmp_path):
    """Starts nginx with a server block, in which PORT is the port to listen on."""
    with contextlib.ExitStack() as stack:

        def start(block):
            port = free_port()
            kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            folders = " ".join("%s_temp_path %s/%s;" % (one, tmp_path, one) for one in kinds)
            (tmp_path / "nginx.conf").write_text(
                "daemon off; master_process off; pid nginx.pid; error_log stderr;\n"
                "events {}\nhttp { access_log off; %s\n%s\n}" % (folders, block)
            )
            path = tmp_path / "nginx.conf"
            path.write_text(path.read_text().replace("PORT", str(port)))
            command = [program_of("nginx"), "-p", str(tmp_path), "-c", str(path), "-e", "stderr"]
            stack.enter_context(listening(command, port, tmp_path))
            return port

        yield start


@pytest.fixture
def caddy(tmp_path):
    """Starts Caddy with the sites of a Caddyfile, in which PORT is the port to listen on."""
    with contextlib.ExitStack() as stack:

        def start(sites):
            port = free_port()
            path = tmp_path / "Caddyfile"
            path.write_text(
                "{\n admin off\n auto_https off\n}\n" + sites.replace("PORT", str(port))
            )
            command = [program_of("caddy"), "run", "--config", str(path), "--adapter", "caddyfile"]
            stack.enter_context(listening(command, port, tmp_path))
            return port

        yield start


class Browser:
    """Chromium in a process that reads a JSON object from each line, and writes one in response."""

    def __init__(self, process):
        self.process = process

    def visit(self, url, **more):
        """Opens a page and uses it; returns what the page showed."""
        line = json.dumps({"url": url, "timeout": TIMEOUT * 1000 // 2, **more})
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, self.process.stderr.read().decode()
        seen = json.loads(answer)
        assert "error" not in seen, seen
        return seen


@pytest.fixture(scope="session")
def browser():
    if not (FOLDER.parent.parent / "web/node_modules/playwright-core").is_dir():
        pytest.skip("web/node_modules is not there; npm installs it")
    program_of("chromium")
    command = [program_of("node"), str(FOLDER / "browser.mjs")]
    with started(command, stdin=subprocess.PIPE) as process:
        yield Browser(process)
        # It closes Chromium.
        process.stdin.close()
        process.wait(TIMEOUT)
