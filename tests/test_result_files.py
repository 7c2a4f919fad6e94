"""Files that models give as data: open ones, buffers and paths."""

import gzip
import http.client
import io
import os
import sys
import time
import urllib.parse
import urllib.request

import pytest
from compat import model
from PIL import Image
from support import memory, run, serve

# The text is the data, as a Python expression, in a folder with the files that it names.
EVALUATING = """
    import configparser, gzip, io, mmap, os, pathlib, subprocess, tempfile, zipfile
    from PIL import Image

    class Endless(object):
        def read(self, size):
            return b"x" * size

    class Odd(object):
        "Like the file of an asynchronous server."
        def __init__(self, given):
            self.given = given
        def read(self, size=-1):
            return self.given

    def saved(file, kind="PNG"):
        Image.new("RGB", (6, 4), (200, 0, 0)).save(file, kind)
        return file

    def written(file, data=b"some bytes"):
        file.write(data)
        return file

    def rewound(file, place=0):
        file.seek(place)
        return file

    def closed(file):
        file.close()
        return file

    def zipped(name):
        with zipfile.ZipFile("archive.zip", "w") as archive:
            archive.write(name)
        return zipfile.ZipFile("archive.zip").open(name)

    def pipe(*command, **more):
        return subprocess.Popen(command, stdout=subprocess.PIPE, **more).stdout

    def mapped(name):
        with open(name, "r+b") as file:
            return mmap.mmap(file.fileno(), 0)

    def fifo():
        if not os.path.exists("fifo"):
            os.mkfifo("fifo")
        return "fifo"

    def silent(**more):
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        kept.append(writing)
        return open(reading, "rb", **more)

    kept = []
    SCHEMA = {"text": {"type": "text"}, "type": {"type": "text"}}

    def infer(inputs):
        return {"content-type": inputs["type"], "data": eval(inputs["text"]), "success": True}
"""
SMALL = b"PK\xff\x00\n" * 5
LARGE = os.urandom(3_000_000)
TEXT = "größer und größer\n" * 2000

LIST = "[%s1]" % ("1, " * 1_000_000)

BYTES = "application/octet-stream"
# An expression, and the bytes that arrive as `application/octet-stream`.
READ = {
    "a small file": ("open('small', 'rb')", SMALL),
    "a large file": ("open('large', 'rb')", LARGE),
    "a file without a buffer": ("open('large', 'rb', buffering=0)", LARGE),
    "a file for reading and writing": ("open('large', 'r+b')", LARGE),
    "a file from where it stands": ("rewound(open('large', 'rb'), 1234567)", LARGE[1234567:]),
    "the end of a small file": ("rewound(open('small', 'rb'), 20)", SMALL[20:]),
    "an empty file": ("open('empty', 'rb')", b""),
    "a path": ("pathlib.Path('large')", LARGE),
    "a small path": ("pathlib.Path('small')", SMALL),
    "an empty path": ("pathlib.Path('empty')", b""),
    "a link": ("pathlib.Path('link')", LARGE),
    "an entry of a folder": ("[e for e in os.scandir('.') if e.name == 'large'][0]", LARGE),
    "a buffer": ("io.BytesIO(b'ab')", b"ab"),
    "a buffer not rewound": ("written(io.BytesIO())", b"some bytes"),
    "a large buffer in its middle": ("rewound(io.BytesIO(open('large', 'rb').read()), 7)", LARGE),
    "an empty buffer": ("io.BytesIO()", b""),
    "a temporary file": ("rewound(written(tempfile.TemporaryFile()))", b"some bytes"),
    "a named one": ("rewound(written(tempfile.NamedTemporaryFile()))", b"some bytes"),
    "a spooled one": ("rewound(written(tempfile.SpooledTemporaryFile(99)))", b"some bytes"),
    "a gzip file": ("gzip.open('large.gz')", LARGE),
    "a member of an archive": ("zipped('large')", LARGE),
    "mapped memory": ("mapped('large')", LARGE),
    "a command's output": ("pipe('cat', 'large')", LARGE),
    "no output": ("pipe('true')", b""),
    "a file with text": ("open('text', encoding='utf-8')", TEXT.encode()),
    "a buffer of text": ("written(io.StringIO(), 'ö')", "ö".encode()),
    "a command's text": ("pipe('cat', 'text', encoding='utf-8')", TEXT.encode()),
}
PICTURE = "image/png"
# An expression, its content type, and words of the error.
REFUSED = {
    "a closed file": ("closed(open('small', 'rb'))", BYTES, ["is closed", "pathlib.Path"]),
    "a closed buffer": ("closed(io.BytesIO(b'x'))", BYTES, ["is closed", "as bytes"]),
    "a file for writing": ("open('new', 'wb')", BYTES, ["for writing only", "pathlib.Path"]),
    "one that is written": ("written(open('new', 'w+b'))", BYTES, ["after 10 bytes", ".seek(0)"]),
    "a temporary one": ("written(tempfile.TemporaryFile())", BYTES, ["after 10", ".seek(0)"]),
    "a spooled one": ("written(tempfile.SpooledTemporaryFile(99))", BYTES, [".seek(0)"]),
    "a file in text mode": ("open('link')", BYTES, ["cannot be read", 'the mode "rb"']),
    "a picture in text mode": ("open('text')", PICTURE, ["open as text", 'the mode "rb"']),
    "a picture in a StringIO": ("io.StringIO('x')", PICTURE, ["open as text", "io.BytesIO"]),
    "no file": ("pathlib.Path('nowhere')", BYTES, ["cannot be opened", "nowhere"]),
    "a folder": ("pathlib.Path('.')", BYTES, ["is a folder"]),
    "a path of a pipe": ("pathlib.Path(fifo())", BYTES, ["not a regular file"]),
    "a path of a device": ("pathlib.Path('/dev/zero')", BYTES, ["not a regular file"]),
    "a path with a NUL": ("pathlib.Path('a\\0b')", BYTES, ["cannot be opened"]),
    "a pipe that would not wait": ("silent()", BYTES, ["non-blocking"]),
    "one without a buffer": ("silent(buffering=0)", BYTES, ["non-blocking"]),
    "a read of numbers": ("Odd(5)", BYTES, ["read gave a int"]),
    "no size for read": ("configparser.ConfigParser()", BYTES, ["cannot be read"]),
    "an empty picture": ("b''", PICTURE, ["the picture is empty"]),
    "an empty text": ("''", "image/svg+xml", ["the picture is empty"]),
    "an empty bytearray": ("bytearray()", PICTURE, ["the picture is empty"]),
    "no picture": ("None", PICTURE, ["the picture is empty"]),
    "an empty one in a list": ("[b'']", PICTURE, ["the picture is empty"]),
    "an empty buffer": ("io.BytesIO()", PICTURE, ["the picture is empty"]),
    "an empty file": ("open('empty', 'rb')", PICTURE, ["the picture is empty"]),
    "an empty path": ("pathlib.Path('empty')", PICTURE, ["the picture is empty"]),
    "no output": ("pipe('true')", PICTURE, ["the picture is empty"]),
    "no pieces": ("iter(())", PICTURE, ["the picture is empty"]),
    "a file's name": ("'small'", PICTURE, ["the name of a file", "pathlib.Path('small')"]),
    "a whole name": ("os.path.abspath('small')", "image/jpeg", ["the name of a file"]),
    "a name as a drawing": ("'small'", "image/svg+xml", ["the name of a file"]),
    "a name as a sound": ("'small'", "audio/wav", ["the name of a file"]),
    "a name as a film": ("'small'", "video/mp4", ["the name of a file"]),
    "a name as a document": ("'small'", "application/pdf", ["the name of a file"]),
    "the name of no file": ("'out.png'", PICTURE, ["text is not a picture", "pathlib.Path"]),
    "base64": ("'iVBORw0KGgo='", PICTURE, ["text is not a picture", "base64.b64decode"]),
    "a data URL": ("'data:image/png;base64,iVBORw0KGgo='", PICTURE, ["data:", "b64decode"]),
    "a name in a list": ("['small']", PICTURE, ["the name of a file"]),
    "pieces of text": ("iter(['iVBORw0', 'KGgo='])", PICTURE, ["text is not a picture"]),
    "a name in pieces": ("iter(['small'])", PICTURE, ["the name of a file"]),
    "a name of a sound in pieces": ("iter(['small'])", "audio/wav", ["the name of a file"]),
    "a data URL in pieces": ("iter(['data:image/svg+xml,'])", "image/svg+xml", ["data:"]),
    "a name of data in pieces": ("(one for one in ['small'])", BYTES, ["the name of a file"]),
}


def cases(table):
    return pytest.mark.parametrize("case", table.values(), ids=table)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    (folder / "entrypoint.py").write_text(model(EVALUATING))
    for name, data in {"small": SMALL, "large": LARGE, "empty": b"", "text": TEXT.encode()}.items():
        (folder / name).write_bytes(data)
    (folder / "list").write_text(LIST)
    (folder / "large.gz").write_bytes(gzip.compress(LARGE, 1))
    (folder / "link").symlink_to("large")
    return folder


@pytest.fixture(scope="module")
def server(folder):
    with serve(folder / "entrypoint.py", cwd=folder) as server:
        yield server


@cases(READ)
def test_a_file_is_its_content(server, case):
    expression, data = case
    answer = server.post(text=expression, type=BYTES)
    assert (answer.status, answer.type) == (200, BYTES), answer
    assert answer.body == data


@cases(REFUSED)
def test_what_is_no_content_is_refused_with_the_way_out(server, case):
    expression, media, words = case
    answer = server.post(text=expression, type=media)
    assert answer.status == 500, answer
    for word in ["cannot be sent", *words]:
        assert word in answer.json()["detail"]
    assert "Traceback" not in answer.json()["detail"]


@pytest.mark.parametrize(
    "expression",
    [
        "saved(io.BytesIO())",
        "[saved(io.BytesIO())]",
        "rewound(saved(tempfile.TemporaryFile()))",
        "saved(open('picture', 'wb')).close() or pathlib.Path('picture')",
        "saved(open('picture', 'wb')).close() or open('picture', 'rb')",
    ],
)
def test_a_picture_is_its_file(server, expression):
    answer = server.post(text=expression, type=PICTURE)
    assert answer.status == 200, answer
    assert Image.open(io.BytesIO(answer.body)).getpixel((0, 0)) == (200, 0, 0)


@pytest.mark.parametrize(
    ("expression", "media", "text"),
    [
        ("open('text', encoding='utf-8')", "text/plain", TEXT),
        ("open('text', 'rb')", "text/plain; charset=utf-8", TEXT),
        ("io.StringIO('[1, 2]')", "application/json", "[1, 2]"),
        ("io.BytesIO(b'[1, 2]')", "application/json", "[1, 2]"),
        ("open('list', 'rb')", "application/json", LIST),
        ("open('list')", "application/json", LIST),
        ("'<svg/>'", "image/svg+xml", "<svg/>"),
        ("io.StringIO('<svg/>')", "image/svg+xml", "<svg/>"),
        ("'small'", "text/plain", "small"),
        ("'#EXTM3U'", "audio/x-mpegurl", "#EXTM3U"),
        ("iter(['<svg>', 'small', '</svg>'])", "image/svg+xml", "<svg>small</svg>"),
        ("iter(['small', 'x'])", "text/plain", "smallx"),
    ],
)
def test_text_stays_text(server, expression, media, text):
    answer = server.post(text=expression, type=media)
    assert answer.status == 200, answer
    assert answer.body.decode() == text


def test_later_chunks_of_a_picture_may_not_be_text(server):
    answer = server.classic(text="iter([b'\\x89PNG', 'words'])", type=PICTURE)
    assert "text is not a picture" in answer["err"]


def test_the_last_chunk_of_a_picture_may_be_empty(program):
    source = """
        import ai_integration
        SCHEMA = {"text": {"type": "text"}}

        def infer(inputs):
            ai_integration.send_chunk(b"\\x89PNG", "image/png")
            return {"content-type": "image/png", "data": eval(inputs["text"]), "success": True}
    """
    with serve(program(model(source))) as server:
        for last in ["None", "b''", "iter(())"]:
            answer = server.post(text=last)
            assert (answer.status, answer.body) == (200, b"\x89PNG")


@pytest.mark.parametrize("more", ["", ", encoding='utf-8'"], ids=["bytes", "text"])
def test_a_commands_output_is_sent_as_it_comes(folder, server, more):
    go = folder / "go"
    command = "echo first; while [ ! -e go ]; do sleep 0.01; done; echo second; rm go"
    text = "pipe('sh', '-c', %r%s)" % (command, more)
    body = urllib.parse.urlencode({"text": text, "type": "text/plain"}).encode()
    request = urllib.request.Request(server.url + "/infer", data=body)
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.read(6) == b"first\n"
        go.touch()
        assert answer.read() == b"second\n"


def drained(url, **fields):
    """Reads a response. Returns its size, and true if it was complete."""
    body = urllib.parse.urlencode(fields).encode()
    size = 0
    try:
        with urllib.request.urlopen(url + "/infer", body, timeout=60) as answer:
            piece = answer.read1(1 << 20)
            while piece:
                size += len(piece)
                piece = answer.read1(1 << 20)
    except (OSError, http.client.HTTPException):
        return size, False
    return size, True


@pytest.mark.parametrize("expression", ["open('/dev/zero', 'rb')", "Endless()"])
def test_a_file_without_an_end_ends_in_words(folder, expression):
    with serve(folder / "entrypoint.py", cwd=folder) as server:
        size, is_whole = drained(server.url, text=expression, type=BYTES)
        assert not is_whole
        assert (1 << 29) < size <= (1 << 30)
        server.wait_for_output("gave more than 1 GiB and has no length")
        # The engine has not kept the chunks that it had sent.
        assert memory(server.process.pid) < 500


def test_the_authors_file_stays_open_and_ours_does_not(program, tmp_path):
    source = """
        import os, pathlib
        SCHEMA = {"text": {"type": "text"}}
        held = open(__file__, "rb")

        def infer(inputs):
            if inputs["text"] == "held":
                held.seek(0)
                data = held
            elif inputs["text"] == "path":
                data = pathlib.Path("large")
            else:
                data = str(len(os.listdir("/proc/self/fd")))
            return {"content-type": "application/octet-stream", "data": data, "success": True}
    """
    path = program(model(source))
    (tmp_path / "large").write_bytes(LARGE)
    with serve(path, cwd=tmp_path) as server:
        before = server.post(text="count").body
        for _ in range(3):
            assert server.post(text="held").body == path.read_bytes()
            assert server.post(text="path").body == LARGE
        assert server.post(text="count").body == before


def test_the_command_line_writes_the_file(folder):
    for expression, data in [READ["a large file"], READ["a path"], READ["a small path"]]:
        done = run(
            "entrypoint.py",
            *["--text", expression, "--type", BYTES],
            mode="command_line",
            command=["env", "-C", folder, sys.executable],
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == data


def test_50_mb_by_file_take_no_longer_than_as_bytes(program, tmp_path):
    source = """
        import io, pathlib
        SCHEMA = {"text": {"type": "text"}}

        def infer(inputs):
            data = eval(inputs["text"])
            return {"content-type": "application/octet-stream", "data": data, "success": True}
    """
    (tmp_path / "large").write_bytes(os.urandom(50_000_000))
    ways = {
        "bytes": "open('large', 'rb').read()",
        "file": "open('large', 'rb')",
        "path": "pathlib.Path('large')",
        "buffer": "io.BytesIO(open('large', 'rb').read())",
    }
    times = {name: [] for name in ways}
    with serve(program(model(source)), cwd=tmp_path) as server:
        for _ in range(5):
            for name, expression in ways.items():
                begin = time.perf_counter()
                assert len(server.post(text=expression).body) == 50_000_000
                times[name].append(time.perf_counter() - begin)
    for name in ways:
        assert min(times[name]) < 1.5 * min(times["bytes"]) + 0.02
