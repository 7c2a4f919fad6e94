"""The schema is checked when the model sends it. A mistake is logged with its correction, and the
model runs."""

import base64

import pytest
from file_formats import picture
from support import run, serve

MODEL = """
    import ai_integration
    while True:
        with ai_integration.get_next_input(inputs_schema={"x": %r}) as inputs:
            ai_integration.send_result(
                {"content-type": "text/plain", "data": repr(inputs.get("x")), "success": True}
            )
"""
PNG = picture("PNG")
JPEG = picture("JPEG")
GOT_PNG = repr(PNG)
PNG_URL, JPEG_URL = ("data:;base64," + base64.b64encode(one).decode() for one in (PNG, JPEG))
# The properties of an input, the logged mistake, a raw value, and the model's value.
MISTAKES = {
    "a type": ({"type": "imge"}, 'did you mean "image"?', "a", "'a'"),
    "a type in Python's word": ({"type": "integre"}, 'did you mean "integer"?', "7", "'7'"),
    "a property": (
        {"type": "text", "requierd": False},
        'the property "requierd" is not known and is ignored: did you mean "required"?',
        "a",
        "'a'",
    ),
    "a value": (
        {"type": "text", "max_bytes": "10"},
        'the property max_bytes is ignored: "10" is not a valid value',
        "a",
        "'a'",
    ),
    "the bounds": (
        {"type": "number", "min": 2, "max": 1.5},
        "min is 2 and max is 1.5, so no number fits; both are ignored",
        "7",
        "7",
    ),
    "a default": (
        {"type": "integer", "max": 2, "default": 3},
        "the default is ignored: expected an integer of at most 2, got 3",
        "1",
        "1",
    ),
    "an example": (
        {"type": "date", "examples": ["2024-02-29", "2023-02-29"]},
        'an example is left out: expected a date such as 2024-02-29, got "2023-02-29"',
        "2024-01-01",
        "'2024-01-01'",
    ),
    "a format": (
        {"type": "image", "formats": ["png", "jepg"]},
        'the format "jepg" is left out: it is not known; did you mean "jpeg"?',
        PNG,
        GOT_PNG,
    ),
    "an unlike format": (
        {"type": "video", "formats": ["mp4", "hologram"]},
        'the format "hologram" is left out: it is not known; known: ogg, 3gp, mov, mp4, '
        "webm, mkv, avi, mpeg, ts, flv, asf; give any other format as its media type",
        b"\0\0\0\x10ftypisom\0\0\0\0",
        repr(b"\0\0\0\x10ftypisom\0\0\0\0"),
    ),
    "no media type": (
        {"type": "file", "formats": ["png", "no such/thing"]},
        'the format "no such/thing" is left out: it is not known; known: png, jpeg, ',
        PNG,
        GOT_PNG,
    ),
    "a form": (
        {"type": "image", "as": "pill"},
        'the property as is ignored: "pill" is not a valid value; did you mean "pil"?',
        PNG,
        GOT_PNG,
    ),
    "an unlike form": (
        {"type": "file", "as": "tensor"},
        'the property as is ignored: "tensor" is not a valid value; known: bytes, path, numpy, pil',
        PNG,
        GOT_PNG,
    ),
    "a form in capitals": (
        {"type": "text", "AS": "path"},
        'the property "AS" is not known and is ignored: did you mean "as"?',
        "a",
        "'a'",
    ),
    "a form that is no text": (
        {"type": "image", "as": ["pil"], "list": False},
        'the property as is ignored: ["pil"] is not a valid value; known: bytes, path, numpy,',
        PNG,
        GOT_PNG,
    ),
    "a form of another type": (
        {"type": "audio", "as": "pil"},
        'the property as is ignored: only the type image has "pil"',
        b"sound",
        "b'sound'",
    ),
    "a form of other types": (
        {"type": "video", "as": "numpy"},
        'the property as is ignored: only the type image or audio has "numpy"',
        b"film",
        "b'film'",
    ),
    "a form of what is no file": (
        {"type": "text", "as": "path"},
        "the property as is ignored: only the types image, audio, video and file without choices"
        " can have it",
        "a",
        "'a'",
    ),
    "a format of another type": (
        {"type": "image", "formats": ["mp3", "png"]},
        'the format "mp3" is left out: it is not a format of the type image',
        PNG,
        GOT_PNG,
    ),
    "a media type of another type": (
        {"type": "image", "formats": ["png", "text/x-mine"]},
        'the format "text/x-mine" is left out: it is not a format of the type image',
        PNG,
        GOT_PNG,
    ),
    "no list of formats": (
        {"type": "image", "formats": "png"},
        'the property formats is ignored: "png" is not a valid value; '
        'give a list such as ["png", "jpeg"]',
        PNG,
        GOT_PNG,
    ),
    "no words in the formats": (
        {"type": "image", "formats": ["png", 7]},
        'the property formats is ignored: ["png",7] is not a valid value; '
        'give a list such as ["png", "jpeg"]',
        PNG,
        GOT_PNG,
    ),
    "no formats at all": (
        {"type": "image", "formats": []},
        "the property formats is ignored: [] is not a valid value; "
        'give a list such as ["png", "jpeg"]',
        PNG,
        GOT_PNG,
    ),
    "formats of a text": (
        {"type": "text", "formats": ["png"]},
        "the property formats is ignored: only the types image, audio, video and file have formats",
        "a",
        "'a'",
    ),
    "formats misspelt": (
        {"type": "image", "fromats": ["png"]},
        'the property "fromats" is not known and is ignored: did you mean "formats"?',
        PNG,
        GOT_PNG,
    ),
    "a default in another format": (
        {"type": "image", "formats": ["jpeg"], "default": PNG_URL},
        "the default is ignored: expected a picture in the format jpeg, got png",
        JPEG,
        repr(JPEG),
    ),
    "an example in another format": (
        {"type": "image", "formats": ["jpeg"], "examples": [JPEG_URL, PNG_URL]},
        "an example is left out: expected a picture in the format jpeg, got png",
        JPEG,
        repr(JPEG),
    ),
    "a choice": (
        {"type": "integer", "choices": [1, "two"]},
        'the choice "two" does not fit: expected an integer, got "two"',
        "1",
        "1",
    ),
}
FINE = {
    "another library's words": {"type": "int", "minimum": 1, "maximum": 9, "title": "How many"},
    "a property of somebody else": {"type": "text", "unit": "m"},
    "short properties of somebody else": {"type": "text", "is": 1, "id": 2, "ms": 3, "a": 4},
    "an unknown type": {"type": "hologram"},
    "a format in any spelling": {
        "type": "image",
        "formats": [" JPG", ".png", "image/JPG; q=1", "image/*"],
    },
    "a media type that is not known": {
        "type": "image",
        "formats": ["image/x-mine", "application/x-mine", "png"],
        "examples": [PNG_URL, "https://127.0.0.1/picture.png"],
    },
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_logged_and_the_model_runs(program, name):
    properties, words, given, got = MISTAKES[name]
    with serve(program(MODEL % properties)) as server:
        server.wait_for_output("input .x.: ")
        assert words in server.output()
        assert server.output().count('input "x": ') == 1
        assert server.post(x=given).body.decode() == got


@pytest.mark.parametrize("name", MISTAKES)
def test_the_self_test_is_sad_about_a_mistake(program, name):
    properties, words, _, _ = MISTAKES[name]
    done = run(program(MODEL % properties), mode="test_model_integration")
    output = done.stdout.decode()
    assert done.returncode == 1
    assert 'Sad! A mistake in the inputs schema: input "x": ' in output
    assert words in output
    assert "The model is integrated right!" not in output


@pytest.mark.parametrize("name", FINE)
def test_an_unknown_type_or_property_is_no_mistake(program, name):
    done = run(program(MODEL % FINE[name]), mode="test_model_integration")
    assert done.returncode == 0, done.stdout
    assert b"The model is integrated right!" in done.stdout


def test_an_input_of_an_unknown_type_takes_a_file_as_its_bytes(program):
    with serve(program(MODEL % {"type": "hologram"})) as server:
        assert server.post(x=b"\xff\x00").body == b"b'\\xff\\x00'"
        assert server.post(x="text").body == b"'text'"
