"""The schema is checked when it comes: a mistake is told with what was meant; the model runs."""

import pytest
from support import run, serve

MODEL = """
    import ai_integration
    while True:
        with ai_integration.get_next_input(inputs_schema={"x": %r}) as inputs:
            ai_integration.send_result(
                {"content-type": "text/plain", "data": repr(inputs.get("x")), "success": True}
            )
"""
# The properties of an input, what is told of them, and a value with what the model gets of it.
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
        'the property max_bytes is ignored: "10" is not a value for it',
        "a",
        "'a'",
    ),
    "the bounds": (
        {"type": "number", "min": 2, "max": 1.5},
        "min is 2 and max is 1.5, between which no number is; both are ignored",
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
    "a choice": (
        {"type": "integer", "choices": [1, "two"]},
        'nobody can choose "two": expected an integer, got "two"',
        "1",
        "1",
    ),
}
FINE = {
    "another library's words": {"type": "int", "minimum": 1, "maximum": 9, "title": "How many"},
    "a property of somebody else": {"type": "text", "unit": "m"},
    "an unknown type": {"type": "hologram"},
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_and_the_model_runs(program, name):
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
def test_what_is_merely_unknown_is_no_mistake(program, name):
    done = run(program(MODEL % FINE[name]), mode="test_model_integration")
    assert done.returncode == 0, done.stdout
    assert b"The model is integrated right!" in done.stdout


def test_an_input_of_an_unknown_type_takes_a_file_as_its_bytes(program):
    with serve(program(MODEL % {"type": "hologram"})) as server:
        assert server.post(x=b"\xff\x00").body == b"b'\\xff\\x00'"
        assert server.post(x="text").body == b"'text'"
