"""JSON and forms as other systems send them: with a byte order mark, in UTF-16, UTF-32 or Latin-1,
in base64, under the type of a form; and what users are told where that cannot be read."""

import base64
import codecs
import json
import quopri
import urllib.parse

import pytest
from compat import model, picture
from support import run, serve

TEXT = "grün 😀"
LATIN = "grün"
PNG = picture()
ONE_TEXT = """
    SCHEMA = {"text": {"type": "text"}}

    def infer(inputs):
        return {"content-type": "application/json", "data": __import__("json").dumps(inputs),
                "success": True}
"""
MORE = """
    SCHEMA = {
        "text": {"type": "text", "required": False},
        "photo": {"type": "image", "required": False},
        "steps": {"type": "integer", "required": False},
        "extra": {"type": "json", "required": False},
    }

    def infer(inputs):
        if "photo" in inputs:
            inputs["photo"] = len(inputs["photo"])
        return {"content-type": "application/json", "data": __import__("json").dumps(inputs),
                "success": True}
"""
PATHS = ["/infer", "/"]
both_addresses = pytest.mark.parametrize("path", PATHS)

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"

MARKS = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}
JSON_TEXT = json.dumps({"text": TEXT}, ensure_ascii=False)
# The forms of JSON whose encoding is detected.
TOLD = {
    **{name: JSON_TEXT.encode(name) for name in MARKS},
    **{name + " with a mark": mark + JSON_TEXT.encode(name) for name, mark in MARKS.items()},
    "utf-8 with a mark and space": codecs.BOM_UTF8 + b"\r\n  " + JSON_TEXT.encode(),
}


def served(tmp_path_factory, source):
    path = tmp_path_factory.mktemp("encodings") / "entrypoint.py"
    path.write_text(model(source))
    return serve(path)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with served(tmp_path_factory, ONE_TEXT) as server:
        yield server


@pytest.fixture(scope="module")
def optional(tmp_path_factory):
    with served(tmp_path_factory, MORE) as server:
        yield server


def seen(path, answer):
    """Returns the inputs that the model got."""
    assert answer.status == 200, answer
    return answer.json()["output"] if path == "/" else answer.json()


def told(path, answer, status):
    """Checks the status, and returns the message that the user gets."""
    assert answer.status == status, answer
    return answer.json()["err" if path == "/" else "detail"]


def ask(server, path, body, kind):
    return server.request(path, body, {"Content-Type": kind}, method="POST")


def part(name, content, *headers):
    """Returns a form of one part, and its content type."""
    head = ['Content-Disposition: form-data; name="%s"' % name, *headers]
    body = b"--b\r\n%s\r\n\r\n%s\r\n--b--\r\n" % ("\r\n".join(head).encode(), content)
    return body, "multipart/form-data; boundary=b"


# --- encodings ---


@both_addresses
@pytest.mark.parametrize("kind", [JSON, JSON + "; charset=utf-8", JSON + ";charset=latin1;"])
@pytest.mark.parametrize("name", [name for name in TOLD if name != "utf-8"])
def test_the_encoding_of_json_is_detected(server, path, kind, name):
    assert seen(path, ask(server, path, TOLD[name], kind)) == {"text": TEXT}


@pytest.mark.parametrize("name", TOLD)
def test_the_encoding_of_json_in_a_pipe_is_detected(program, name):
    done = run(program(model(ONE_TEXT)), mode="test_inputs_dict_json", stdin=TOLD[name])
    assert done.returncode == 0, done.stderr


@both_addresses
@pytest.mark.parametrize("name", TOLD)
def test_the_encoding_of_json_in_a_file_is_detected(optional, path, name):
    body, kind = part("extra", TOLD[name], 'Content-Disposition: form-data; filename="a.json"')
    body = body.replace(b'"extra"\r\nContent-Disposition: form-data', b'"extra"')
    assert seen(path, ask(optional, path, body, kind)) == {"extra": {"text": TEXT}}


CHARSETS = [
    ("iso-8859-1", "latin-1", LATIN),
    ("ISO_8859-1", "latin-1", LATIN),
    ('"latin1"', "latin-1", LATIN),
    ("windows-1252", "cp1252", "5 € für „grün“"),
    ("us-ascii", "ascii", "plain"),
    ("UTF-8", "utf-8", TEXT),
    ("utf-16", "utf-16", TEXT),
    ("utf-16", "utf-16-be", TEXT),
    ("utf-16le", "utf-16-le", TEXT),
    ("utf-16be", "utf-16-be", TEXT),
    ("utf-32", "utf-32", TEXT),
]


@both_addresses
@pytest.mark.parametrize(("charset", "codec", "text"), CHARSETS)
def test_the_charset_of_json_is_heeded(server, path, charset, codec, text):
    body = json.dumps({"text": text}, ensure_ascii=False).encode(codec)
    assert seen(path, ask(server, path, body, JSON + "; charset=" + charset)) == {"text": text}


@both_addresses
@pytest.mark.parametrize(("charset", "codec", "text"), CHARSETS)
def test_the_charset_of_a_part_is_heeded(server, path, charset, codec, text):
    body, kind = part("text", text.encode(codec), "Content-Type: text/plain; charset=" + charset)
    assert seen(path, ask(server, path, body, kind)) == {"text": text}
    body, kind = part("text", text.encode(codec))
    assert seen(path, ask(server, path, body, kind + "; charset=" + charset)) == {"text": text}


@both_addresses
@pytest.mark.parametrize(("charset", "codec", "text"), CHARSETS)
def test_the_charset_of_a_urlencoded_form_is_heeded(server, path, charset, codec, text):
    kind = FORM + "; charset=" + charset
    if codec.startswith(("utf-16", "utf-32")):
        # In these charsets the whole body is encoded, not only the values.
        body = urllib.parse.urlencode({"text": text}).encode(codec)
    else:
        body = urllib.parse.urlencode({"text": text}, encoding=codec).encode()
        raw = b"text=" + text.encode(codec)
        assert seen(path, ask(server, path, raw, kind)) == {"text": text}
    assert seen(path, ask(server, path, body, kind)) == {"text": text}


def test_a_file_in_another_charset_stays_as_it_is(optional):
    # A file is bytes; only the text of a form has an encoding.
    body, kind = part("photo", PNG, "Content-Type: image/png")
    answer = ask(optional, "/infer", body, kind + "; charset=iso-8859-1")
    assert answer.json() == {"photo": len(PNG)}


@both_addresses
@pytest.mark.parametrize("kind", [JSON, FORM, "multipart/form-data; boundary=b"])
def test_an_unknown_charset_is_refused(server, path, kind):
    body = part("text", b"x")[0] if "boundary" in kind else b'{"text": "x"}'
    sentence = (
        'text in the charset "koi8-r" is not supported; send UTF-8, UTF-16, UTF-32, ISO-8859-1 or '
        "windows-1252"
    )
    answer = ask(server, path, body, kind + "; charset=koi8-r")
    assert told(path, answer, 415) == sentence
    body, kind = part("text", b"x", "Content-Type: text/plain; charset=koi8-r")
    assert told(path, ask(server, path, body, kind), 415) == sentence


@both_addresses
@pytest.mark.parametrize(
    ("body", "kind", "status", "sentence"),
    [
        (
            '{"text": "grün"}'.encode("latin-1"),
            JSON,
            400,
            "the body is not a JSON object of inputs: its byte 13, 0xFC, is not UTF-8; send UTF-8, "
            "or name the charset in the Content-Type",
        ),
        (
            b'\xef\xbb\xbf{"text": "gr\xfcn"}',
            JSON,
            400,
            "the body is not a JSON object of inputs: its byte 13, 0xFC, is not UTF-8; send UTF-8, "
            "or name the charset in the Content-Type",
        ),
        (
            b"\xff\xfe{\x00}\x00}",
            JSON,
            400,
            "the body is not a JSON object of inputs: its byte 7, 0x7D, is not UTF-16; send UTF-8, "
            "or name the charset in the Content-Type",
        ),
        (
            b"text=gr%FCn",
            FORM,
            422,
            "text: expected text, got 4 bytes, of which byte 3, 0xFC, is not UTF-8",
        ),
        (
            *part("text", b"gr\xfcn"),
            422,
            "text: expected text, got 4 bytes, of which byte 3, 0xFC, is not UTF-8",
        ),
        (
            *part("text", b"g\x00r\x00\x00", "Content-Type: text/plain; charset=utf-16"),
            422,
            "text: expected text, but its byte 5, 0x00, is not UTF-16",
        ),
        (
            b"gr%FCn=x",
            FORM,
            400,
            "the name of a field is not UTF-8; name its charset",
        ),
    ],
)
def test_text_that_is_not_in_its_encoding_is_refused_with_the_place(
    server, path, body, kind, status, sentence
):
    assert told(path, ask(server, path, body, kind), status) == sentence


def test_bytes_in_a_urlencoded_form_reach_the_model_unchanged(optional):
    body = urllib.parse.urlencode({"photo": PNG}).encode()
    assert ask(optional, "/infer", body, FORM).json() == {"photo": len(PNG)}


# --- JSON under the type of a form, and misspelt names ---


@both_addresses
@pytest.mark.parametrize(
    "kind", [FORM, FORM + "; charset=utf-8", "multipart/form-data; boundary=b"]
)
@pytest.mark.parametrize(
    "body",
    [
        b'{"text": "hi"}',
        b' \r\n{"text": "hi"}',
        b'[{"text": "hi"}]',
        b'{"text": "a=b&c=d"}',
        b'\xef\xbb\xbf{"text": "hi"}',
        '{"text": "hi"}'.encode("utf-16"),
        b"%7B%22text%22%3A%20%22hi%22%7D",
    ],
)
def test_json_under_the_type_of_a_form_is_refused(server, optional, path, kind, body):
    for asked in (server, optional):
        assert told(path, ask(asked, path, body, kind), 400) == (
            "the body is JSON, but its Content-Type is that of a form; send Content-Type: "
            "application/json"
        )


@both_addresses
@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"txt": "x"}, 'text: missing; expected text; found "txt": did you mean "text"?'),
        ({"Text": "x"}, 'text: missing; expected text; found "Text": did you mean "text"?'),
        ({"prompt": "x"}, 'text: missing; expected text; found instead: "prompt"'),
        (
            {"a": "1", "test": "x"},
            'text: missing; expected text; found "test": did you mean "text"?',
        ),
        ({"a": "1", "b": "2"}, 'text: missing; expected text; found instead: "a", "b"'),
        (
            dict.fromkeys("abcdefg", "1"),
            'text: missing; expected text; found instead: "a", "b", "c", "d", "e", …',
        ),
        ({}, "text: missing; expected text"),
    ],
)
def test_a_missing_input_names_what_came_instead(server, path, given, sentence):
    parts = b"".join(part(name, value.encode())[0][:-7] for name, value in given.items())
    for body, kind in [
        (json.dumps(given).encode(), JSON),
        (urllib.parse.urlencode(given).encode(), FORM),
        (parts + b"--b--\r\n", "multipart/form-data; boundary=b"),
    ]:
        assert told(path, ask(server, path, body, kind), 422) == sentence


def test_a_missing_input_names_what_came_in_a_pipe(program):
    done = run(program(model(ONE_TEXT)), mode="test_inputs_dict_json", stdin=b'{"txt": "x"}')
    # The schema is a hint there, so the model is asked all the same.
    assert done.returncode == 0
    assert b'text: missing; expected text; found "txt": did you mean "text"?' in done.stderr


# --- the parser's words ---

BROKEN = [
    (b"{'text': 'x'}", 'expected a key in double quotes, got "\'", at line 1 column 2'),
    (
        b"{\"text\": 'x'}",
        'expected a value, got "\'"; put text in double quotes, at line 1 column 10',
    ),
    (b'{text: "x"}', 'expected a key in double quotes, got "text", at line 1 column 2'),
    (
        b'{\n  "text": "x",\n}',
        'expected a further value after the comma, got "}"; leave the comma out, at line 3 '
        "column 1",
    ),
    (
        b'{"text": [1,]}',
        'expected a further value after the comma, got "]"; leave the comma out, at line 1 '
        "column 13",
    ),
    (b'{"text" "x"}', 'expected : after the key, got "\\"", at line 1 column 9'),
    (b'{"text": "x" "b": 1}', 'expected , or } after a value, got "\\"", at line 1 column 14'),
    (b'{"text": [1 2]}', 'expected , or ] after a value of a list, got "2", at line 1 column 13'),
    (
        b'{"text": True}',
        'expected a value, got "True"; JSON has true, false and null, at line 1 column 10',
    ),
    (
        b'{"text": NaN}',
        'expected a value, got "NaN"; JSON has no such number, at line 1 column 10',
    ),
    (
        b'{"text": -Infinity}',
        'expected a value, got "-Infinity"; JSON has no such number, at line 1 column 10',
    ),
    (
        '{"grün": “x”}'.encode(),
        'expected a value, got "“"; put text in straight double quotes, at line 1 column 10',
    ),
    (
        b'{"text": hello}',
        'expected a value, got "hello"; put text in double quotes, at line 1 column 10',
    ),
    (
        b'{"text": nul}',
        'expected a value, got "nul"; put text in double quotes, at line 1 column 10',
    ),
    (b'{"text": // x\n1}', 'expected a value, got "/"; JSON has no comments, at line 1 column 10'),
    (b'{"text": 01}', "a number is not written as in 7, -0.5 or 1e3, at line 1 column 11"),
    (
        b'{"text": "a\nb"}',
        "a line ends inside a string; write the line break as \\n, at line 1 column 12",
    ),
    (b'{"text": "a\tb"}', "a string contains a tab; write it as \\t, at line 1 column 12"),
    (
        b'{"text": "C:\\dir"}',
        '"dir" cannot follow a backslash; write \\\\ for a backslash, at line 1 column 14',
    ),
    (
        b'{"text": "\\ud83d"}',
        "half of a character is escaped, such as \\ud83d without \\ude00, at line 1 column 17",
    ),
    (
        b'{"text": "\\u12"}',
        "four hexadecimal digits must follow \\u, at line 1 column 16",
    ),
    (b'{"text": "x"} x', 'expected nothing after the value, got "x", at line 1 column 15'),
    (b'{"text": "x"', "it is cut off in the middle of an object, at line 1 column 13"),
    (b'{"text": ["x"', "it is cut off in the middle of a list, at line 1 column 14"),
    (b'{"text": "x', "it is cut off in the middle of a string, at line 1 column 12"),
    (b'{"text":\n', "it is cut off in the middle of a value, at line 2 column 1"),
    (b"  \n", "it is empty"),
    (
        b"[1]",
        'expected an object such as {"name": "value"}, got a list, at line 1 column 1',
    ),
    (
        b' "x"',
        'expected an object such as {"name": "value"}, got text, at line 1 column 2',
    ),
    (
        b"t1.json",
        'expected a value, got "t1.json"; put text in double quotes, at line 1 column 1',
    ),
    (
        b'{"text": ' + b"[" * 200 + b"]" * 200 + b"}",
        "it is nested more than 127 levels deep, at line 1 column 136",
    ),
    (
        b'{"text": {"a": 1, "a": 2}}',
        'the key "a" is given twice, at line 1 column 25',
    ),
]


@pytest.mark.parametrize(("body", "sentence"), BROKEN)
def test_errors_in_json_are_plain_and_name_the_place(server, body, sentence):
    whole = "the body is not a JSON object of inputs: " + sentence
    for path in PATHS:
        assert told(path, ask(server, path, body, JSON), 400) == whole
    # The same text in another encoding has the same fault at the same place.
    wide = b"\xff\xfe" + body.decode().encode("utf-16-le")
    assert told("/infer", ask(server, "/infer", wide, JSON), 400) == whole


@pytest.mark.parametrize(
    ("body", "sentence"), [case for case in BROKEN if "expected an object" not in case[1]]
)
def test_errors_in_json_in_a_pipe_are_plain(program, body, sentence):
    done = run(program(model(ONE_TEXT)), mode="test_inputs_dict_json", stdin=body)
    assert done.returncode == 2
    assert done.stderr.decode() == "error: standard input is not JSON: %s\n" % sentence


@both_addresses
def test_errors_in_json_in_a_field_are_plain(optional, path):
    answer = ask(optional, path, *part("extra", b"{'a': 1}"))
    assert told(path, answer, 422) == (
        "extra: expected JSON (a million values at most, no key twice), got \"{'a': 1}\", which "
        'cannot be read: expected a key in double quotes, got "\'", at line 1 column 2'
    )


@both_addresses
@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (JSON, 'the body is empty; send a JSON object of inputs such as {"name": "value"}'),
        (
            "multipart/form-data; boundary=b",
            "the body is empty; send each input as a part of the form",
        ),
    ],
)
def test_an_empty_body_is_said_to_be_empty(server, path, kind, sentence):
    assert told(path, ask(server, path, b"", kind), 400) == sentence


@both_addresses
def test_an_empty_input_is_not_a_missing_one(program, path):
    source = MORE.replace(', "required": False', "")
    empty_file = part("photo", b"", "Content-Type: image/png")[0]
    empty_file = empty_file.replace(b'"photo"', b'"photo"; filename="a.png"')
    with serve(program(model(source))) as server:
        body = empty_file[:-7] + part("steps", b"")[0]
        sentence = told(path, ask(server, path, body, "multipart/form-data; boundary=b"), 422)
    assert "photo: missing: the file is empty; expected a picture" in sentence
    assert "steps: empty; expected an integer" in sentence
    assert "text: missing; expected text" in sentence


@both_addresses
def test_a_body_without_a_content_type_is_refused_with_the_way_out(server, path):
    # urllib would name one by itself.
    answer = server.request(path, b"x", {"Content-Type": ""}, method="POST")
    assert told(path, answer, 415).startswith("the body has no Content-Type; send multipart")


# --- the transfer encoding of a part ---


@both_addresses
@pytest.mark.parametrize(
    ("coding", "content"),
    [
        ("base64", base64.encodebytes(TEXT.encode())),
        ("BASE64", base64.b64encode(TEXT.encode())),
        ("quoted-printable", quopri.encodestring(TEXT.encode()).rstrip(b"\n")),
        ("8bit", TEXT.encode()),
        ("7bit", TEXT.encode()),
        ("binary", TEXT.encode()),
    ],
)
def test_the_transfer_encoding_of_a_part_is_undone(server, path, coding, content):
    for kind in ([], ["Content-Type: text/plain; charset=utf-8"]):
        body, form = part("text", content, *kind, "Content-Transfer-Encoding: " + coding)
        assert seen(path, ask(server, path, body, form)) == {"text": TEXT}


@both_addresses
def test_a_file_in_base64_reaches_the_model_as_the_file(optional, path):
    content = base64.encodebytes(PNG).replace(b"\n", b"\r\n")
    body, kind = part("photo", content, "Content-Transfer-Encoding: base64")
    for sent in (body, body.replace(b'"photo"', b'"photo"; filename="a.png"')):
        assert seen(path, ask(optional, path, sent, kind)) == {"photo": len(PNG)}


def test_a_charset_counts_for_what_comes_out_of_a_transfer_encoding(server):
    headers = ["Content-Type: text/plain; charset=iso-8859-1", "Content-Transfer-Encoding: base64"]
    body, kind = part("text", base64.b64encode(LATIN.encode("latin-1")), *headers)
    assert ask(server, "/infer", body, kind).json() == {"text": LATIN}


@both_addresses
@pytest.mark.parametrize(
    ("coding", "content", "sentence"),
    [
        (
            "x-uuencode",
            b"x",
            'the form cannot be read: a part has the Content-Transfer-Encoding "x-uuencode"; '
            "supported are base64, quoted-printable, 7bit, 8bit and binary; leave the header out",
        ),
        (
            "base64",
            b"a.b=",
            'the part "text" is not valid base64, which its Content-Transfer-Encoding names',
        ),
        (
            "quoted-printable",
            b"a=xyz",
            'the part "text" is not valid quoted-printable, '
            "which its Content-Transfer-Encoding names",
        ),
    ],
)
def test_a_transfer_encoding_that_cannot_be_undone_is_refused(
    server, path, coding, content, sentence
):
    body, kind = part("text", content, "Content-Transfer-Encoding: " + coding)
    assert told(path, ask(server, path, body, kind), 400) == sentence
