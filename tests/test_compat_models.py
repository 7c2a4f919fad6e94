"""Programs that were written for `ai_integration` 1.0 run unchanged: in both API styles, and in
every mode that takes their inputs."""

import hashlib
import json

import pytest
from compat import (
    HTTP,
    MODES_FOR_ANY_INPUT,
    ONE_SHOT,
    STYLES,
    ask,
    ask_server,
    model,
    picture,
    piped,
    serving,
)
from support import run, serve

both_styles = pytest.mark.parametrize("style", STYLES)
all_modes = pytest.mark.parametrize("mode", MODES_FOR_ANY_INPUT)
JPEG = picture(kind="JPEG")
PNG = picture((7, 5), kind="PNG")


@pytest.fixture
def ask_model(program, tmp_path):
    """Returns a function that writes a model in one API style, and sends it one request."""

    def write_and_ask(source, style, mode, inputs, **variables):
        return ask(mode, program(model(source, style)), inputs, tmp_path, **variables)

    return write_and_ask


ONE_IMAGE = """
    import hashlib, json
    SCHEMA = {"image": {"type": "image"}}

    def infer(inputs_dict):
        image = inputs_dict["image"]
        seen = [type(image).__name__, hashlib.sha256(image).hexdigest(), sorted(inputs_dict)]
        return {"content-type": "application/json", "data": json.dumps(seen), "success": True}
"""


@both_styles
@all_modes
def test_an_image_arrives_as_the_bytes_that_were_sent(ask_model, style, mode):
    reply = ask_model(ONE_IMAGE, style, mode, {"image": JPEG})
    assert reply.json() == ["bytes", hashlib.sha256(JPEG).hexdigest(), ["image"]]


@both_styles
def test_a_single_image_is_read_from_a_pipe_as_bytes(program, style):
    # Bytes that are no UTF-8, and line endings that a text reader would change.
    image = JPEG + b"\r\n\xff\x00\n"
    done = run(program(model(ONE_IMAGE, style)), mode="test_single_image", stdin=image)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.decode().splitlines()[-1])
    assert seen == ["bytes", hashlib.sha256(image).hexdigest(), ["image"]]


def test_a_single_image_goes_to_the_only_image_input_whatever_its_name(program):
    source = ONE_IMAGE.replace('{"image": {', '{"photo": {').replace('["image"]', '["photo"]')
    done = run(program(model(source)), mode="test_single_image", stdin=PNG)
    assert done.returncode == 0, done.stderr
    assert hashlib.sha256(PNG).hexdigest() in done.stdout.decode()


TWO_IMAGES = """
    import hashlib, json
    SCHEMA = {"style": {"type": "image"}, "content": {"type": "image"}}

    def infer(inputs_dict):
        seen = dict((name, hashlib.md5(inputs_dict[name]).hexdigest()) for name in inputs_dict)
        return {"content-type": "application/json", "data": json.dumps(seen), "success": True,
                "error": None}
"""


@both_styles
@all_modes
def test_a_model_of_two_images_gets_each_under_its_name(ask_model, style, mode):
    reply = ask_model(TWO_IMAGES, style, mode, {"content": PNG, "style": JPEG})
    assert reply.json() == {
        "content": hashlib.md5(PNG).hexdigest(),
        "style": hashlib.md5(JPEG).hexdigest(),
    }


OPTIONAL = """
    import json
    SCHEMA = {"text": {"type": "text"}, "size": {"type": "text", "required": False}}

    def infer(inputs_dict):
        seen = {"size": inputs_dict.get("size", "the usual"), "names": sorted(inputs_dict)}
        return {"content-type": "application/json", "data": json.dumps(seen), "success": True}
"""


@both_styles
@all_modes
@pytest.mark.parametrize("size", [None, "12"])
def test_an_optional_input_that_is_not_given_is_not_in_the_dict(ask_model, style, mode, size):
    inputs = {"text": "x"} if size is None else {"text": "x", "size": size}
    seen = ask_model(OPTIONAL, style, mode, inputs).json()
    assert seen == {"size": size or "the usual", "names": sorted(inputs)}


UNMENTIONED = """
    import json
    SCHEMA = {"text": {"type": "text"}}

    def infer(inputs_dict):
        strength = inputs_dict.get("strength", 0.5)
        seen = [float(strength), isinstance(strength, (str, int, float))]
        return {"content-type": "application/json", "data": json.dumps(seen), "success": True}
"""


@both_styles
@pytest.mark.parametrize("mode", [mode for mode in MODES_FOR_ANY_INPUT if mode != "command_line"])
@pytest.mark.parametrize("strength", ["0.25", 0.25])
def test_an_option_that_the_schema_does_not_mention_is_passed_on(ask_model, style, mode, strength):
    reply = ask_model(UNMENTIONED, style, mode, {"text": "x", "strength": strength})
    assert reply.json() == [0.25, True]


def test_an_option_that_the_schema_does_not_mention_has_a_flag_too(program):
    path = program(model(UNMENTIONED))
    done = run(path, "--text", "x", "--option", "strength=0.25", mode="command_line")
    assert json.loads(done.stdout) == [0.25, True]


EITHER_KIND = """
    import json
    SCHEMA = {"text": {"type": "text"}}

    def infer(inputs_dict):
        text = inputs_dict["text"]
        compared = text == "on" or text == b"on"
        if hasattr(text, "decode"):
            text = text.decode("utf-8")
        data = json.dumps([compared, text + "!"])
        return {"content-type": "application/json", "data": data, "success": True}
"""


@both_styles
@all_modes
@pytest.mark.parametrize("text", ["on", "off", "schön – 日本"])
def test_text_may_be_compared_with_both_bytes_and_str(ask_model, style, mode, text):
    reply = ask_model(EITHER_KIND, style, mode, {"text": text})
    assert reply.json() == [text == "on", text + "!"]


CHATTY = """
    import os, subprocess, sys
    SCHEMA = {"text": {"type": "text"}}

    def infer(inputs_dict):
        for number in range(2000):
            print("chatter line", number)
        sys.stdout.write("chatter without an end")
        sys.stdout.flush()
        os.write(1, b"chatter of native code\\n")
        subprocess.check_call(["echo", "chatter of a child"])
        return {"content-type": "text/plain", "data": "the result", "success": True}
"""


@both_styles
@all_modes
def test_what_a_model_prints_never_mixes_into_its_result(ask_model, style, mode):
    reply = ask_model(CHATTY, style, mode, {"text": "x"})
    assert reply.text.rstrip("\n") == "the result"
    if mode in ONE_SHOT:
        assert "chatter" not in reply.output
        for line in ["line 0", "line 1999", "without an end", "of native code", "of a child"]:
            assert "chatter " + line in reply.errors


def test_what_a_model_prints_is_passed_through_by_a_server(program):
    with serving(program(model(CHATTY))) as server:
        assert server.ask(text="x").text == "the result"
        server.wait_for_output("chatter of a child")
        assert len([line for line in server.log if line.startswith("chatter line")]) == 2000


@pytest.mark.parametrize("path", ["/", "/infer"])
def test_the_last_lines_of_a_dying_model_are_reported(program, path):
    source = """
        import os
        SCHEMA = {"text": {"type": "text"}}

        def infer(inputs_dict):
            for number in range(2000):
                print("line", number)
            print("the last words")
            os._exit(9)
    """
    with serve(program(model(source))) as server:
        answer = server.post(path, text="x")
    assert answer.status == 500
    message = answer.json()["err" if path == "/" else "detail"]
    assert "exit status 9" in message
    assert "line 1999\n" in message
    assert "the last words" in message
    assert "line 1\n" not in message


WITH_SESSION = """
    import json, os

    class Session:
        def __enter__(self):
            self.runs = 0
            return self

        def __exit__(self, kind, value, trace):
            with open(os.environ["CLOSED"], "a") as report:
                report.write("closed after %d\\n" % self.runs)
            return False

    SCHEMA = {"text": {"type": "text"}}

    def result(session, inputs):
        session.runs += 1
        return {"content-type": "text/plain", "data": inputs["text"], "success": True}
"""
SESSION_STYLES = {
    "loop": """
import ai_integration

def main():
    with Session() as session:
        while True:
            with ai_integration.get_next_input(inputs_schema=SCHEMA) as inputs:
                ai_integration.send_result(result(session, inputs))

main()
""",
    "start_loop": """
from ai_integration.public_interface import start_loop

def main():
    with Session() as session:
        start_loop(inference_function=lambda inputs: result(session, inputs), inputs_schema=SCHEMA)

main()
""",
}


def with_session(program, style):
    source = model(WITH_SESSION).replace(STYLES["loop"], SESSION_STYLES[style])
    assert SESSION_STYLES[style] in source
    return program(source)


@pytest.mark.parametrize("style", SESSION_STYLES)
@pytest.mark.parametrize("mode", [*MODES_FOR_ANY_INPUT, "test_model_integration"])
def test_a_session_around_the_loop_is_closed_in_the_end(program, tmp_path, style, mode):
    path, closed = with_session(program, style), tmp_path / "closed"
    if mode == "test_model_integration":
        assert run(path, mode=mode, CLOSED=closed).returncode == 0
        runs = 5
    else:
        reply = ask(mode, path, {"text": "hello"}, tmp_path, CLOSED=closed)
        assert reply.text.strip() == "hello"
        runs = 1
    assert closed.read_text() == "closed after %d\n" % runs


@both_styles
@pytest.mark.parametrize(
    "mode", [*MODES_FOR_ANY_INPUT, "test_single_image", "test_model_integration"]
)
def test_the_models_code_runs_on_the_main_thread(program, tmp_path, style, mode):
    source = """
        import threading
        SCHEMA = {"image": {"type": "image"}}

        def infer(inputs_dict):
            is_main = threading.current_thread() is threading.main_thread()
            return {"content-type": "text/plain", "data": "main" if is_main else "another",
                    "success": True}
    """
    path = program(model(source, style))
    if mode == "test_model_integration":
        text = run(path, mode=mode).stdout.decode()
        assert "\nmain\n" in text
        assert "\nanother\n" not in text
    elif mode == "test_single_image":
        done = run(path, mode=mode, stdin=JPEG)
        assert done.stdout.decode().splitlines()[-1] == "main"
    else:
        assert ask(mode, path, {"image": JPEG}, tmp_path).text.strip() == "main"


@both_styles
def test_the_self_test_has_a_sample_for_every_declared_input(program, style):
    source = """
        import io, json
        from PIL import Image
        SCHEMA = {
            "style": {"type": "image"},
            "title": {"type": "text"},
            "steps": {"type": "integer", "min": 3, "max": 9},
            "scale": {"type": "number", "default": 0.5},
            "kind": {"type": "choice", "choices": ["oil", "ink"]},
            "tiled": {"type": "boolean"},
            "extra": {"type": "text", "required": False},
        }

        def infer(inputs):
            seen = {name: type(value).__name__ for name, value in inputs.items()}
            seen["size"] = Image.open(io.BytesIO(inputs["style"])).size
            seen["fits"] = 3 <= inputs["steps"] <= 9 and inputs["kind"] in ("oil", "ink")
            return {"content-type": "application/json", "data": json.dumps(seen), "success": True}
    """
    done = run(program(model(source, style)), mode="test_model_integration")
    assert done.returncode == 0, done.stdout
    seen = [json.loads(line) for line in done.stdout.decode().splitlines() if line.startswith("{")]
    assert len(seen) == 5
    assert seen[0] == {
        "style": "bytes",
        "title": "str",
        "steps": "int",
        "scale": "float",
        "kind": "str",
        "tiled": "bool",
        "extra": "str",
        "size": [600, 400],
        "fits": True,
    }
    # Some of the tries leave the optional input out.
    assert any("extra" not in one for one in seen)


@pytest.mark.parametrize(
    "result",
    [
        '{"content-type": "text/plain", "data": None, "success": False, "error": "boo"}',
        '{"content-type": "application/json", "data": "{broken", "success": True}',
        '{"content-type": "image/jpeg", "data": b"no picture", "success": True}',
        '{"data": "x", "sucess": True}',
        '{"content_type": "text/plain", "data": "x", "success": True}',
        '{"content-type": "text/plain", "success": True}',
        '{"content-type": "text/plain", "data": "x"}',
        "object()",
        "None",
    ],
)
def test_the_self_test_of_a_model_that_goes_wrong_is_sad(program, result):
    source = "SCHEMA = {'text': {'type': 'text'}}\ndef infer(inputs):\n    return " + result
    done = run(program(model(source)), mode="test_model_integration")
    assert done.returncode == 1
    assert done.stdout.decode().count("Sad! Error") == 5
    assert "5 of 5 tries went wrong" in done.stdout.decode()


def test_the_self_test_is_sad_when_only_one_try_goes_wrong(program):
    source = """
        runs = []
        SCHEMA = {"text": {"type": "text"}}

        def infer(inputs):
            runs.append(1)
            return {"content-type": "text/plain", "data": "x", "success": len(runs) != 3}
    """
    done = run(program(model(source)), mode="test_model_integration")
    assert done.returncode == 1
    assert "1 of 5 tries went wrong" in done.stdout.decode()


@both_styles
@pytest.mark.parametrize("mode", ["test_inputs_dict_json", "http /infer"])
@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
def test_an_image_travels_in_json_as_base64_or_data_url(program, style, mode, prefix):
    path = program(model(ONE_IMAGE, style))
    body = json.dumps(
        {"image": prefix + json.loads(piped("test_inputs_dict_json", {"image": PNG}))["image"]}
    )
    if mode in HTTP:
        with serve(path) as server:
            kind = {"Content-Type": "application/json"}
            seen = server.request("/infer", body.encode(), kind).json()
    else:
        done = run(path, mode=mode, stdin=body.encode())
        seen = json.loads(done.stdout.decode().splitlines()[-1])
    assert seen[1] == hashlib.sha256(PNG).hexdigest()


@both_styles
def test_a_model_without_a_schema_runs_with_a_warning(program, style):
    source = """
        SCHEMA = None
        def infer(inputs):
            return {"content-type": "text/plain", "data": sorted(inputs.items()).__repr__(),
                    "success": True}
    """
    done = run(program(model(source, style)), mode="test_inputs_dict_json", stdin=b'{"any": "x"}')
    assert done.returncode == 0
    assert done.stdout.decode().splitlines()[-1] == "[('any', 'x')]"
    assert "no inputs_schema" in done.stderr.decode()


def test_only_the_first_call_sets_the_schema_and_the_visualizer_config(program):
    path = program("""
        import ai_integration
        runs = 0
        while True:
            schema = {"text%d" % runs: {"type": "text"}}
            with ai_integration.get_next_input(schema, visualizer_config={"n": runs}) as inputs:
                runs += 1
                ai_integration.send_result(
                    {"content-type": "text/plain", "data": inputs["text0"], "success": True})
    """)
    with serving(path) as server:
        for text in ["a", "b"]:
            answer = server.classic(text0=text)
            assert answer["output"] == text
            assert answer["visualizer_data"] == {"n": 0}
        assert list(server.get("/schema").json()["inputs_schema"]) == ["text0"]


def test_make_image_rgb_jpeg_turns_any_picture_into_an_rgb_jpeg(program, tmp_path):
    source = """
        import io
        import ai_integration.image_helpers
        from ai_integration.image_helpers import make_image_rgb_jpeg
        SCHEMA = {"image": {"type": "image"}}

        def infer(inputs):
            return {"content-type": "image/jpeg", "data": make_image_rgb_jpeg(inputs["image"]),
                    "success": True}
    """
    import io

    from PIL import Image

    given = tmp_path / "given.png"
    given.write_bytes(picture((9, 8), (250, 10, 20, 255), mode="RGBA"))
    done = run(program(model(source)), "--image", given, mode="command_line")
    made = Image.open(io.BytesIO(done.stdout))
    assert (made.format, made.mode, made.size) == ("JPEG", "RGB", (9, 8))
    red, green, blue = made.getpixel((4, 4))
    assert abs(red - 250) < 4
    assert abs(green - 10) < 4
    assert abs(blue - 20) < 4


@both_styles
@all_modes
@pytest.mark.parametrize("name", ["output", "loop", "help", "option"])
def test_an_input_may_have_the_name_of_a_flag(program, tmp_path, style, mode, name):
    source = """
        SCHEMA = {"NAME": {"type": "text"}}

        def infer(inputs):
            return {"content-type": "text/plain", "data": "got " + inputs["NAME"], "success": True}
    """.replace("NAME", name)
    path = program(model(source, style))
    if mode == "command_line":
        done = run(path, "--input-" + name, "it", mode=mode)
        assert done.stdout == b"got it\n", done.stderr
        # The mode's own flags still work.
        file = tmp_path / "result"
        assert run(path, "--input-" + name, "it", "--output", file, mode=mode).returncode == 0
        assert file.read_text() == "got it"
    else:
        assert ask(mode, path, {name: "it"}, tmp_path).text.strip() == "got it"


@both_styles
@all_modes
def test_an_input_of_an_unknown_type_is_served_as_text_with_a_warning(
    program, tmp_path, style, mode
):
    source = """
        SCHEMA = {"thing": {"type": "hologram"}}

        def infer(inputs):
            return {"content-type": "text/plain", "data": repr(inputs["thing"]), "success": True}
    """
    path, inputs = program(model(source, style)), {"thing": "abc"}
    warning = '"hologram" is not known and is treated as text'
    if mode in HTTP:
        with serve(path) as server:
            reply = ask_server(server, mode, inputs)
            # The log is read from a pipe, and may arrive later than the response.
            server.wait_for_output(warning)
    else:
        reply = ask(mode, path, inputs, tmp_path)
        assert warning in reply.errors + reply.output
    assert reply.text.strip() == "'abc'"


@both_styles
def test_the_imports_of_programs_for_1_0_work(program, style):
    source = """
        import ai_integration.modes
        from ai_integration import image_helpers, public_interface
        from ai_integration.public_interface import *
        from ai_integration.internal_methods import _start_loop
        from ai_integration.modes import *
        assert isinstance(ai_integration.modes.__all__, list)
        SCHEMA = {"text": {"type": "text"}}

        def infer(inputs):
            return {"content-type": "text/plain", "data": "ok", "success": True}
    """
    done = run(program(model(source, style)), "--text", "x", mode="command_line")
    assert done.stdout == b"ok\n", done.stderr
