"""Every block of code in the documentation runs, or has a comment with the reason why not."""

import contextlib
import importlib
import itertools
import json
import re
import shlex
import subprocess

import ai_integration
import documented
import pytest
import support
from compat import picture
from support import REPOSITORY

# The number of blocks that no test runs. Raise it only if a new block cannot be run.
NOT_RUN = 11
WITH_CODE = {str(page.relative_to(REPOSITORY)): page for page in documented.PAGES}
WITH_CODE = {name: page for name, page in WITH_CODE.items() if documented.blocks(page)}
# The model of the server to which pages send requests if they do not start one.
MODEL = """
import io
import ai_integration
from PIL import Image

SCHEMA = {
    "image": {"type": "image"},
    "images": {"type": "image", "list": True},
    "text": {"type": "text"},
    "prompt": {"type": "text"},
    "steps": {"type": "integer", "min": 1, "max": 50},
}
for field in SCHEMA.values():
    field["required"] = False
CONFIG = {"list_key": "pieces", "label_key": "text"}

while True:
    with ai_integration.get_next_input(inputs_schema=SCHEMA, visualizer_config=CONFIG) as inputs:
        words = inputs.get("prompt", inputs.get("text", ""))
        if "story" in words:
            ai_integration.send_result(iter(["Once ", "upon a time."]))
        elif "cats" in words:
            ai_integration.send_result([Image.new("L", (2, 2))] * 4)
        else:
            ai_integration.send_result({"pieces": ["Total 12.50"]})
"""


@pytest.mark.parametrize("name", WITH_CODE)
def test_the_code_of_a_page_runs(name, tmp_path):
    reader = documented.Reader(tmp_path, MODEL)
    try:
        reader.read(documented.blocks(WITH_CODE[name]))
    finally:
        reader.stop()


def test_the_blocks_that_nothing_runs_are_few(capsys):
    blocks = [block for page in documented.PAGES for block in documented.blocks(page)]
    left = [block for block in blocks if not block.is_run]
    with capsys.disabled():
        print("\ncode in the documentation: %d blocks run" % (len(blocks) - len(left)), end="")
        print(", %d do not, with the reason beside each" % len(left))
    assert len(left) <= NOT_RUN, "\n".join(map(str, left))


def test_no_block_is_overlooked():
    for page in documented.PAGES:
        text = page.read_text()
        fences = re.findall(r"^[ >]*(?:```|~~~)", text, re.M)
        assert len(fences) == 2 * len(documented.blocks(page)), page
        assert "<pre" not in text, page


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("```perl\n1\n```\n", "nothing runs it"),
        ("```text\n1\n```\n", "nothing runs it"),
        ("<!-- not run: -->\n```perl\n1\n```\n", "say why"),
        ("<!-- never run: it is slow -->\n```perl\n1\n```\n", "unknown"),
        ("<!-- from README.md -->\n```rust\nfn none() {}\n```\n", "does not have"),
        ("<!-- run by tests/support.py -->\n```perl\n1\n```\n", "does not read"),
        ("<!-- file: never.py -->\n```python\n1\n```\n", "never.py"),
        ("<!-- file: broken.py -->\n```python\n1 +\n```\n", "invalid syntax"),
        ("<!-- output -->\n```text\n1\n```\n", "no command"),
        ("```sh\necho 1\n```\n\n<!-- output -->\n```text\n2\n```\n", "expected"),
        ("```sh\necho 1\n```\n\n<!-- output -->\n```json\n2\n```\n", "the output is 1"),
        ("```sh\nfalse\n```\n", "false"),
        ("```sh\n# make tea\n```\n", "no command is in it"),
        ("```console\n$ echo 1\n2\n```\n", "expected"),
        ("```console\n$ false\n```\n", "false"),
        ("```console\n$ false\n$ echo $?\n0\n```\n", "expected"),
        ("```python\nraise ValueError('wrong')\n```\n", "wrong"),
        ("```python\ninputs_schema = {'a': {'type': 'txt'}}\n```\n", "txt"),
        ("```json\n{]\n```\n", "Expecting"),
        ("```yaml\na: [\n```\n", "parsing"),
        ("```toml\na\n```\n", "Expected"),
        ("```html\n<p><b></p>\n```\n", "</p> closes another tag"),
        ("```dockerfile\nFROM a\nENTRYPOINT python3 a.py\n```\n", "Expecting"),
    ],
)
def test_a_block_that_is_wrong_is_found(tmp_path, block, message):
    page = REPOSITORY / "docs" / "wrong.md"
    found = documented.blocks_of(page, block)
    with pytest.raises(Exception, match=re.escape(message)):
        documented.Reader(tmp_path, MODEL).read(found)


# --- the worker protocol ---

WORKER = """\
#!{python}
import json, os, socket, struct

link = socket.socket(fileno=int(os.environ.pop("AI_INTEGRATION_LINK")))
stream = link.makefile("rwb")

def send(header, body=b""):
    head = json.dumps(header).encode()
    stream.write(struct.pack(">II", len(head), len(body)) + head + body)
    stream.flush()

send(json.loads({ready!r}))
while True:
    sizes = stream.read(8)
    if not sizes:
        break
    head, body = [stream.read(size) for size in struct.unpack(">II", sizes)]
    job = json.loads(head)
    if job["type"] == "job":
        print("got", head.decode(), flush=True)
        send({{"type": "start", "id": job["id"]}})
        send(dict(json.loads({result!r}), id=job["id"]), body)
"""


def test_a_worker_that_speaks_as_the_page_of_the_protocol_serves(program):
    page = REPOSITORY / "docs" / "worker-protocol.md"
    blocks = [json.loads(one.text) for one in documented.blocks(page) if one.language == "json"]
    shown = {block["type"]: block for block in blocks}
    assert set(shown) == {"ready", "result", "job"}
    given = {"image": picture(), "caption": "hello world", "size": "3"}
    types = {"image": "image", "caption": "text", "size": "integer"}
    shown["ready"]["inputs_schema"] = {name: {"type": types[name]} for name in given}
    worker = WORKER.format(
        python=support.PYTHON,
        ready=json.dumps(shown["ready"]),
        result=json.dumps(shown["result"]),
    )
    path = program(worker, "worker")
    path.chmod(0o755)
    with support.serve(path, command=[support.BINARY, "run"]) as server:
        answer = server.post(**given)
        assert (answer.status, answer.type) == (200, shown["result"]["content_type"])
        assert answer.body == given["image"] + given["caption"].encode()
        job = json.loads(server.wait_for_output(r"got (\{.*\})").group(1))
    assert set(shown["job"]) <= set(job)
    expected = [["image", "bytes", len(given["image"])], *shown["job"]["inputs"][1:]]
    assert job["inputs"] == expected


# --- what the pages name ---


def named(pattern):
    """Returns the pages with the matches of a pattern in each."""
    for page in documented.PAGES:
        for found in re.findall(pattern, page.read_text()):
            yield page.name, found


def help_of(*words):
    done = subprocess.run(
        [support.BINARY, *words, "--help"],
        stdout=subprocess.PIPE,
        env=support.environment(),
        check=True,
        timeout=support.TIMEOUT,
    )
    return done.stdout.decode()


def test_the_make_targets_that_are_named_exist():
    makefile = (REPOSITORY / "Makefile").read_text()
    targets = set(re.findall(r"^([\w/.-]+)(?: [\w/.-]+)*:(?!=)", makefile, re.M))
    targets |= {
        word for line in re.findall(r"^\.PHONY: (.*)", makefile, re.M) for word in line.split()
    }
    seen = {name for _, name in named(r"(?:`|^|&& )make ([a-z][\w/.-]*)")}
    assert {"demo", "test", "chaos", "bench"} <= seen
    assert seen - targets == set()


def test_the_subcommands_and_flags_that_are_named_exist():
    known = set(re.findall(r"^  ([a-z]+)  ", help_of(), re.M))
    helps = {name: help_of(name) for name in known - {"help"}}
    count = 0
    for page, words in named(r"(?:`|\$ |^)ai-integration ([a-z][^`\n]*)"):
        name, *rest = shlex.split(words.replace("…", " "), comments=True)
        assert name in known, (page, words)
        # The words after the program are the program's own arguments.
        for word in itertools.takewhile(
            lambda word: not re.search(r"\.py$|^\./|^PROGRAM", word), rest
        ):
            if word.strip("[]").startswith("--"):
                assert word.strip("[]") + " " in helps[name].replace("\n", " "), (page, words)
        count += 1
    assert count > 10


def test_the_names_of_the_package_that_are_named_exist():
    count = 0
    for page, name in named(r"`ai_integration((?:\.[a-zA-Z]\w*)+)"):
        found = ai_integration
        for part in name[1:].split("."):
            with contextlib.suppress(ImportError):
                importlib.import_module("%s.%s" % (getattr(found, "__name__", ""), part))
            assert hasattr(found, part), (page, name)
            found = getattr(found, part)
        count += 1
    assert count > 3


def test_the_settings_that_are_named_exist():
    reference = (REPOSITORY / "docs" / "settings.md").read_text()
    settings = set(re.findall(r"^\| `(\w+)`", reference, re.M))
    sources = (REPOSITORY / "crates").rglob("*.rs")
    former = {name for path in sources for name in re.findall(r"was: &\[\"(\w+)", path.read_text())}
    assert former
    # The last two are set by the engine for its workers.
    known = settings | former | {"AI_INTEGRATION_LINK", "AI_INTEGRATION_WORKER_ID"}
    seen = set()
    for page, name in named(r"\bAI_INTEGRATION_[A-Z_]*[A-Z]\b"):
        assert name in known, (page, name)
        seen.add(name)
    assert len(seen) > 30


def test_the_source_files_that_are_named_exist():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=REPOSITORY, stdout=subprocess.PIPE, check=True, timeout=60
    )
    files = ["/" + line for line in listed.stdout.decode().splitlines()]
    count = 0
    for page, name in named(r"`((?:[\w.-]+/)*[\w-]+\.(?:rs|tsx?|snap))`"):
        assert any(file.endswith("/" + name) for file in files), (page, name)
        count += 1
    for page, name in named(r"`((?:crates|tests|bench|web|docs|python|examples)/[\w./-]*)`"):
        assert (REPOSITORY / name).exists(), (page, name)
        count += 1
    assert count > 40


# --- links ---


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.M | re.S)
    made = []
    for heading in re.findall(r"^#+ (.*)$", text, re.M):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        made.append("%s-%d" % (slug, made.count(slug)) if slug in made else slug)
    return made


def targets(page):
    """The links of a page: inline, and below the text."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.M | re.S)
    text = re.sub(r"`[^`\n]*`", "", text)
    return re.findall(r"\]\(([^)\s]+)\)|^\[[^]]+\]: (\S+)$", text, re.M)


OWN = re.compile(r"https://(?:github|raw\.githubusercontent)\.com/(?:[\w-]+/){2}(?:\w+/)?main/")


@pytest.mark.parametrize(
    "page",
    sorted({*documented.PAGES, *REPOSITORY.glob("*.md")}),
    ids=lambda page: str(page.relative_to(REPOSITORY)),
)
def test_links_lead_to_a_file_and_a_heading(page):
    for link in map("".join, targets(page)):
        if OWN.match(link):
            path, _, heading = OWN.sub("", link).partition("#")
            path = REPOSITORY / path
        elif "://" in link:
            continue
        else:
            path, _, heading = link.partition("#")
            path = page.parent / path if path else page
        assert path.exists(), link
        if heading:
            assert heading in anchors(path), link


def test_links_by_name_have_an_address():
    for page in documented.PAGES:
        text = re.sub(r"^ *```.*?^ *```|`[^`\n]*`", "", page.read_text(), flags=re.M | re.S)
        known = set(re.findall(r"^\[([^]]+)\]: ", text, re.M))
        used = set(re.findall(r"\]\[([^]]+)\]", text))
        assert used <= known, page
        if known:
            alone = set(re.findall(r"(?<![]!])\[([\w -]+)\](?![\[(:])", text))
            assert known <= used | alone, "%s: nothing uses %s" % (page, known - used - alone)


def test_every_page_is_in_the_index():
    index = REPOSITORY / "docs" / "README.md"
    # It lists the hosting platforms by the page that they have in common.
    indexes = [index, index.parent / "platforms" / "README.md"]
    linked = {
        (one.parent / "".join(link).partition("#")[0]).resolve()
        for one in indexes
        for link in targets(one)
    }
    for page in (REPOSITORY / "docs").rglob("*.md"):
        if page != index and page.parent.name != "decisions":
            assert page.resolve() in linked, "docs/README.md does not list %s" % page.name
