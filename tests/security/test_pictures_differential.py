"""The server's check of pictures against Pillow: what Pillow opens over the limits is refused, and
what it opens within them is taken. What it cannot open may be either."""

import contextlib
import http.client
import multiprocessing
import random
import re
import struct
import textwrap

import pictures
import pytest
from pictures import pillow as pillow_view
from pictures.jpeg import jpeg_frame
from pictures.parts import saved
from support import multipart, serve

MAX_PIXELS = 10_000
MAX_FRAMES = 8
TOGETHER = 16 * MAX_PIXELS
CASES = 600
# Time in which Pillow reads a header.
TIMEOUT = 20

MODEL = """
    import ai_integration
    while True:
        with ai_integration.get_next_input(inputs_schema={"image": {"type": "image"}}):
            ai_integration.send_result({"content-type": "text/plain", "data": "", "success": True})
"""
FORMATS = {"PNG", "JPEG", "MPO", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "HEIF"}


@pytest.fixture(scope="module")
def connection(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "entrypoint.py"
    path.write_text(textwrap.dedent(MODEL))
    limits = {"AI_INTEGRATION_MAX_PIXELS": MAX_PIXELS, "AI_INTEGRATION_MAX_FRAMES": MAX_FRAMES}
    limits["AI_INTEGRATION_IMAGE_FORMATS"] = "png,jpeg,gif,webp,bmp,tiff,heif"
    with serve(path, HOST="127.0.0.1", **limits) as server:
        address = server.url.removeprefix("http://")
        with contextlib.closing(http.client.HTTPConnection(address, timeout=30)) as connection:
            yield connection


@pytest.fixture(scope="module")
def pillow():
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(1, initializer=pillow_view.prepare) as pool:

        def view(data):
            question = (data, MAX_PIXELS, MAX_FRAMES)
            return pool.apply_async(pillow_view.view, question).get(TIMEOUT)

        yield view


def refusal(connection, data):
    """Returns the server's reason to refuse a picture, or nothing."""
    body, kind = multipart({"image": data})
    connection.request("POST", "/infer", body, {"Content-Type": kind})
    answer = connection.getresponse()
    text = answer.read().decode()
    assert answer.status in (200, 422), text
    return text if answer.status == 422 else None


def is_ambiguous(data):
    """Returns true if decoders may differ on a file, so that all that it says must be within the
    limits: a PNG or a JPEG that says several
    sizes, images beside a sequence of images, images that are
    cropped, and images some of which are broken."""
    frame = rb"\xff[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf\xde]\0[\x0b\x11]"
    return (
        len(re.findall(frame, data)) > 1
        or data.count(b"IHDR") > 1
        or (data[8:12] in (b"mif1", b"msf1") and b"moov" in data)
        or b"clap" in data
        or data.count(b"infe") > MAX_FRAMES
    )


def compare(connection, pillow, name, seed):
    """Compares the two on one file; returns whether it is over the limits, or nothing if Pillow
    cannot open it."""
    data = pictures.picture(name, random.Random(seed))
    view = pillow(data)
    server = refusal(connection, data)
    if view is None:
        return None
    is_over = view.is_over(MAX_PIXELS, MAX_FRAMES, TOGETHER)
    about = f"{name}, seed {seed!r}: Pillow: {view}; server: {server}\n{data[:6000].hex()}"
    if is_over:
        assert server is not None, about
    elif view.is_whole and view.format in FORMATS:
        assert server is None or is_ambiguous(data), about
    return is_over


@pytest.mark.parametrize("name", pictures.FORMATS)
def test_the_server_sees_what_pillow_sees(connection, pillow, name):
    seen = [compare(connection, pillow, name, f"{name} {case}") for case in range(CASES)]
    # The files are worth a comparison.
    assert seen.count(True) > CASES / 25
    assert seen.count(False) > CASES / 10


def im(size):
    """A line of text that begins a picture of IFUNC."""
    return b":\nImage size (x*y): %d*%d\n\x1a" % size


def unknown_tiff(text):
    """A small TIFF of a kind of pixels that Pillow does not know, with a text behind its head."""
    page = b"".join(
        struct.pack("<HHII", tag, 4, 1, value)
        for tag, value in [(256, 9), (257, 9), (258, 7), (262, 9), (273, 8)]
    )
    head = b"II*\0" + struct.pack("<I", 8 + len(text))
    return head + text + struct.pack("<H", 5) + page + b"\0" * 500


def spider(size, start):
    """Numbers from which an image of SPIDER is known, behind a file's start."""
    numbers = [0.0] * 27
    numbers[1], numbers[4], numbers[11] = size[1], 1.0, size[0]
    numbers[12], numbers[21], numbers[22] = 1.0, 400.0, 400.0
    return start + struct.pack("<27f", *numbers)[len(start) :]


def unknown_jpeg(start):
    """A small JPEG of 12 bits, which Pillow does not know, whose first segment holds something
    else."""
    length = struct.unpack_from(">H", start, 4)[0]
    frame = jpeg_frame((9, 9), bits=12)
    return start.ljust(length + 4, b"\0") + frame + b"\xff\xda\0\2"


LOOKALIKES = {
    "IM": unknown_tiff(im((60_000, 60_000))),
    "SPIDER": unknown_jpeg(spider((60_000, 60_000), b"\xff\xd8\xff\xe0")),
    "FLI": unknown_jpeg(
        b"\xff\xd8\xff\xe0" + struct.pack("<HHHHHH", 0xAF11, 1, 60_000, 60_000, 8, 3)
    ),
    "GBR": b"\xff\xd8\xff\xe0" + struct.pack(">5I", 1, 60_000, 60_000, 1, 0)
    + jpeg_frame((9, 9), bits=12) + b"\xff\xda\0\2",
    "TGA": b"\0\0\2\x18ftypheic" + struct.pack("<HHBB", 60_000, 60_000, 24, 0) + b"\0" * 518
    + saved("HEIF", size=(64, 64))[24:],
}  # fmt: skip


@pytest.mark.parametrize("form", LOOKALIKES)
def test_no_other_format_passes_for_a_picture(connection, pillow, form):
    """Pillow tries other formats when it does not know a variant of the one that a file begins
    like."""
    view = pillow(LOOKALIKES[form])
    assert view.format == form
    assert view.is_over(MAX_PIXELS, MAX_FRAMES, TOGETHER)
    assert "broken" in refusal(connection, LOOKALIKES[form])
