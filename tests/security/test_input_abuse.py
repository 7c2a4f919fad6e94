"""Malicious bodies are refused quickly with a reason, and do not reach the model."""

import base64
import json
import os
import struct
import time

import pytest
from pictures.parts import saved
from raw import exchange, statuses
from support import serve

FORM = {"Content-Type": "multipart/form-data; boundary=b"}
TYPE_JSON = {"Content-Type": "application/json"}


def part(name="text", content=b"x", more=b""):
    head = b'Content-Disposition: form-data; name="%s"\r\n' % name.encode()
    return b"--b\r\n" + head + more + b"\r\n" + content + b"\r\n"


END = b"--b--\r\n"
FORMS = {
    "20,000 parts": (b"".join(part("f%d" % n) for n in range(20_000)) + END, 400),
    "1 MB of a part's header": (part(more=b"X: " + b"x" * 1_000_000 + b"\r\n") + END, 400),
    "33 headers of a part": (part(more=b"X: x\r\n" * 33) + END, 400),
    "20,000 headers of a part": (part(more=b"X: x\r\n" * 20_000) + END, 400),
    "1 MB before it": (b"\r" * 1_000_000 + b"\r\n" + part() + END, 400),
    "1 MB after it": (part() + END + b"x" * 1_000_000, 400),
    "no end": (part(), 400),
    "lines that end with LF only": ((part() + END).replace(b"\r\n", b"\n"), 400),
    "a field twice": (part() + part() + END, 422),
    "text that is not UTF-8": (part("text", b"\xff\xfe") + END, 422),
    "a NUL in text": (part("text", b"a\0b") + END, 422),
    "a lone surrogate": (part("text", b"\xed\xa0\x80") + END, 422),
    "a part without a name": (b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n" + END, 400),
}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("name", FORMS)
def test_forms(server, name):
    body, status = FORMS[name]
    begin = time.monotonic()
    answer = server.request("/infer", body, {**FORM, "Host": "localhost"})
    assert (answer.status, time.monotonic() - begin < 1) == (status, True), answer
    assert answer.json()["code"]


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("boundary", ["", "x" * 71, "x" * 10_000, '""'])
def test_boundaries(server, boundary):
    headers = {"Content-Type": "multipart/form-data; boundary=" + boundary, "Host": "localhost"}
    assert server.request("/infer", part() + END, headers).status in (400, 415)


def test_a_files_name_is_nothing_but_a_name(server):
    for name in [b"../../x", b"a\\0b", b"x" * 300, b"/etc/passwd"]:
        more = b'Content-Disposition: form-data; name="image"; filename="%s"' % name
        body = b"--b\r\n" + more + b"\r\n\r\nx\r\n" + END
        answer = server.request("/infer", body, FORM)
        assert answer.status in (200, 422)
        assert name not in answer.body or answer.status == 422


JSONS = {
    "100,000 levels": (b'{"json": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
    "100,000 levels of objects": (b'{"json": ' + b'{"a":' * 100_000 + b"}", 400),
    "129 levels": (b'{"json": ' + b"[" * 129 + b"]" * 129 + b"}", 400),
    "an input twice": (b'{"text": "a", "text": "b"}', 422),
    "a key twice": (b'{"json": {"a": 1, "a": 2}}', 400),
    "an escaped key twice": (b'{"json": {"a": 1, "\\u0061": 2}}', 400),
    "100,000 inputs": (json.dumps({"f%d" % n: 1 for n in range(100_000)}).encode(), 400),
    "a million values and more": (b'{"json": [' + b"0," * 1_000_000 + b"0]}", 400),
    "half a million lists of one": (b'{"json": [' + b"[0]," * 500_000 + b"0]}", 400),
    "NaN": (b'{"number": NaN}', 400),
    "Infinity": (b'{"number": -Infinity}', 400),
    "a number without end": (b'{"number": 1' + b"0" * 100_000 + b"}", 400),
    "a number beyond all": (b'{"number": 1e999}', 400),
    "an integer that is none": (b'{"integer": 1.5}', 422),
    "invalid UTF-8": (b'{"text": "\xff"}', 400),
    "a lone surrogate": (b'{"text": "\\ud800"}', 400),
    "a NUL": (b'{"text": "a\\u0000b"}', 422),
    "a raw control character": (b'{"text": "a\nb"}', 400),
    "an unknown escape": (b'{"text": "\\x41"}', 400),
    "something after it": (b'{"text": "a"} {"text": "b"}', 400),
    "nothing": (b"", 400),
    "a pickle": (b"\x80\x04K*.", 400),
}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("name", JSONS)
def test_json(server, name):
    body, status = JSONS[name]
    begin = time.monotonic()
    answer = server.request("/infer", body, {**TYPE_JSON, "Host": "localhost"})
    assert (answer.status, time.monotonic() - begin < 1) == (status, True), answer


@pytest.mark.usefixtures("untouched")
def test_json_in_a_form_is_held_to_the_same(server):
    many = "[" + "0," * 1_000_000 + "0]"
    for text in ['{"a": 1, "a": 2}', many, "[1e999]", "[" * 129 + "]" * 129]:
        answer = server.post(json=text, headers={"Host": "localhost"})
        assert (answer.status, answer.json()["code"]) == (422, "invalid_input"), answer
        assert "no key twice" in answer.json()["errors"][0]["message"]


def test_json_within_the_limits_reaches_the_model(server):
    deep = b'{"json": ' + b"[" * 100 + b"]" * 100 + b"}"
    assert server.request("/infer", deep, TYPE_JSON).status == 200
    wide = json.dumps({"json": list(range(200_000))}).encode()
    assert server.request("/infer", wide, TYPE_JSON).status == 200
    exact = json.dumps({"integer": 2**53 + 1, "json": 2**64 - 1}).encode()
    answer = server.request("/infer", exact, TYPE_JSON).body
    assert str(2**53 + 1).encode() in answer
    assert str(2**64 - 1).encode() in answer


PICKLE = b"cos\nsystem\n(S'touch %s'\ntR."


@pytest.mark.parametrize(
    "media",
    [
        "application/x-pickle",
        "application/octet-stream",
        "application/python-pickle",
        "application/vnd.apache.arrow",
        "",
    ],
)
@pytest.mark.parametrize("path", ["/infer", "/", "/schema", "/openapi.json"])
def test_no_pickle_is_ever_read(server, tmp_path, media, path):
    canary = tmp_path / "canary"
    bomb = PICKLE % os.fsencode(canary)
    answer = server.request(path, bomb, {"Content-Type": media})
    # At / any file may be the picture of a model for Hugging Face's client; this one is no picture.
    assert answer.status in ((400, 415) if path == "/" else (405, 415))
    for name in ["text", "json", "image"]:
        form = part(name, bomb, b"Content-Type: %s\r\n" % media.encode()) + END
        server.request(path, form, FORM)
        server.request(path, json.dumps({name: bomb.decode()}).encode(), TYPE_JSON)
    assert not canary.exists()


@pytest.mark.usefixtures("untouched")
def test_a_megabyte_in_chunks_of_one_byte_costs_little(server):
    chunks = b"1\r\nx\r\n" * 300_000 + b"0\r\n\r\n"
    request = (
        b"POST /infer HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n" + chunks
    )
    begin = time.monotonic()
    assert statuses(exchange(server, request)) == [400]
    assert time.monotonic() - begin < 5


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + b"\0\0\0\0"


def png_size(width, height):
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))


def png(width, height, more=b""):
    return b"\x89PNG\r\n\x1a\n" + png_size(width, height) + more + chunk(b"IDAT", b"x")


def frames(count):
    """The announcement of an animation, the first frame of which is the picture itself."""
    return chunk(b"acTL", struct.pack(">II", count, 0)) + chunk(b"fcTL", b"\0" * 26)


def gif(*places):
    """Images, each with its left, top, width and height, on a screen of one pixel."""
    images = [b"," + struct.pack("<HHHH", *place) + b"\0\2\0" for place in places]
    return b"GIF89a\1\0\1\0\0\0\0" + b"".join(images) + b";"


PICTURES = {
    "4 gigapixels": (png(65_535, 65_535), "65535 x 65535"),
    "a size beyond all": (png(2**31 - 1, 2**31 - 1), "pixels"),
    "10,000 frames": (png(1, 1, frames(10_000)), "frames"),
    "23 frames of 64 megapixels": (
        png(8_000, 8_000, frames(23)),
        "23 frames of 8000 x 8000",
    ),
    "a GIF beyond its screen": (gif((0, 0, 1, 1), (0, 0, 13_000, 13_000)), "13000 x 13000"),
    "a PNG of two sizes": (png(1, 1, png_size(13_000, 13_000)), "broken"),
    "a PNG of two sizes, one behind the pixels": (png(1, 1) + png_size(13_000, 13_000), "broken"),
    "an AVIF of 200,000 boxes": (
        b"\0\0\0\x10ftypavif\0\0\0\0" + b"\0\0\0\x08free" * 200_000,
        "broken",
    ),
    "no picture": (b"no picture", "expected a picture"),
    "FITS": (b"SIMPLE  =                    T" + b" " * 2850, "expected a picture"),
    "PDF": (b"%PDF-1.7\n" + b"x" * 100, "expected a picture"),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "expected a picture"),
}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_looked_at_before_the_model_gets_them(server, name):
    picture, words = PICTURES[name]
    begin = time.monotonic()
    answer = server.post(image=picture)
    assert (answer.status, time.monotonic() - begin < 0.5) == (422, True), answer
    assert words in answer.json()["errors"][0]["message"]
    encoded = json.dumps({"image": base64.b64encode(picture).decode()}).encode()
    assert server.request("/infer", encoded, TYPE_JSON).status == 422


def test_pictures_within_the_limits_reach_the_model(server):
    assert server.post(image=png(8_000, 8_000)).status == 200
    assert server.post(image=gif((8, 8, 8_000, 8_000))).status == 200


@pytest.mark.parametrize(
    ("setting", "taken"),
    [(None, {"AVIF"}), ("avif", {"AVIF"}), ("heic", {"HEIF"}), ("png,heif", {"AVIF", "HEIF"})],
)
def test_avif_and_heic_are_distinguished(module_program, setting, taken):
    # Pillow alone reads AVIF, but not HEIC.
    settings = {} if setting is None else {"AI_INTEGRATION_IMAGE_FORMATS": setting}
    with serve(module_program, **settings) as server:
        for name, here in [("AVIF", "avif"), ("HEIF", "heic")]:
            answer = server.post(image=saved(name))
            if name in taken:
                assert answer.status == 200, answer
            else:
                hint = "; AI_INTEGRATION_IMAGE_FORMATS sets the formats that the server accepts"
                hint = "got %s" % here + hint
                assert hint in answer.json()["errors"][0]["message"]


def test_the_operator_says_which_pictures_may_come(module_program):
    with serve(module_program, AI_INTEGRATION_IMAGE_FORMATS="*") as server:
        assert server.post(image=b"no picture").status == 200
    with serve(module_program, AI_INTEGRATION_IMAGE_FORMATS="jpeg") as server:
        assert "got png" in server.post(image=png(1, 1)).json()["detail"]
