"""Numbers reach the model, and leave it, as exactly what they are: an integer with all its digits,
a float as the nearest one of 64 bits. What cannot be is refused, and the model never sees it."""

import json
import pickle
import urllib.parse

import pytest
from compat import model, one_shot
from support import multipart, run, serve

LONG = 10**4000 + 7
INTEGERS = [2**53 + 1, 2**63, 2**64, 2**64 + 1, -(2**63) - 1, 10**30, LONG, -LONG, 0, 5]
FLOATS = ["-0.0", "0.1", "1E5", "5e-324", "1.7976931348623157e308", "2.5"]
NEIGHBOURS = [2**63, 2**63 + 1, 2**64 + 1, -(2**63) - 1, 10**30]

# Returns the Python type of each input, and all its digits.
TELLING = """
    LONG = 10 ** 4000 + 7
    NEIGHBOURS = [2 ** 63, 2 ** 63 + 1, 2 ** 64 + 1, -(2 ** 63) - 1, 10 ** 30]
    SCHEMA = {
        "low": {"type": "integer", "min": 2 ** 64 + 1, "required": False},
        "high": {"type": "integer", "max": 2 ** 64 - 1, "required": False},
        "between": {"type": "number", "min": -(2 ** 63) - 1, "max": 0.5, "required": False},
        "usual": {"type": "integer", "default": 2 ** 64 + 1, "examples": [2 ** 64 + 3]},
        "json": {"type": "json", "required": False},
    }
    for number in range(10):
        SCHEMA["i%d" % number] = {"type": "integer", "required": False}
        SCHEMA["n%d" % number] = {"type": "number", "required": False}
    for number in range(5):
        SCHEMA["c%d" % number] = {"type": "choice", "choices": NEIGHBOURS, "required": False}

    def infer(inputs):
        told = dict((name, repr(value)) for name, value in inputs.items())
        return {"content-type": "application/json", "data": told, "success": True}
"""

URLENCODED = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}


class Refused(Exception):
    pass


def as_json(given):
    """Returns a JSON object of the inputs, in which the digits of numbers are unchanged."""
    return ("{%s}" % ", ".join('"%s": %s' % pair for pair in given.items())).encode()


def as_python(given):
    # Python itself reads no more digits.
    read = {name: text if len(text) > 4300 else json.loads(text) for name, text in given.items()}
    return {name: 10**4300 if isinstance(one, str) else one for name, one in read.items()}


def as_file(given):
    return multipart({name: text.encode() for name, text in given.items()})


class Asked:
    """A model that is asked in one way; `given` has the text of each input."""

    def __init__(self, path, server, way):
        self.path, self.server, self.way = path, server, way

    def __call__(self, **given):
        if self.way.startswith("http"):
            answer = self.posted(given)
            if answer.status != 200:
                raise Refused(answer.body.decode())
            body = answer.json()
            told = body.get("output", body)
        else:
            reply = one_shot(self.ran(given))
            if not reply.success:
                raise Refused(reply.errors + reply.output)
            told = json.loads(reply.text)
        told.pop("usual", None)
        return told

    def posted(self, given):
        if "urlencoded" in self.way:
            body = urllib.parse.urlencode(given).encode()
            return self.server.request("/infer", body, URLENCODED)
        if "json" in self.way:
            address = "/" if "classic" in self.way else "/infer"
            return self.server.request(address, as_json(given), JSON)
        body, kind = as_file(given) if "file" in self.way else multipart(given)
        return self.server.request("/infer", body, {"Content-Type": kind})

    def ran(self, given):
        if self.way == "command_line":
            words = [word for name, text in given.items() for word in ("--" + name, text)]
            return run(self.path, *words, mode="command_line")
        if self.way == "test_inputs_pickled_dict":
            return run(self.path, mode=self.way, stdin=pickle.dumps(as_python(given)))
        return run(self.path, mode=self.way, stdin=as_json(given))


PIPES = ["test_inputs_dict_json", "test_inputs_pickled_dict"]
WAYS = ["http json", "http json classic", "http urlencoded", "http form", "http file"]
WAYS += ["command_line", *PIPES]


@pytest.fixture(scope="module")
def telling(tmp_path_factory):
    path = tmp_path_factory.mktemp("telling") / "entrypoint.py"
    path.write_text(model(TELLING))
    with serve(path) as server:
        yield path, server


@pytest.fixture(params=WAYS)
def ask(request, telling):
    return Asked(*telling, request.param)


def test_an_integer_is_exactly_itself(ask):
    for prefix in "in":
        # A number is one that a float may be made of, too.
        known = [one for one in INTEGERS if prefix == "i" or abs(one) < 10**308]
        for start in range(0, len(known), 4):
            given = {"%s%d" % (prefix, at): one for at, one in enumerate(known[start : start + 4])}
            if ask.way in PIPES and LONG in map(abs, given.values()):
                continue
            texts = {name: str(one) for name, one in given.items()}
            assert ask(**texts) == {name: repr(one) for name, one in given.items()}


@pytest.mark.parametrize("way", PIPES)
@pytest.mark.parametrize("sign", ["", "-"])
def test_a_long_integer_comes_through_a_pipe(program, way, sign):
    # These modes show the beginning of a result alone.
    source = TELLING.replace("repr(value)", "repr(value == %sLONG)" % sign)
    asked = Asked(program(model(source)), None, way)
    assert asked(i0=sign + str(LONG), json=sign + str(LONG)) == {"i0": "True", "json": "True"}


def test_an_integer_inside_json_is_exactly_itself(ask):
    inside = '{"a": [%d, {"b": -%d}], "c": %d, "d": -0, "e": -0.0, "f": 1E5, "g": 0.1}'
    numbers = (2**63, 2**64 + 1, 10**30)
    told = ask(json=inside % numbers)["json"]
    assert told == (
        "{'a': [%d, {'b': -%d}], 'c': %d, 'd': 0, 'e': -0.0, 'f': 100000.0, 'g': 0.1}" % numbers
    )
    assert ask(json=str(2**64 + 1)) == {"json": repr(2**64 + 1)}


def test_a_negative_zero_that_is_an_integer_stays_one(ask):
    given = {"i0": "-0", "n0": "-0", "n1": "-0.0", "i1": "-0.0", "i2": "5.0", "json": "-0"}
    told = {"i0": "0", "n0": "0", "n1": "-0.0", "i1": "0", "i2": "5", "json": "0"}
    assert ask(**given) == told


WRITTEN_AS_FLOATS = {
    "1e3": 1000,
    "2.0": 2,
    "1e22": 10**22,
    "-1.5E1": -15,
    "1e308": 10**308,
    "9007199254740993.0": 2**53 + 1,
    "123456789012345678901.5e1": 1234567890123456789015,
    "5000e-3": 5,
    "0e400": 0,
    "3.%s" % ("0" * 400): 3,
}
NOT_WHOLE = ["1.0000000000000000001", "1e-400", "-0.99999999999999999999", "9007199254740992.5"]


# In the pipe modes the schema is a hint: what is written as a float stays one.
not_in_pipes = pytest.mark.parametrize(
    "ask", [way for way in WAYS if way not in PIPES], indirect=True
)


@not_in_pipes
def test_an_integer_may_be_written_as_a_float(ask):
    for text, one in WRITTEN_AS_FLOATS.items():
        assert ask(i0=text) == {"i0": repr(one)}
    # The command line takes a choice as it is listed.
    if ask.way != "command_line":
        assert ask(c0="9223372036854775809.0") == {"c0": str(2**63 + 1)}


@not_in_pipes
def test_what_is_nearly_whole_is_no_integer(ask):
    for text in NOT_WHOLE:
        with pytest.raises(Refused, match="i0: expected an integer"):
            ask(i0=text)


def test_a_float_that_is_nearly_whole_is_the_nearest_one(ask):
    texts = [*NOT_WHOLE, "9007199254740993.0"]
    given = {"n%d" % at: text for at, text in enumerate(texts)}
    assert ask(**given) == {name: repr(float(text)) for name, text in given.items()}
    assert ask(json="[%s]" % ", ".join(texts))["json"] == repr([float(text) for text in texts])


def test_a_float_is_the_nearest_one(ask):
    given = {"n%d" % at: text for at, text in enumerate(FLOATS)}
    assert ask(**given) == {name: repr(json.loads(text)) for name, text in given.items()}


def test_neighbouring_choices_are_distinguished(ask):
    given = {"c%d" % at: str(one) for at, one in enumerate(NEIGHBOURS)}
    assert ask(**given) == given
    with pytest.raises(Refused, match=str(2**63 + 1)):
        ask(c0=str(2**63 + 2))


def test_bounds_are_exact(ask):
    within = {"low": str(2**64 + 1), "high": str(2**64 - 1), "between": str(-(2**63) - 1)}
    assert ask(**within) == within
    for name, beyond, bound in [
        ("low", 2**64, 2**64 + 1),
        ("high", 2**64, 2**64 - 1),
        ("between", -(2**63) - 2, -(2**63) - 1),
    ]:
        # The error for a file has its length, not its text.
        given = "20 bytes" if ask.way == "http file" else beyond
        with pytest.raises(Refused, match="%s: .*%s.*%s" % (name, bound, given)):
            ask(**{name: str(beyond)})


@pytest.mark.parametrize("name", ["i0", "n0", "json"])
def test_what_is_too_large_for_a_float_is_refused(ask, name):
    for text in ["1e400", "-1e400"]:
        # In Python such a number is infinite before it is pickled.
        with pytest.raises(Refused, match="%s|at line 1 column|not a finite number" % name):
            ask(**{name: text})


@pytest.mark.parametrize("name", ["i0", "n0", "json"])
def test_an_integer_of_more_digits_than_python_reads_is_refused(ask, name):
    with pytest.raises(Refused, match="4300") as refused:
        ask(**{name: "1" * 4301})
    assert len(str(refused.value)) < 1000


def test_a_number_beyond_the_range_of_floats_is_no_number(ask):
    with pytest.raises(Refused, match="n0: expected a number, got .*float"):
        ask(n0="1" * 400)


@pytest.mark.parametrize("way", WAYS)
def test_a_default_and_an_option_are_exactly_themselves(telling, way):
    path, server = telling
    asked = Asked(path, server, way)
    if way.startswith("http"):
        answer = asked.posted({"i0": "1"})
        told = answer.json()
        told = told.get("output", told)
    else:
        told = json.loads(one_shot(asked.ran({"i0": "1"})).text)
    assert told["usual"] == repr(2**64 + 1)
    if "json" in way:
        assert asked(unknown=str(2**64 + 1)) == {"unknown": repr(2**64 + 1)}


def test_a_schema_may_have_long_integers(program):
    source = """
        LONG = 10 ** 4000
        SCHEMA = {
            "usual": {"type": "integer", "default": LONG, "min": LONG - 1, "max": LONG + 1},
            "choice": {"type": "choice", "choices": [LONG, LONG + 1], "default": LONG + 1},
        }

        def infer(inputs):
            told = "%d %d" % (inputs["usual"] - LONG, inputs["choice"] - LONG)
            return {"content-type": "text/plain", "data": told, "success": True}
    """
    path = program(model(source))
    assert run(path, mode="command_line").stdout == b"0 1\n"
    given = ["--usual", 10**4000 + 1, "--choice", 10**4000]
    assert run(path, *given, mode="command_line").stdout == b"1 0\n"
    assert run(path, "--usual", 10**4000 + 2, mode="command_line").returncode == 2


def test_the_self_test_uses_the_example_as_it_is(telling):
    done = run(telling[0], mode="test_model_integration")
    assert done.returncode == 0, done.stderr
    for name, number in [("usual", 2**64 + 3), ("low", 2**64 + 1), ("high", 2**64 - 1)]:
        assert '"%s":"%d"' % (name, number) in done.stdout.decode()


def test_what_describes_the_model_has_all_digits(telling):
    _, server = telling
    inputs = {one["name"]: one for one in server.get("/schema").json()["inputs"]}
    assert inputs["usual"]["default"] == 2**64 + 1
    assert inputs["low"]["min"] == 2**64 + 1
    assert inputs["c0"]["choices"] == NEIGHBOURS
    described = server.get("/openapi.json").body.decode()
    for number in [*NEIGHBOURS, 2**64 + 3, 2**64 - 1]:
        assert str(number) in described
    page = server.get("/", headers={"Accept": "text/html"}).body.decode()
    assert str(2**64 + 1) in page
    assert "e+19" not in described + page


def test_many_long_integers_come_at_once(telling):
    given = {"option%d" % at: str(LONG) for at in range(400)}
    assert Asked(*telling, "http json")(**given) == given


@pytest.mark.parametrize("value", ['"5"', "5", '"\\u0035"', "{}"])
def test_the_private_keys_of_serde_json_make_no_number(telling, value):
    text = '{"$serde_json::private::Number": %s}' % value
    for way in ["http json", "http urlencoded"]:
        with pytest.raises(Refused, match="cannot be used"):
            Asked(*telling, way)(json=text)
    raw = '{"$serde_json::private::RawValue": "[1]"}'
    told = Asked(*telling, "http json")(json=raw)["json"]
    assert told == "{'$serde_json::private::RawValue': '[1]'}"


# --- results ---

ANSWERING = """
    import ai_integration
    SCHEMA = {"how": {"type": "text", "default": "whole"}}

    def infer(inputs):
        numbers = {"big": 2 ** 64 + 1, "less": -(2 ** 63) - 1, "long": 10 ** 4000, "zero": -0.0,
                   "few": [10 ** 30, 0.1, 5e-324]}
        if inputs["how"] == "short":
            del numbers["long"]
        if inputs["how"] == "digits":
            numbers = 10 ** 4300
        if inputs["how"] == "text":
            return {"content-type": "text/plain", "data": 2 ** 64 + 1, "success": True}
        return {"content-type": "application/json", "data": numbers, "success": True}
"""
SHORT = {"big": 2**64 + 1, "less": -(2**63) - 1, "zero": -0.0, "few": [10**30, 0.1, 5e-324]}
WHOLE = {**SHORT, "long": 10**4000}


@pytest.fixture(scope="module")
def answering(tmp_path_factory):
    path = tmp_path_factory.mktemp("answering") / "entrypoint.py"
    path.write_text(model(ANSWERING))
    with serve(path) as server:
        yield path, server


def same(one, other):
    """Returns true if two values are equal and print alike, unlike `0` and `-0.0`."""
    assert json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def test_a_result_has_all_its_digits(answering):
    path, server = answering
    same(server.post().json(), WHOLE)
    same(server.classic()["output"], WHOLE)
    same(json.loads(run(path, mode="command_line").stdout), WHOLE)
    assert server.post(how="text").body == str(2**64 + 1).encode()
    events = server.post(headers={"Accept": "text/event-stream"}).body.decode()
    data = [line[6:] for line in events.splitlines() if line.startswith("data: ")]
    same(json.loads(json.loads(data[-1])["text"]), WHOLE)
    page = server.post("/", headers={"Accept": "text/html"}).body.decode()
    for number in [2**64 + 1, -(2**63) - 1, 10**4000, 10**30]:
        assert str(number) in page


@pytest.mark.parametrize("mode", PIPES)
def test_a_test_mode_shows_all_digits(answering, mode):
    stdin = pickle.dumps({"how": "short"}) if "pickled" in mode else b'{"how": "short"}'
    same(one_shot(run(answering[0], mode=mode, stdin=stdin)).json(), SHORT)


def test_a_result_of_more_digits_than_python_writes_is_an_error(answering):
    answer = answering[1].post(how="digits")
    assert answer.status == 500
    assert "4300 digits" in answer.json()["detail"]
