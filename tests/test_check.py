"""`ai-integration check` passes correct programs, and names the usual mistakes in others."""

import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
import uuid

import pytest
from support import BINARY, PYTHON, alive, environment, eventually, marked, started

GOOD = """
import ai_integration
SCHEMA = {"text": {"type": "text"}, "picture": {"type": "image", "required": False}}
while True:
    with ai_integration.get_next_input(inputs_schema=SCHEMA) as inputs:
        ai_integration.send_result(
            {"content-type": "text/plain", "data": inputs["text"], "success": True}
        )
"""


def check(*words, **variables):
    """Runs `check` with these words. Returns the exit status, and the verdicts by their names."""
    done = subprocess.run(
        [BINARY, "check", "--json", *map(str, words)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(**variables),
        timeout=120,
    )
    report = json.loads(done.stdout)
    assert report["passed"] == (done.returncode == 0)
    return done.returncode, {one["name"]: one for one in report["checks"]}


def verdicts(checks, verdict):
    return [name for name, one in checks.items() if one["verdict"] == verdict]


def instead(old, new):
    assert old in GOOD
    return GOOD.replace(old, new)


SEND = """        ai_integration.send_result(
            {"content-type": "text/plain", "data": inputs["text"], "success": True}
        )
"""
LISTENS = """
import os, socket
if os.environ.get("PORT"):
    socket.create_server((os.environ.get("HOST", ""), int(os.environ["PORT"])))
"""
# Each with the check that finds it, and words of the cause.
FAULTS = {
    "no ai_integration": ("print('my model')", "self_test", "ended before it asked for an input"),
    "a package is missing": (
        "import no_such_package_anywhere\n" + GOOD,
        "self_test",
        "ended before it asked for an input",
    ),
    "an exception on a sample": (
        instead('inputs["text"]', 'str(int(inputs["text"]))'),
        "self_test",
        "invalid literal for int()",
    ),
    "no result": (instead(SEND, "        pass\n"), "self_test", "without send_result"),
    "two results": (instead(SEND, SEND + SEND), "self_test", "got two results"),
    "text as a picture": (instead("text/plain", "image/png"), "self_test", "text is not a picture"),
    "text as a sound": (
        instead("text/plain", "audio/wav"),
        "answer",
        "the content type is audio/wav",
    ),
    "no loop": (instead("while True", "for _ in range(1)"), "lasting", "and was restarted"),
    "its own arguments": (
        "import argparse; argparse.ArgumentParser().parse_args()\n" + GOOD,
        "command_line",
        "the command line gave no result: it ended with exit status: 2",
    ),
    "prints on standard output": (
        "print('loading weights')\n" + GOOD,
        "command_line",
        'on standard output: "loading weights"',
    ),
    "listens on the port": (
        instead("SCHEMA =", LISTENS + "SCHEMA ="),
        "start",
        "the program listens on it by itself",
    ),
    "hides its exit status": (
        "import sys\ntry:\n    %s\nexcept SystemExit:\n    sys.exit(0)\n"
        % GOOD.strip().replace("\n", "\n    "),
        "exit_status",
        "exit status: 0 instead of status 2",
    ),
    "leaves processes behind": (
        instead(
            "        ai_integration.send_result(",
            "        import subprocess\n"
            "        subprocess.Popen(['sleep', '333'], start_new_session=True, env={})\n"
            "        ai_integration.send_result(",
        ),
        "processes",
        "sleep 333",
    ),
    "memory of each request is kept": (
        instead(SEND, "        kept = [*globals().get('kept', []), b'x' * 100_000_000]\n" + SEND),
        "memory",
        "its memory grew with each of 5 requests",
    ),
    "the answer of the request before": (
        instead(
            SEND,
            "        text, inputs['text'] = inputs['text'], globals().get('text', '')\n" + SEND,
        ),
        "own_answer",
        "the result of the request before it",
    ),
    "a mistake in the schema": (
        instead('"type": "text"', '"type": "text", "examples": "hello"'),
        "self_test",
        "schema",
    ),
}
# Start scripts with a fault, before a correct program.
SCRIPTS = {
    "no exec": ('{python} {program} "$@"\necho done', "stop", "a process in front of the program"),
    "no status": ('{python} {program} "$@" || true', "exit_status", "exit status: 0 instead"),
    "no arguments": ("exec {python} {program}", "command_line", "gave no result"),
}


def test_a_good_program_passes_every_check(program):
    status, checks = check(program(GOOD))
    assert status == 0, checks
    assert verdicts(checks, "failed") == verdicts(checks, "doubtful") == []
    assert set(verdicts(checks, "skipped")) <= {"offline"}
    assert len(checks) == 14
    assert all(one["message"] and one["seconds"] >= 0 for one in checks.values())


def test_inputs_of_every_type_and_awkward_names_are_tried(program):
    schema = {
        "output": "image",
        "words": {"type": "text", "list": True},
        "files": {"type": "file", "list": True, "min_items": 2},
        "count": {"type": "integer", "min": 3},
        "share": {"type": "number", "max": -1},
        "flag": {"type": "boolean"},
        "data": {"type": "json", "examples": [["a", {"b": None}]]},
        "day": {"type": "date"},
        "kind": {"type": "choice", "choices": ["-c", "a b"]},
        "path": {"type": "text", "examples": ["./no/such/file.txt"]},
        "sound": {"type": "audio"},
    }
    source = """
        import ai_integration
        while True:
            with ai_integration.get_next_input(inputs_schema=%r) as inputs:
                ai_integration.send_result(sorted(inputs))
    """
    status, checks = check(program(source % schema))
    assert status == 0, checks
    assert verdicts(checks, "doubtful") == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_with_its_cause_and_a_way_out(program, fault):
    source, name, words = FAULTS[fault]
    status, checks = check(program(source))
    assert status == 1
    assert name in verdicts(checks, "failed"), checks
    assert words in checks[name]["message"]
    assert checks[name]["way_out"]


@pytest.mark.parametrize(
    ("fault", "cause", "last_words"),
    [
        ("raise ValueError('no GPU')", "ValueError: no GPU", "ValueError: no GPU"),
        ("import os; print('no GPU', flush=True); os._exit(3)", "exit status 3", "no GPU"),
    ],
)
def test_a_failed_sample_is_reported_once_and_later_checks_are_skipped(
    program, fault, cause, last_words
):
    status, checks = check(program(instead(SEND, "        %s\n" % fault + SEND)))
    assert status == 1
    assert set(verdicts(checks, "failed")) <= {"self_test", "answer", "lasting"}
    assert {"together", "command_line", "memory"} <= set(verdicts(checks, "skipped"))
    for name in ("self_test", "answer"):
        message = checks[name]["message"]
        assert "\n" not in message
        assert "Traceback" not in message
    assert checks["self_test"]["message"].endswith(cause)
    assert checks["answer"]["message"].endswith(last_words)


@pytest.mark.parametrize(
    ("first", "mode", "way_out"),
    [
        ("#!/usr/bin/env python3\n", 0o644, "chmod +x"),
        ("", 0o644, "#!/usr/bin/env python3"),
        ("#!/usr/bin/env python3\r\n", 0o755, "save it with LF"),
        ("#!/usr/bin/python3\r\n", 0o755, "save it with LF"),
        ("#!/usr/bin/env no-such-python\n", 0o755, "no-such-python"),
        ("#!/no/such/python\n", 0o755, "/no/such/python"),
        ("", 0o755, "begin with #!"),
    ],
)
def test_a_program_that_cannot_be_executed_is_reported_with_the_reason(
    tmp_path, first, mode, way_out
):
    model = tmp_path / "model"
    model.write_bytes((first + GOOD).encode())
    model.chmod(mode)
    status, checks = check(model)
    assert status == 1
    assert verdicts(checks, "failed") == ["self_test"]
    assert way_out in checks["self_test"]["way_out"]


def test_a_model_without_inputs_passes(program):
    source = """
        import ai_integration

        def roll() -> int:
            return 4

        ai_integration.run(roll)
    """
    status, checks = check(program(source))
    assert status == 0
    assert verdicts(checks, "doubtful") == []


def test_a_program_that_chooses_its_mode_is_reported(program):
    mode = "import os\nos.environ.update(MODE='http', PORT='0', HOST='127.0.0.1')\n"
    status, checks = check("--timeout", 4, program(mode + GOOD))
    assert status == 1
    assert verdicts(checks, "failed") == ["self_test"]
    assert "do not set MODE in the program" in checks["self_test"]["way_out"]


@pytest.mark.parametrize("answers", ["itertools.count()", "itertools.repeat(1)"])
def test_results_that_do_not_depend_on_the_inputs_pass(program, answers):
    source = instead('inputs["text"]', "str(next(answers))")
    lines = "import itertools\nanswers = %s\n" % answers
    status, checks = check(program(lines + source))
    assert status == 0, checks
    assert verdicts(checks, "doubtful") == []


def test_a_result_that_is_null_is_doubtful(program):
    source = """
        import ai_integration

        def forget(text: str):
            text.upper()

        ai_integration.run(forget)
    """
    status, checks = check(program(source))
    assert status == 0
    assert verdicts(checks, "doubtful") == ["answer"]
    assert "null" in checks["answer"]["message"]


def test_the_report_is_no_file_of_the_program(program, tmp_path):
    with (tmp_path / "report.json").open("wb") as report:
        command = [BINARY, "check", "--json", program(GOOD)]
        done = subprocess.run(
            command, stdout=report, stderr=report, env=environment(), cwd=tmp_path, timeout=60
        )
    assert done.returncode == 0
    checks = json.loads((tmp_path / "report.json").read_text())["checks"]
    assert [one["name"] for one in checks if one["verdict"] == "doubtful"] == []


@pytest.mark.parametrize("fault", SCRIPTS)
def test_a_fault_of_a_script_in_front_is_found(program, tmp_path, fault):
    line, name, words = SCRIPTS[fault]
    script = tmp_path / "start.sh"
    script.write_text("#!/bin/sh\n" + line.format(python=PYTHON, program=program(GOOD)) + "\n")
    script.chmod(0o755)
    status, checks = check(script)
    assert status == 1
    assert name in verdicts(checks, "failed"), checks
    assert words in checks[name]["message"]
    assert checks[name]["way_out"]


def test_a_script_that_hands_everything_on_passes(program, tmp_path):
    script = tmp_path / "start.sh"
    script.write_text('#!/bin/sh\nexec %s %s "$@"\n' % (PYTHON, program(GOOD)))
    script.chmod(0o755)
    status, checks = check(script)
    assert status == 0, checks


@pytest.mark.parametrize("where", ["while it loads", "while it answers"])
def test_a_step_that_takes_too_long_is_ended_and_reported(program, where):
    sleep = "import time; time.sleep(600)\n"
    loading = sleep + GOOD
    answering = instead(
        "        ai_integration.send", "        %s        ai_integration.send" % sleep
    )
    status, checks = check("--timeout", 3, program(loading if "loads" in where else answering))
    assert status == 1
    assert "within 3 s" in checks["self_test"]["message"]
    assert "--timeout" in checks["self_test"]["way_out"]


def test_processes_of_others_are_left_alone(program):
    line = 'sleep 120 > /dev/null 2>&1 & echo $!; exec "$0" check --json "$1"'
    done = subprocess.run(
        ["sh", "-c", line, BINARY, program(GOOD)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=60,
    )
    other, report = done.stdout.decode().split("\n", 1)
    assert alive(int(other))
    os.kill(int(other), signal.SIGTERM)
    assert json.loads(report)["passed"]


def test_no_program_is_left_when_the_check_is_broken_off(program):
    mark = uuid.uuid4().hex
    path = program("import time; print('loading', flush=True); time.sleep(600)\n" + GOOD)
    with started([BINARY, "check", path], env=environment(MARK=mark)) as process:
        eventually(lambda: len(marked(mark)) > 1, "the program runs")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 128 + signal.SIGTERM
    assert marked(mark) == []


def test_a_written_file_is_doubtful(program, tmp_path):
    writes = "        open(%r, 'w').write('x')\n" % str(tmp_path / "out.txt")
    status, checks = check(program(instead(SEND, writes + SEND)))
    assert status == 0
    assert verdicts(checks, "doubtful") == ["files"]
    assert "out.txt" in checks["files"]["message"]


def test_a_program_that_does_not_exit_is_reported(program):
    waits = "import atexit, time; atexit.register(time.sleep, 600)\n"
    status, checks = check("--timeout", 6, program(waits + GOOD))
    assert status == 1
    assert verdicts(checks, "failed") == ["command_line", "exit_status"], checks
    assert "did not end after its result" in checks["command_line"]["message"]
    assert "daemons" in checks["command_line"]["way_out"]


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs root on Linux")
def test_a_model_that_needs_the_network_is_doubtful(program):
    class Weights(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.sendall(b"weights")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Weights) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        download = "import socket; socket.create_connection(%r)\n" % (server.server_address,)
        status, checks = check(program(instead("SCHEMA =", download + "SCHEMA =")))
        server.shutdown()
    assert status == 0, checks
    assert verdicts(checks, "doubtful") == ["offline"]
    assert "without a network it ended" in checks["offline"]["message"]


def test_people_get_a_line_for_each_check_and_the_last_lines_of_a_failure(program):
    path = program("raise RuntimeError('the weights are broken')")
    done = subprocess.run(
        [BINARY, "check", path], env=environment(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0] == "Checking %s" % path
    assert lines[1].startswith("FAILED    self_test ")
    assert lines[2].strip().startswith("way out: ")
    assert any("| RuntimeError: the weights are broken" in line for line in lines)
    assert lines[-2].startswith("skipped   start, schema, answer, together, lasting, own_answer, ")
    assert lines[-2].endswith(": the program never asks for an input")
    assert lines[-1].startswith("Not ready to ship: 0 passed, 1 failed, 0 doubtful, 13 skipped")
    assert done.stderr == ""


def test_settings_of_the_environment_do_not_count(program):
    variables = {"MODE": "test_single_image", "PORT": "1", "AI_INTEGRATION_TOKEN": "x" * 20}
    status, checks = check(program(GOOD), **variables)
    assert status == 0, checks


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["missing.py"], "there is no program missing.py"),
        (["."], "is a folder: name the program in it, such as ./entrypoint.py"),
        (["no-such-model"], "neither podman nor docker"),
        (["no-such-model", "--x"], "an image is checked without arguments"),
    ],
)
def test_a_missing_program_or_tool_is_an_error(tmp_path, words, told):
    done = subprocess.run(
        [BINARY, "check", *words],
        cwd=tmp_path,
        env=environment(PATH=tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 127
    assert done.stderr.startswith("error: ")
    assert told in done.stderr
