"""The self-test of programs that were written for 1.0.16, and the exit of a failed self-test."""

import subprocess

import pytest
from compat import STYLES, model
from support import BINARY, PYTHON, environment, run

both_styles = pytest.mark.parametrize("style", STYLES)
COMMANDS = {"program": [PYTHON], "run": [BINARY, "run"]}
both_commands = pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)

# A program for 1.0, whose self-test sent a picture and nothing else. Its schemas have only types.
COLORIZER = """
    import io, sys
    from PIL import Image
    SCHEMA = {"image": {"type": "image"}, "render_factor": {"type": "text"}, "art": "text"}
    STYLES = {"artistic": 1, "stable": 2}

    def infer(inputs):
        factor = int(inputs.get("render_factor", 35)) + STYLES[inputs.get("art", "stable")]
        size = Image.open(io.BytesIO(inputs["image"])).size
        words = "%s %s %s" % (sorted(inputs), factor, size)
        return {"content-type": "text/plain", "data": words, "success": True}
"""
BLENDER = """
    SCHEMA = {"image": {"type": "image"}, "style": {"type": "image"}, "title": {"type": "text"}}

    def infer(inputs):
        words = "%d %d %s" % (len(inputs["image"]), len(inputs["style"]), inputs["title"])
        return {"content-type": "text/plain", "data": words, "success": True}
"""


def self_test(program, source, style, command=(PYTHON,), **variables):
    done = run(
        program(model(source, style)), mode="test_model_integration", command=command, **variables
    )
    return done, done.stdout.decode(), done.stderr.decode()


@both_styles
@both_commands
def test_a_program_that_is_happy_with_an_image_alone_passes(program, style, command):
    done, output, errors = self_test(program, COLORIZER, style, command)
    assert done.returncode == 0, output + errors
    assert output.count("['image'] 37 (600, 400)\n") == 5
    assert "Sad" not in output
    assert "Traceback" not in output + errors


@both_styles
@both_commands
def test_a_program_that_asks_for_more_gets_all_of_its_inputs(program, style, command):
    done, output, errors = self_test(program, BLENDER, style, command)
    assert done.returncode == 0, output + errors
    assert output.count("Good, the model has indicated that it succeeded!") == 5
    assert "Sad" not in output


@both_styles
def test_a_program_that_leaves_where_inputs_are_missing_gets_all_of_them(program, style):
    leaving = '    if "style" not in inputs:\n            sys.exit(0)\n        words ='
    source = "    import sys\n" + BLENDER.replace("    words =", leaving)
    done, output, errors = self_test(program, source, style)
    assert done.returncode == 0, output + errors
    assert output.count("Good, the model has indicated that it succeeded!") == 5


@both_styles
@both_commands
def test_the_error_of_an_image_alone_is_shown_if_more_inputs_do_not_help(program, style, command):
    source = COLORIZER.replace(
        "        size =", '        inputs["image"].colorize()\n        size ='
    )
    done, output, errors = self_test(program, source, style, command)
    assert done.returncode == 1, output + errors
    assert "5 of 5 tries went wrong" in output
    assert "no attribute 'colorize'" in output
    assert "invalid literal for int()" in output


def test_a_schema_that_says_more_is_tried_with_all_of_it(program):
    source = COLORIZER.replace('"art": "text"', '"art": {"type": "text", "required": False}')
    done, output, _ = self_test(program, source, "loop")
    assert done.returncode == 1
    assert "invalid literal for int()" in output


ENDING = """
    import ctypes, os, sys
    SCHEMA = {"text": {"type": "text"}}

    def infer(inputs):
        WAY
"""
ENDS = {
    "sys.exit": "sys.exit(0)",
    "os._exit": "os._exit(0)",
    "native code": "ctypes.CDLL(None).exit(0)",
    "another program": 'os.execvp("true", ["true"])',
    "after a failure": "return {'success': False, 'error': 'boo'}",
}


@both_styles
@both_commands
@pytest.mark.parametrize("way", ENDS)
def test_a_sad_self_test_ends_with_1_however_the_program_ends(program, style, command, way):
    source = ENDING.replace("WAY", ENDS[way])
    if way == "after a failure":
        source += "\n    import atexit\n    atexit.register(os._exit, 0)\n"
    done, output, errors = self_test(program, source, style, command)
    assert done.returncode == 1, output + errors
    assert "Sad!" in output


# Programs that the engine cannot start again as they were: it is their child.
UNDER_WAY = """
import os, sys
if {moves}: os.chdir({folder!r})
import ai_integration

tries = 0
while True:
    with ai_integration.get_next_input(inputs_schema={{"text": {{"type": "text"}}}}):
        tries += 1
        if tries == 2:
            {end}
        ai_integration.send_result("fine")
"""
ENDS_UNDER_WAY = {
    "sys.exit": "sys.exit(0)",
    "break": "ai_integration.send_result({'success': False, 'error': 'boo'}); break",
    "os._exit": "os._exit(0)",
}


@pytest.mark.parametrize("end", ENDS_UNDER_WAY)
@pytest.mark.parametrize("moves", [False, True], ids=["stays", "moves"])
@pytest.mark.parametrize("way", ["relative", "-c", "stdin"])
def test_a_sad_self_test_ends_with_1_however_the_program_was_started(tmp_path, end, moves, way):
    (tmp_path / "sub").mkdir()
    source = UNDER_WAY.format(moves=moves, folder="sub", end=ENDS_UNDER_WAY[end])
    (tmp_path / "model.py").write_text(source)
    words = {"relative": ["model.py"], "-c": ["-c", source], "stdin": ["-"]}[way]
    done = subprocess.run(
        [PYTHON, *words],
        cwd=tmp_path,
        env={**environment(MODE="test_model_integration"), "PWD": str(tmp_path)},
        input=source.encode() if way == "stdin" else b"",
        capture_output=True,
        timeout=60,
    )
    # The engine is then the child of such a program, and cannot change its exit status.
    is_lost = end == "os._exit" and (way == "stdin" or moves and way == "-c")
    assert done.returncode == (0 if is_lost else 1), done.stdout + done.stderr
    if not is_lost:
        assert b"Sad!" in done.stdout
    assert b"Traceback" not in done.stderr


def test_exit_handlers_run_before_a_sad_self_test_ends(tmp_path):
    source = UNDER_WAY.format(moves=False, folder="", end="sys.exit(0)")
    source = source.replace(
        "import ai_", "import atexit; atexit.register(print, 'EARLY')\nimport ai_", 1
    )
    source = source.replace(
        "tries = 0", "tries = 0; atexit.register(print, 'LATE', file=sys.stderr)"
    )
    done = run("-", mode="test_model_integration", stdin=source.encode())
    assert done.returncode == 1, done.stderr
    assert done.stdout.count(b"EARLY") + done.stderr.count(b"EARLY") == 1
    assert done.stderr.count(b"LATE") == 1


def test_a_happy_program_on_the_command_line_or_standard_input_ends_with_0(tmp_path):
    source = UNDER_WAY.format(moves=False, folder="", end="pass")
    for words, stdin in [(["-c", source], b""), (["-"], source.encode())]:
        done = run(*words, mode="test_model_integration", stdin=stdin)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_program_that_stops_after_a_sad_try_ends_with_1(program):
    source = """
        import ai_integration

        try:
            while True:
                with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}):
                    raise ValueError("sad")
        except ValueError:
            pass
    """
    done = run(program(source), mode="test_model_integration")
    assert done.returncode == 1
    assert b"Sad!" in done.stdout


@both_styles
@pytest.mark.parametrize("end", ["", "sys.exit(0)", "sys.exit(3)", "raise RuntimeError('weights')"])
def test_a_program_that_ends_before_its_loop_fails_the_self_test(program, style, end):
    path = program("import ai_integration, sys\n" + (end or "sys.exit()"))
    done = run(path, mode="test_model_integration")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"before it called get_next_input" in done.stderr
    # And nothing is wrong where the program merely ends well in the end.
    happy = model('SCHEMA = {}\ndef infer(inputs): return "fine"\n', style)
    assert run(program(happy), mode="test_model_integration").returncode == 0


@both_styles
@both_commands
def test_an_exception_does_not_keep_the_other_tries_from_being_made(program, style, command):
    source = """
        import os
        SCHEMA = {"text": {"type": "text"}}

        def infer(inputs):
            raise ValueError("sad in process %d" % os.getpid())
    """
    done, output, _ = self_test(program, source, style, command)
    assert done.returncode == 1
    told = [line for line in output.splitlines() if line.startswith("ValueError: ")]
    # In one process: loading a model five times takes its time.
    assert len(told) == 5
    assert len(set(told)) == 1


def test_on_exception_stop_holds_for_the_self_test_too(program):
    source = """
        import os
        SCHEMA = {"text": {"type": "text"}}

        def infer(inputs):
            raise ValueError("sad in process %d" % os.getpid())
    """
    done, output, _ = self_test(program, source, "loop", AI_INTEGRATION_ON_EXCEPTION="stop")
    assert done.returncode == 1
    assert len({line for line in output.splitlines() if line.startswith("ValueError: ")}) > 1
