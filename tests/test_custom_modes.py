"""Custom modes, written as the README of version 1.0 describes: a function with two or three
arguments, a hint, and `MODULE_MODES` at the end of a file."""

import json
import os
import re
import shutil
import signal
import subprocess
import textwrap
from pathlib import Path

import ai_integration
import pytest
from compat import STYLES, model
from support import BINARY, PYTHON, environment, eventually, run, serve, started

both_styles = pytest.mark.parametrize("style", STYLES)

UPPER = """
    SCHEMA = {"text": {"type": "text"}}

    def infer(inputs):
        if inputs["text"] == "bad":
            raise ValueError("no such word")
        if inputs["text"] == "failing":
            return {"content-type": "text/plain", "data": None, "success": False,
                    "error": "the model's words"}
        print("chatter")
        return {"content-type": "text/plain", "data": inputs["text"].upper(), "success": True,
                "extra": ["kept as it is"]}
"""

MODES = """
    import json, os, sys, threading

    def shout(inference_function=None, inputs_schema=None):
        result = inference_function({"text": "hello"})
        print(json.dumps({"result": result, "schema": inputs_schema}))

    shout.hint = "Shouts hello"

    def three(inference_function=None, inputs_schema=None, visualizer_config=None):
        print(json.dumps([inference_function({"text": "a"})["data"], inputs_schema,
                          visualizer_config]))

    def nothing():
        print("called with nothing")

    def any_keyword(**everything):
        print(" ".join(sorted(everything)))

    def returning_a_number(inference_function=None, inputs_schema=None):
        return 17

    def raising(inference_function=None, inputs_schema=None):
        raise RuntimeError("the mode is broken")

    def exiting(inference_function=None, inputs_schema=None):
        sys.exit(6)

    def exiting_with_words(inference_function=None, inputs_schema=None):
        sys.exit("last words")

    def exiting_well(inference_function=None, inputs_schema=None):
        sys.exit()

    def failing(inference_function=None, inputs_schema=None):
        result = inference_function({"text": "failing"})
        assert result["success"] is False
        print(result["error"])
        sys.exit(1)

    def bad(inference_function=None, inputs_schema=None):
        print(inference_function({"text": "bad"})["error"])

    def bad_then_good(inference_function=None, inputs_schema=None):
        bad = inference_function({"text": "bad"})
        good = inference_function({"text": "good"})
        print(json.dumps([bad["success"], good["success"], good["data"]]))

    def many(inference_function=None, inputs_schema=None):
        wrong = []
        def ask(number):
            for turn in range(50):
                text = "text %d of %d" % (turn, number)
                if inference_function({"text": text})["data"] != text.upper():
                    wrong.append(text)
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print("wrong:", wrong)

    def where(inference_function=None, inputs_schema=None):
        print(threading.current_thread() is threading.main_thread(), sys.argv[1:])

    def watching(inference_function=None, inputs_schema=None):
        import time
        print("watching", flush=True)
        while True:
            for name in sorted(os.listdir("inbox")):
                word = open(os.path.join("inbox", name)).read()
                os.remove(os.path.join("inbox", name))
                if word == "end":
                    return
                result = inference_function({"text": word})
                print(name, result["data"] if result["success"] else "failed", flush=True)
            time.sleep(0.02)

    def never_content(inference_function=None, inputs_schema=None):
        import time
        print("begun", flush=True)
        inference_function({"text": "bad"})
        time.sleep(60)

    MODULE_MODES = {
        "watching": watching, "never_content": never_content,
        "shout": shout, "three": three, "nothing": nothing, "any_keyword": any_keyword,
        "returning_a_number": returning_a_number, "raising": raising, "exiting": exiting,
        "exiting_with_words": exiting_with_words, "exiting_well": exiting_well,
        "failing": failing, "bad": bad, "bad_then_good": bad_then_good, "many": many,
        "where": where,
    }
"""


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "my modes"
    folder.mkdir()
    (folder / "my_modes.py").write_text(textwrap.dedent(MODES))
    return folder


@pytest.fixture
def use(program, folder):
    """Runs a mode from the folder with the model above."""

    def use(mode, style="loop", *arguments, source=UPPER, **variables):
        path = program(model(source, style))
        return run(path, *arguments, mode=mode, AI_INTEGRATION_MODES_PATH=folder, **variables)

    return use


def last_line(done):
    return done.stdout.decode().splitlines()[-1]


@both_styles
def test_a_mode_of_two_arguments_gets_the_function_and_the_schema(use, style):
    done = use("shout", style)
    assert done.returncode == 0, done.stderr
    seen = json.loads(last_line(done))
    assert seen["schema"] == {"text": {"type": "text"}}
    # The result is the model's own dict, whatever is in it.
    assert seen["result"] == {
        "content-type": "text/plain",
        "data": "HELLO",
        "success": True,
        "extra": ["kept as it is"],
    }


@both_styles
def test_a_mode_gets_a_result_dict_of_data_alone(use, style):
    source = """
        SCHEMA = {"text": {"type": "text"}}
        def infer(inputs):
            return %s
    """
    done = use("shout", style, source=source % 'inputs["text"]')
    told = {"content-type": "text/plain", "data": "hello", "success": True}
    assert json.loads(last_line(done))["result"] == told
    done = use("shout", style, source=source % "None")
    result = json.loads(last_line(done))["result"]
    assert result["success"] is False
    assert "NoneType" in result["error"]


@both_styles
def test_a_mode_of_three_arguments_gets_the_visualizer_config_too(program, folder, style):
    source = model(UPPER, style).replace("=SCHEMA)", "=SCHEMA, visualizer_config={'a': 1})")
    assert "visualizer_config" in source
    done = run(program(source), mode="three", AI_INTEGRATION_MODES_PATH=folder)
    assert json.loads(last_line(done)) == ["A", {"text": {"type": "text"}}, {"a": 1}]


@both_styles
def test_a_mode_gets_the_defaults_of_the_schema(program, folder, style):
    (folder / "calling.py").write_text(
        textwrap.dedent("""
            def calling(inference_function=None):
                given = {"text": "hi", "style": None}
                for inputs in (given, given, {"text": "hi", "steps": 0, "words": ["own"]}):
                    print(inference_function(inputs)["data"])
                print(given)

            MODULE_MODES = {"calling": calling}
        """)
    )
    source = """
        SCHEMA = {
            "text": {"type": "text"},
            "steps": {"type": "integer", "default": 5},
            "style": {"type": "choice", "choices": ["oil", "ink"], "default": "ink"},
            "words": {"type": "json", "default": ["one"]},
            "more": {"type": "text", "default": None},
            "short": "text",
        }

        def infer(inputs):
            told = repr(sorted(inputs.items()))
            # The next request does not see it.
            inputs["words"].append("of the model")
            return {"content-type": "text/plain", "data": told, "success": True}
    """
    path = program(model(source, style))
    done = run(path, mode="calling", AI_INTEGRATION_MODES_PATH=folder)
    filled = "[('steps', 5), ('style', 'ink'), ('text', 'hi'), ('words', ['one'])]"
    assert done.stdout.decode().splitlines() == [
        filled,
        filled,
        "[('steps', 0), ('style', 'ink'), ('text', 'hi'), ('words', ['own'])]",
        "{'text': 'hi', 'style': None}",
    ]


def test_a_mode_is_called_with_just_the_arguments_that_it_names(use):
    assert last_line(use("nothing")) == "called with nothing"
    expected = "inference_function inputs_schema visualizer_config"
    assert last_line(use("any_keyword")) == expected


@both_styles
@pytest.mark.parametrize(
    ("mode", "status", "told"),
    [
        ("shout", 0, ""),
        ("returning_a_number", 0, ""),
        ("exiting_well", 0, ""),
        ("exiting", 6, ""),
        ("exiting_with_words", 1, "last words"),
        ("raising", 1, "RuntimeError: the mode is broken"),
        ("failing", 1, ""),
    ],
)
def test_the_end_of_the_mode_is_the_end_of_the_program(use, style, mode, status, told):
    done = use(mode, style)
    assert done.returncode == status
    assert told in done.stderr.decode()


@both_styles
def test_a_failed_result_is_handed_to_the_mode(use, style):
    assert last_line(use("failing", style)) == "the model's words"


@both_styles
def test_an_exception_of_the_model_is_handed_to_the_mode_and_ends_the_program(use, style):
    done = use("bad", style)
    assert done.returncode == 1
    assert "ValueError: no such word" in done.stdout.decode()
    assert done.stderr.decode().rstrip().endswith("ValueError: no such word")


@both_styles
def test_on_exception_continue_holds_for_a_custom_mode_too(use, style):
    done = use("bad_then_good", style, AI_INTEGRATION_ON_EXCEPTION="continue")
    assert json.loads(last_line(done)) == [False, True, "GOOD"]
    assert done.returncode == 0


def test_a_mode_that_asks_on_after_the_models_end_is_not_kept_waiting(use):
    done = use("bad_then_good")
    assert done.returncode == 1
    seen = json.loads(last_line(done))
    assert seen[:2] == [False, False]


@pytest.mark.parametrize(("style", "policy"), [("loop", None), ("start_loop", "stop")])
def test_an_exception_starts_the_program_again_where_its_mode_goes_on(
    program, folder, tmp_path, style, policy
):
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    for number, word in enumerate(["one", "bad"]):
        (inbox / str(number)).write_text(word)
    variables = environment(
        MODE="watching", AI_INTEGRATION_MODES_PATH=folder, AI_INTEGRATION_ON_EXCEPTION=policy
    )
    command = [PYTHON, str(program(model(UPPER, style)))]
    with started(command, cwd=tmp_path, env=variables, text=True) as process:

        def line():
            # What the model prints comes between the mode's lines.
            return next(one for one in iter(process.stdout.readline, "") if "chatter" not in one)

        assert [line() for _ in range(3)] == ["watching\n", "0 ONE\n", "1 failed\n"]
        assert line() == "watching\n"
        for number, word in enumerate(["bad", "two", "end"], 2):
            (inbox / str(number)).write_text(word)
            if word == "bad":
                assert [line(), line()] == ["2 failed\n", "watching\n"]
        assert line() == "3 TWO\n"
        assert process.wait(15) == 0
        assert process.stderr.read().count("ValueError: no such word") == 2


def test_a_program_without_a_successful_result_is_restarted_a_limited_number_of_times(use):
    done = use("never_content", AI_INTEGRATION_START_ATTEMPTS=2)
    assert done.returncode == 1
    assert done.stdout.decode().count("begun") == 2
    assert "2 starts in a row gave no successful result; giving up" in done.stderr.decode()


@both_styles
def test_a_mode_with_many_threads_gets_the_right_results(use, style):
    done = use("many", style)
    assert done.returncode == 0, done.stderr
    assert last_line(done) == "wrong: []"


def test_the_model_keeps_the_main_thread_and_the_mode_sees_the_arguments(use):
    assert last_line(use("where", "loop", "--an", "argument")) == "False ['--an', 'argument']"


def test_a_block_without_a_result_raises_in_the_mode(program, folder):
    source = """
        import ai_integration
        while True:
            with ai_integration.get_next_input({"text": {"type": "text"}}):
                pass
    """
    done = run(program(source), mode="bad", AI_INTEGRATION_MODES_PATH=folder)
    assert "Programming Error" in done.stdout.decode()
    assert done.returncode == 0


def test_a_second_result_never_reaches_the_modes_next_call(program, folder):
    source = """
        import ai_integration
        def result(data):
            return {"content-type": "text/plain", "data": data, "success": True}
        while True:
            with ai_integration.get_next_input({"text": {"type": "text"}}) as inputs:
                ai_integration.send_result(result(inputs["text"].upper()))
                ai_integration.send_result(result("second"))
            ai_integration.send_result(result("late"))
    """
    done = run(program(source), mode="many", AI_INTEGRATION_MODES_PATH=folder)
    assert last_line(done) == "wrong: []"
    assert "a second result" in done.stderr.decode()


def test_the_session_around_the_loop_is_closed_and_handlers_run(program, folder, tmp_path):
    source = """
        import atexit, os
        atexit.register(lambda: open(os.environ["REPORT"], "a").write("handled"))
        import ai_integration

        class Session:
            def __enter__(self):
                return self
            def __exit__(self, *all):
                open(os.environ["REPORT"], "a").write("closed ")

        with Session():
            while True:
                with ai_integration.get_next_input({"text": {"type": "text"}}) as inputs:
                    ai_integration.send_result({"data": inputs["text"], "success": True})
    """
    report = tmp_path / "report"
    done = run(program(source), mode="exiting", AI_INTEGRATION_MODES_PATH=folder, REPORT=report)
    assert done.returncode == 6
    assert report.read_text() == "closed handled"


class TestListing:
    def names(self, text):
        return re.findall(r"^ \* MODE=(\w+):", text, re.M)

    def test_custom_modes_are_listed_among_the_built_in_ones(self, use):
        done = use(None, "loop", "--text", "x")
        errors = done.stderr.decode()
        names = self.names(errors)
        assert names == sorted(names)
        assert {"shout", "three", "command_line", "http"} <= set(names)
        assert " * MODE=shout: Shouts hello\n" in errors
        assert re.search(r" \* MODE=three: \((?i:no hint)", errors)
        assert done.stdout == b"X\n"

    def test_an_unknown_mode_lists_them_too(self, use):
        done = use("shoud")
        assert done.returncode == 1
        assert "shout" in self.names(done.stderr.decode())

    def test_the_command_lists_them(self, folder):
        done = run("modes", command=[BINARY], AI_INTEGRATION_MODES_PATH=folder)
        assert done.returncode == 0
        assert {"shout", "command_line"} <= set(self.names(done.stdout.decode()))
        assert " * MODE=shout: Shouts hello\n" in done.stdout.decode()

    def test_modes_that_print_while_they_load_do_not_break_the_list(self, folder):
        (folder / "loud.py").write_text("print('loading')\nMODULE_MODES = {}\n")
        done = run("modes", command=[BINARY], AI_INTEGRATION_MODES_PATH=folder)
        assert "shout" in self.names(done.stdout.decode())
        assert "loading" not in done.stdout.decode()

    def test_a_server_is_not_disturbed_by_them(self, program, folder):
        with serve(program(model(UPPER)), AI_INTEGRATION_MODES_PATH=folder) as server:
            assert server.post(text="x").body == b"X"


def test_the_command_runs_a_custom_mode(program, folder):
    command = [BINARY, "run", "--mode", "shout", "--modes-path", folder]
    done = run(program(model(UPPER)), command=list(map(str, command)))
    assert done.returncode == 0, done.stderr
    assert json.loads(last_line(done))["result"]["data"] == "HELLO"


def test_several_folders_are_searched(program, folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "more.py").write_text("MODULE_MODES = {'more': lambda: print('more and more')}\n")
    paths = "%s%s%s" % (other, os.pathsep, folder)
    path = program(model(UPPER))
    assert last_line(run(path, mode="more", AI_INTEGRATION_MODES_PATH=paths)) == "more and more"
    assert run(path, mode="shout", AI_INTEGRATION_MODES_PATH=paths).returncode == 0


def test_a_folder_that_is_none_is_named(program, tmp_path):
    path = program(model(UPPER))
    done = run(path, mode="shout", AI_INTEGRATION_MODES_PATH=tmp_path / "missing")
    assert done.returncode == 2
    errors = done.stderr.decode()
    assert "missing" in errors
    assert "not a folder" in errors
    assert "Traceback" not in errors


def test_a_broken_file_leaves_the_others_usable_and_is_named(use, folder):
    (folder / "broken.py").write_text("import no_such_module\n")
    (folder / "wrong.py").write_text("this is no Python\n")
    (folder / "empty.py").write_text("")
    (folder / "odd.py").write_text("MODULE_MODES = {'odd': 5}\n")
    done = use("shout")
    assert done.returncode == 0
    errors = done.stderr.decode()
    assert "broken.py was left out" in errors
    assert "no_such_module" in errors
    assert "wrong.py was left out" in errors
    assert "the mode odd is not a function" in errors
    assert "empty.py" not in errors


@pytest.mark.parametrize("name", ["command_line", "http"])
def test_a_built_in_mode_cannot_be_replaced(program, folder, name):
    (folder / "taking.py").write_text("MODULE_MODES = {'%s': lambda: print('taken')}\n" % name)
    path = program(model(UPPER))
    done = run(path, "--text", "x", mode="command_line", AI_INTEGRATION_MODES_PATH=folder)
    assert done.stdout == b"X\n"
    done = run(path, mode="shout", AI_INTEGRATION_MODES_PATH=folder)
    assert "the built-in mode %s cannot be replaced" % name in done.stderr.decode()


@pytest.fixture
def copy(tmp_path):
    """A copy of the installed package, so that the installed one stays as it is."""
    installed = Path(ai_integration.__file__).parent
    copy = tmp_path / "copy" / "ai_integration"
    shutil.copytree(installed, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@both_styles
@pytest.mark.parametrize("mode", ["shout", "three"])
def test_a_file_dropped_into_the_packages_modes_folder_is_a_mode(program, copy, style, mode):
    (copy / "modes" / "my_modes.py").write_text(textwrap.dedent(MODES))
    done = run(program(model(UPPER, style)), mode=mode, PYTHONPATH=copy.parent)
    assert done.returncode == 0, done.stderr
    assert json.loads(last_line(done))
    listed = run(program(model(UPPER, style)), "--text", "x", PYTHONPATH=copy.parent)
    assert " * MODE=shout: Shouts hello\n" in listed.stderr.decode()


def test_a_file_that_was_written_for_1_0_works_in_the_modes_folder(program, copy):
    # It has the imports and the `print` calls of the modes of 1.0.
    (copy / "modes" / "twice.py").write_text(
        textwrap.dedent("""
            from __future__ import absolute_import, division, print_function
            import sys

            def twice(inference_function=None, inputs_schema=None):
                print('Entering twice mode')
                for word in ['one', 'two']:
                    result = inference_function({'text': word})
                    if result['success'] == True:
                        print(result['data'])
                    else:
                        sys.exit(1)

            twice.hint = 'Asks twice (docker run flag: -e MODE=twice )'

            MODULE_MODES = {
                'twice': twice
            }
        """)
    )
    done = run(program(model(UPPER)), mode="twice", PYTHONPATH=copy.parent)
    assert done.returncode == 0
    lines = [line for line in done.stdout.decode().splitlines() if line != "chatter"]
    assert lines == ["Entering twice mode", "ONE", "TWO"]
    code = "from ai_integration.modes import *; print(twice.MODULE_MODES)"
    done = run(code, command=[PYTHON, "-c"], PYTHONPATH=copy.parent)
    assert "'twice': <function twice" in done.stdout.decode(), done.stderr


@pytest.fixture
def distribution(tmp_path):
    """Installs a package with modes, as pip would."""
    folder = tmp_path / "installed"
    folder.mkdir()
    (folder / "my_modes.py").write_text(textwrap.dedent(MODES))
    metadata = folder / "my_modes-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-modes\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[ai_integration.modes]\nshout = my_modes:shout\nall_of_them = my_modes\n"
        "broken = no_such_module:mode\n"
    )
    return folder


@both_styles
@pytest.mark.parametrize("mode", ["shout", "three"])
def test_an_entry_point_names_a_function_or_a_module(program, distribution, style, mode):
    done = run(program(model(UPPER, style)), mode=mode, PYTHONPATH=distribution)
    assert done.returncode == 0, done.stderr
    assert json.loads(last_line(done))
    assert "the entry point broken was left out" in done.stderr.decode()


def test_entry_points_are_listed(program, distribution):
    done = run(program(model(UPPER)), "--text", "x", PYTHONPATH=distribution)
    assert " * MODE=shout: Shouts hello\n" in done.stderr.decode()
    done = run("modes", command=[BINARY], PYTHONPATH=distribution)
    assert " * MODE=shout: Shouts hello\n" in done.stdout.decode()


def test_a_custom_mode_needs_no_engine(program, folder, tmp_path):
    done = run(
        program(model(UPPER)),
        mode="shout",
        AI_INTEGRATION_MODES_PATH=folder,
        AI_INTEGRATION_BINARY=tmp_path / "no-such-binary",
    )
    assert done.returncode == 0


def test_a_mode_that_waits_for_ever_can_be_interrupted(program, folder, tmp_path):
    waiting = """
        import os, threading
        def waiting(inference_function=None, inputs_schema=None):
            open(os.environ["BEGUN"], "w").close()
            threading.Event().wait()
        MODULE_MODES = {"waiting": waiting}
    """
    (folder / "waiting.py").write_text(textwrap.dedent(waiting))
    begun = tmp_path / "begun"
    variables = environment(MODE="waiting", AI_INTEGRATION_MODES_PATH=folder, BEGUN=begun)
    with started([PYTHON, program(model(UPPER))], env=variables) as process:
        eventually(begun.exists, "the mode is at work")
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            pytest.fail("it goes on after SIGINT")
    assert process.returncode != 0
