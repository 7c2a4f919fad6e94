"""The blocks of code in the documentation, and the means to run them.

A page is used as a reader uses it: from top to bottom, in one folder. Its blocks run as follows:

* `python`: a program. A model is given to the self-test, a schema alone becomes a small model.
* `sh`: commands. One that serves runs until the next one does, or until the page ends.
* `console`: commands after `$`, each followed by the output that it must have.
* `json`, `yaml`, `toml`, `html`, `dockerfile`: parsed.

A comment on the line before a block may say more of it:

* `<!-- file: NAME -->`: the block is saved as NAME, which a later command of the page must use.
* `<!-- output -->`: the output of the last command above.
* `<!-- from FILE -->`: these lines are in FILE, which other tests compile and run.
* `<!-- run by FILE -->`: this test reads the block from the page.
* `<!-- not run: REASON -->`: nothing runs the block.

An `…` in an output is any text, and on a line of its own any number of lines.
"""

import contextlib
import html.parser
import json
import os
import re
import shlex
import signal
import subprocess
from pathlib import Path

import support
import tomllib
import yaml
from compat import picture
from support import REPOSITORY

PAGES = [
    REPOSITORY / "README.md",
    REPOSITORY / "SECURITY.md",
    REPOSITORY / "examples" / "README.md",
    *sorted((REPOSITORY / "docs").rglob("*.md")),
]
FENCE = re.compile(
    r"(?:^ *<!-- (?P<mark>[^\n]*?) -->\n)?"
    r"^(?P<indent> *)```(?P<language>[\w-]*)\n(?P<text>.*?)^(?P=indent)```$",
    re.M | re.S,
)
DEFAULT_PORT = 5000
ADDRESS = "127.0.0.1:%d" % DEFAULT_PORT
# One that changes with each run is compared by its type.
VARYING = {"request_id", "id", "seconds", "created"}
# A schema by itself is served by this loop.
LOOP = """
import ai_integration
while True:
    with ai_integration.get_next_input(inputs_schema=inputs_schema) as inputs:
        ai_integration.send_result(sorted(inputs))
"""
FILES = {
    name: picture(kind="PNG" if name.endswith("png") else "JPEG")
    for name in ("photo.jpg", "receipt.png", "one.jpg", "two.jpg")
}
FILES["cut.png"] = picture((64, 64))[:90]


class Block:
    """A block of code of a page."""

    def __init__(self, page, text, found):
        self.page = page
        self.line = text[: found.start("indent")].count("\n") + 1
        self.language = found["language"]
        self.text = re.sub("^" + found["indent"], "", found["text"], flags=re.M)
        self.mark, _, self.value = re.sub(
            r"^(not run:|run by|from|file:|output)\s*", r"\1\0", found["mark"] or ""
        ).partition("\0")

    def __str__(self):
        return "%s:%s" % (self.page.relative_to(REPOSITORY), self.line)

    @property
    def is_run(self):
        return self.mark != "not run:"


def blocks(page):
    """The blocks of a page, from top to bottom."""
    return blocks_of(page, page.read_text())


def blocks_of(page, text):
    return [Block(page, text, found) for found in FENCE.finditer(text)]


def output_of(page, test, python, folder):
    """Serves the model of a page, and returns the output of the block that a test of it runs.

    The block is a client, which needs the packages of `python`.
    """
    found = blocks(page)
    (client,) = (block for block in found if block.value == test)
    reader = Reader(folder, "")
    try:
        reader.run(next(block for block in found if block.value == "model.py"))
        reader.run(next(block for block in found if "MODE=http" in block.text))
        (folder / "client.py").write_text(client.text.replace(ADDRESS, reader.address))
        reader.provide(client.text)
        reader.execute("%s client.py" % python)
        assert reader.status == 0, reader.output
        return reader.output
    finally:
        reader.stop()


class Reader:
    """Runs the blocks of one page in a folder; `model` serves where the page does not."""

    def __init__(self, folder, model):
        self.folder = folder
        self.model = model
        self.port = support.free_port()
        self.server = None
        self.output = None
        self.status = 0
        self.saved = set()

    def read(self, blocks):
        for block in blocks:
            try:
                self.run(block)
            except Exception as error:
                raise AssertionError("%s: %s" % (block, error)) from error
        assert not self.saved, "no command of the page uses %s" % self.saved

    def run(self, block):
        self.saved = {name for name in self.saved if Path(name).parts[0] not in block.text}
        text = block.text.replace(ADDRESS, self.address)
        text = text.replace("PORT=%d" % DEFAULT_PORT, "PORT=%d" % self.port)
        if block.mark == "not run:":
            assert block.value, "say why it is not run"
        elif block.mark == "run by":
            test = (REPOSITORY / block.value).read_text()
            assert block.page.name in test, "%s does not read this page" % block.value
        elif block.mark == "from":
            has_lines(REPOSITORY / block.value, block.text)
        elif block.mark == "file:":
            self.save(block)
        elif block.mark == "output":
            assert self.output is not None, "no command is above"
            compare(block, self.output.replace(self.address, ADDRESS))
        else:
            assert not block.mark, "unknown: %s" % block.mark
            assert block.language in RUNNERS, "nothing runs it; mark it `not run: REASON`"
            RUNNERS[block.language](self, text)

    @property
    def address(self):
        return "127.0.0.1:%d" % self.port

    def save(self, block):
        if block.language == "python":
            compile(block.text, block.value, "exec")
        elif block.language in PARSERS:
            PARSERS[block.language](block.text)
        path = self.folder / block.value
        path.parent.mkdir(exist_ok=True)
        path.write_text(block.text.replace(ADDRESS, self.address))
        self.saved.add(block.value)

    def python(self, text):
        self.provide(text)
        path = self.folder / "block.py"
        mode = None
        if "inputs_schema = " in text and "get_next_input" not in text:
            text += LOOP
        if re.search(r"get_next_inputs?\(|ai_integration\.(run|requests)\(|start_loop\(", text):
            mode = "test_model_integration"
        path.write_text(text)
        self.execute("python3 block.py", MODE=mode)
        assert self.status == 0, self.output

    def sh(self, text):
        assert commands(text), "no command is in it"
        for command in commands(text):
            self.command(command)
            assert self.status == 0, "%s\n%s" % (command, self.output)

    def console(self, text):
        steps = re.findall(r"^\$ (.*(?:\\\n.*)*)\n((?:(?!\$ ).*\n)*)", text, re.M)
        assert steps, "no line begins with `$ `"
        for (command, expected), (after, _) in zip(steps, [*steps[1:], ("", "")], strict=True):
            self.command(command.replace("\\\n", ""))
            assert self.status == 0 or after == "echo $?", "%s\n%s" % (command, self.output)
            matches(expected, self.output)

    def command(self, command):
        self.provide(command)
        if serves(command):
            self.serve(command)
        else:
            self.execute(command)

    def provide(self, text):
        """Puts the files that a block names where it looks for them, and serves if it asks."""
        for name, content in {**FILES, "entrypoint.py": self.model.encode()}.items():
            path = self.folder / name
            if name in text and not path.exists():
                path.write_bytes(content)
        if self.address in text and self.server is None:
            (self.folder / "model.py").write_text(self.model)
            self.serve("MODE=http python3 model.py")

    def environment(self, **variables):
        path = os.pathsep.join([str(Path(support.PYTHON).parent), os.environ["PATH"]])
        # curl shows no progress: it would not on a terminal either, where the response is text.
        (self.folder / ".curlrc").write_text("silent\nshow-error\nmax-time = 30\n")
        variables = {"PORT": self.port, **variables}
        return support.environment(PATH=path, HOME=self.folder, **variables)

    def execute(self, command, **variables):
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", "(exit %d); %s" % (self.status, command)],
            cwd=self.folder,
            env=self.environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=support.TIMEOUT,
            check=False,
        )
        self.status = done.returncode
        self.output = done.stdout.decode(errors="replace")

    def serve(self, command):
        self.stop()
        # The port of the reader takes the place of the default, which is another on a platform.
        elsewhere = {"PORT": None} if "AI_INTEGRATION_PLATFORM=" in command else {}
        log = self.folder / "server.log"
        with open(log, "wb") as stream:
            self.server = subprocess.Popen(
                ["bash", "-c", command],
                cwd=self.folder,
                env=self.environment(**elsewhere),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.status = 0

        def is_ready():
            assert self.server.poll() is None, log.read_text()
            return "ready on" in log.read_text()

        support.eventually(is_ready, "it is ready: " + command, support.TIMEOUT)
        self.output = log.read_text()

    def stop(self):
        """Ends the server, and all that it has started."""
        if self.server is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.server.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.server.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.server.pid, signal.SIGKILL)
        self.server.wait()
        self.server = None


def commands(text):
    """The commands of a block: one a line, or several where a backslash ends it."""
    lines = text.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def serves(command):
    words = shlex.split(command, comments=True)
    return "MODE=http" in words or "--reload" in words or words[:2] == ["ai-integration", "serve"]


def matches(expected, output):
    """Asserts that an output is the one that the page shows."""
    parts = []
    for line in expected.splitlines():
        if line.strip() == "…":
            parts.append(r"(?:.*\n)*?")
        else:
            parts.append(wildcards(line.rstrip()) + r"[ \t]*\n")
    text = output if not output or output.endswith("\n") else output + "\n"
    assert re.fullmatch("".join(parts), text), "expected:\n%s\ngot:\n%s" % (expected, text)


def wildcards(text):
    return ".*".join(re.escape(part) for part in text.split("…"))


def compare(block, output):
    if block.language == "json":
        alike(json.loads(block.text), json.loads(output), "the output")
    else:
        matches(block.text, output)


def alike(shown, real, place):
    """Asserts that JSON has the keys of the page, in the same order, and the same values."""
    if isinstance(shown, dict):
        assert isinstance(real, dict), "%s is %r" % (place, real)
        assert list(real) == list(shown), "%s has the keys %s" % (place, list(real))
        for key, value in shown.items():
            alike(value, real[key], "%s.%s" % (place, key))
    elif isinstance(shown, list):
        assert isinstance(real, list), "%s is %r" % (place, real)
        if len(shown) == 3 and shown[0] == shown[2] == "…":
            name = shown[1]["name"]
            shown, real = shown[1:-1], [one for one in real if one["name"] == name]
        assert len(real) == len(shown), "%s is %r" % (place, real)
        for number, value in enumerate(shown):
            alike(value, real[number], "%s[%d]" % (place, number))
    elif place.rpartition(".")[2] in VARYING:
        assert isinstance(real, type(shown)), "%s is %r" % (place, real)
    elif isinstance(shown, str):
        assert isinstance(real, str), "%s is %r" % (place, real)
        assert re.fullmatch(wildcards(shown), real, re.S), "%s is %r" % (place, real)
    else:
        assert real == shown, "%s is %r" % (place, real)


def has_lines(path, text):
    """Asserts that a file has the lines of a text in order; `…` stands for any lines."""
    rest = iter([line.strip() for line in path.read_text().splitlines()])
    for line in text.splitlines():
        if line.strip() and "…" not in line:
            assert line.strip() in rest, "%s does not have: %s" % (path, line)


def parse_dockerfile(text):
    """Asserts that a Dockerfile follows the rules of the container format."""
    known = "ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL RUN STOPSIGNAL USER WORKDIR"
    lines = commands(text)
    for line in lines:
        assert line.split()[0] in known.split(), line
    assert lines[0].startswith("FROM ")
    entrypoint = next(line for line in lines if line.startswith("ENTRYPOINT "))
    assert all(isinstance(word, str) for word in json.loads(entrypoint.partition(" ")[2]))


class Tags(html.parser.HTMLParser):
    """Asserts that each tag is closed."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, "</%s> closes another tag" % tag


def parse_html(text):
    tags = Tags()
    tags.feed(text)
    assert not tags.open, "not closed: %s" % tags.open


PARSERS = {
    "json": json.loads,
    "yaml": yaml.safe_load,
    "toml": tomllib.loads,
    "html": parse_html,
    "dockerfile": parse_dockerfile,
}
RUNNERS = {
    "python": Reader.python,
    "sh": Reader.sh,
    "console": Reader.console,
    **{name: lambda _, text, parse=parse: parse(text) for name, parse in PARSERS.items()},
}
