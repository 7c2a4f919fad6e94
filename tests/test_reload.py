"""`run --reload` restarts a program when its files change."""

import os
import shutil
import signal
import subprocess
import textwrap
import time

import pytest
from support import BINARY, PYTHON, alive, children, eventually, in_background, run, serve
from test_workers import load, wait_for_workers

# Returns its version, after the number of seconds in the request.
MODEL = """
    import os, time
    import ai_integration
    {helper}
    VERSION = "{version}"
    {more}
    while True:
        schema = {{"text": {{"type": "text"}}{inputs}}}
        with ai_integration.get_next_input(inputs_schema=schema) as inputs:
            time.sleep(float(inputs["text"] or 0))
            ai_integration.send_result(
                {{"content-type": "text/plain", "data": VERSION, "success": True}}
            )
"""


def model(version, more="", helper="", inputs=""):
    text = MODEL.format(version=version, more=more, helper=helper, inputs=inputs)
    return textwrap.dedent(text)


def watched(program, *words, **options):
    """Serves a program by `run --reload`."""
    command = [BINARY, "run", "--reload", "--mode", "http", *words]
    return serve(program, command=command, **options)


def answer(server):
    told = server.post(text="0")
    return told.body.decode() if told.status == 200 else told


def becomes(server, version):
    eventually(lambda: answer(server) == version, "%s serves" % version)


def revision(server):
    return server.get("/revision").json()


def takes_over(server, before):
    eventually(lambda: revision(server)["revision"] != before, "it has taken over")


def replace(path, text):
    """Writes a file as most editors do: another one takes its place."""
    other = path.with_name(path.name + "~")
    other.write_text(text)
    other.replace(path)


# Changes that count


def test_a_saved_program_takes_over_without_a_failed_request(program, tmp_path):
    path = program(model("one"))
    with watched(path, cwd=tmp_path) as server:
        with load(server, clients=3, text="0.01") as answers:
            for number in range(3):
                before = revision(server)["revision"]
                path.write_text(model("version %d" % number))
                takes_over(server, before)
            seen = len(answers)
            eventually(lambda: len(answers) >= seen + 20, "the last one serves")
        assert {told.status for told in answers} == {200}
        assert answers[-1].body == b"version 2"
        server.wait_for_output(r"entrypoint\.py changed: the program was reloaded in \d+\.\d s")
        eventually(lambda: len(children(server.process.pid)) == 1, "only the last one is left")


def test_the_old_program_serves_while_the_new_one_loads(program):
    path = program(model("old"))
    with watched(path) as server:
        long = in_background(server.post, text="3")
        path.write_text(model("new", more="time.sleep(2)"))
        server.wait_for_output(r"entrypoint\.py changed\n")
        begun = time.monotonic()
        becomes(server, "new")
        assert time.monotonic() - begun > 1
        assert long().body == b"old"


def test_several_files_that_are_saved_together_are_one_change(program, tmp_path):
    path = program(model("one", helper="import helper"))
    helper = program("", "helper.py")
    with watched(path, cwd=tmp_path) as server:
        helper.write_text("# two\n")
        time.sleep(0.1)
        path.write_text(model("two", helper="import helper"))
        time.sleep(0.1)
        program("", "other.py")
        becomes(server, "two")
        server.wait_for_output(r"and 2 other files changed: the program was reloaded")
        assert server.output().count("reloading the program") == 1


def test_two_versions_within_a_second_are_distinguished(program, tmp_path):
    """Python takes files with the same second and length for the same file."""
    path = program(model("one", more="from helper import VERSION"))
    helper = program("VERSION = 'one'", "helper.py")
    saved = int(time.time()) - 1000
    os.utime(helper, (saved, saved))
    with watched(path, cwd=tmp_path) as server:
        assert answer(server) == "one"
        other = program("VERSION = 'two'", "helper.new")
        os.utime(other, (saved, saved))
        other.replace(helper)
        helper.touch()
        os.utime(helper, (saved, saved))
        becomes(server, "two")


def test_temporary_files_of_editors_and_tools_are_no_change(program, tmp_path):
    path = program(model("one"))
    with watched(path, cwd=tmp_path) as server:
        path.write_text(model("one"))
        os.utime(path)
        replace(path, model("one"))
        for name in (".entrypoint.py.swp", "entrypoint.py~", "notes.txt", "cache.json"):
            program("x", name)
        for folder in ("__pycache__", ".git", "node_modules", "environment"):
            (tmp_path / folder).mkdir()
            if folder == "environment":
                (tmp_path / folder / "pyvenv.cfg").touch()
            (tmp_path / folder / "module.py").write_text("x")
        # The engine also looks at the files without a message of the system, every three seconds.
        time.sleep(4)
        assert "changed" not in server.output()
        replace(path, model("two"))
        becomes(server, "two")
        path.unlink()
        server.wait_for_output("tried again when its files change")
        path.write_text(model("three"))
        becomes(server, "three")


def test_a_folder_that_is_made_later_is_watched_as_well(program, tmp_path):
    path = program(model("one"))
    with watched(path, cwd=tmp_path) as server:
        package = tmp_path / "package" / "inner"
        for text in ("VERSION = 'two'", "VERSION = 'three'"):
            package.mkdir(parents=True)
            path.write_text(model("x", more="from package.inner.part import VERSION"))
            (package / "part.py").write_text(text)
            becomes(server, text.split("'")[1])
            shutil.rmtree(package.parent)
            server.wait_for_output("No module named")


def test_data_does_not_hide_the_modules_beside_it(program, tmp_path):
    path = program(model("x", more="from package.part.layers import VERSION"))
    part = tmp_path / "package" / "part"
    part.mkdir(parents=True)
    (tmp_path / "package" / "__init__.py").touch()
    (part / "layers.py").write_text("VERSION = 'one'")
    for number in range(1100):
        (tmp_path / "data" / ("class-%d" % number)).mkdir(parents=True)
    with watched(path, cwd=tmp_path) as server:
        server.wait_for_output("has more folders and files than are watched")
        assert answer(server) == "one"
        (part / "layers.py").write_text("VERSION = 'two'")
        becomes(server, "two")


def test_a_project_behind_a_link_is_watched_once(program, tmp_path):
    path = program(model("one"))
    link = tmp_path.with_name("a link to ü")
    link.symlink_to(tmp_path)
    with watched(link / path.name, cwd=link) as server:
        path.write_text(model("two"))
        becomes(server, "two")
        server.wait_for_output(r"entrypoint\.py changed: the program")
    link.unlink()


def test_a_package_behind_a_link_is_watched(program, tmp_path):
    package = tmp_path / "elsewhere" / "shared"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("VERSION = 'one'")
    (package / "again").symlink_to(package)
    project = tmp_path / "project"
    project.mkdir()
    (project / "shared").symlink_to(package)
    program(model("x", more="from shared import VERSION"), "project/model.py")
    with watched(project / "model.py", cwd=project) as server:
        (package / "__init__.py").write_text("VERSION = 'two'")
        becomes(server, "two")


# Programs, however they are started


WAYS = ["module", "folder", "launcher", "installed", "variable", "serve", "link"]


@pytest.mark.parametrize("way", WAYS)
def test_a_program_is_watched_however_it_is_started(program, tmp_path, way):
    package = tmp_path / "package"
    package.mkdir()
    path = package / "__main__.py"
    path.write_text(model("one"))
    if way == "link":
        (tmp_path / "link").mkdir()
        (tmp_path / "link" / "model.py").symlink_to(path)
    command = tmp_path / "environment" / "bin" / "command"
    command.parent.mkdir(parents=True)
    (tmp_path / "environment" / "pyvenv.cfg").touch()
    command.write_text('#!/bin/sh\nexec %s -m package "$@"\n' % PYTHON)
    command.chmod(0o755)
    options = {"AI_INTEGRATION_RELOAD": 1} if way == "variable" else {}
    run_it = [BINARY, "run", "--reload"]
    command = {
        "module": [*run_it, PYTHON, "-m", "package"],
        "folder": [*run_it, PYTHON, "package"],
        "launcher": [*run_it, "env", "A=1", PYTHON, "package/__main__.py"],
        "installed": [*run_it, command],
        "variable": [PYTHON, "package/__main__.py"],
        "serve": [BINARY, "serve", "--reload", "package/__main__.py"],
        "link": [*run_it, "link/model.py"],
    }[way]
    *command, last = command
    with serve(last, command=command, cwd=tmp_path, **options) as server:
        assert answer(server) == "one"
        path.write_text(model("two"))
        becomes(server, "two")


def test_a_compiled_program_is_its_own_file(tmp_path):
    """The compiled program is a copy of the shell, which reads a script that is not watched."""
    shell = tmp_path / "model"
    shutil.copy("/bin/sh", shell)
    script = tmp_path / "text"
    script.write_text("exec %s %s/code\n" % (PYTHON, tmp_path))
    (tmp_path / "code").write_text(model("one"))
    command = [BINARY, "run", "--reload", str(shell)]
    with serve(script, command=command) as server:
        (tmp_path / "code").write_text(model("two"))
        time.sleep(1)
        assert answer(server) == "one"
        with shell.open("rb") as old:
            content = old.read()
        replace(shell, "")
        shell.write_bytes(content + b"another")
        shell.chmod(0o755)
        becomes(server, "two")

        # A build takes its time: it writes the file, and lets it be executed in the end.
        (tmp_path / "code").write_text(model("three"))
        shell.unlink()
        with shell.open("wb") as new:
            shell.chmod(0o755)
            new.write(content + b"a third")
            new.flush()
            time.sleep(1)
        becomes(server, "three")
        (tmp_path / "code").write_text(model("four"))
        shell.unlink()
        shell.write_bytes(content + b"a fourth")
        eventually(lambda: revision(server)["broken"], "it cannot be executed yet")
        shell.chmod(0o755)
        becomes(server, "four")


def test_a_server_that_is_stopped_while_the_program_loads_leaves_nothing(program):
    path = program(model("good"))
    with watched(path) as server:
        path.write_text(model("slow", more="time.sleep(1000)"))
        eventually(lambda: len(children(server.process.pid)) == 2, "it loads")
        started = children(server.process.pid)
        assert server.stop(signal.SIGINT) in (0, 130)
        assert not any(alive(pid) for pid in started)
        assert "taken over" not in server.output()
        assert "was reloaded" not in server.output()


# Broken programs

BROKEN = {
    "syntax": ("def\n", "SyntaxError: "),
    "exception": (
        "def load():\n    raise ValueError('no weights')\nload()\n",
        "ValueError: no weights",
    ),
    "hanging": ("import time\ntime.sleep(1000)\n", "did not ask for its first input within 2 s"),
    "at once": ("", "exit status 0 before it called get_next_input"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_change_is_shown_and_the_old_program_serves(program, tmp_path, broken):
    source, reason = BROKEN[broken]
    path = program(model("good"))
    with watched(path, cwd=tmp_path, AI_INTEGRATION_START_TIMEOUT=2) as server:
        assert revision(server)["broken"] is None
        before = revision(server)["revision"]
        path.write_text(source)
        eventually(lambda: revision(server)["broken"], "it is told")
        told = revision(server)
        assert told["broken"]["changed"] == "entrypoint.py"
        assert reason in told["broken"]["detail"]
        assert told["revision"] == before
        assert answer(server) == "good"
        # The log has the reason once.
        assert server.times_printed(reason, 1) == 1
        path.write_text(model("mended"))
        becomes(server, "mended")
        assert revision(server)["broken"] is None
        assert revision(server)["revision"] != before


@pytest.mark.parametrize("broken", BROKEN)
def test_a_program_that_is_broken_from_the_start_is_waited_for(program, broken):
    source, reason = BROKEN[broken]
    path = program(source)
    with watched(path, ready=False, AI_INTEGRATION_START_TIMEOUT=2) as server:
        server.wait_for_output("tried again when its files change")
        assert server.times_printed(reason, 1) == 1
        told = server.post(text="0")
        assert (told.status, told.json()["code"]) == (503, "model_unavailable")
        assert reason in told.json()["detail"]
        assert reason in revision(server)["broken"]["detail"]
        page = server.get("/")
        assert page.status == 503
        assert reason.split(":")[0] in page.body.decode()
        assert server.get("/healthz").status == 200
        assert server.get("/readyz").json()["status"] == "failed"

        path.write_text("raise RuntimeError('still broken')\n")
        eventually(lambda: "still broken" in server.post(text="0").json()["detail"], "it is told")
        path.write_text(model("mended"))
        becomes(server, "mended")
        assert server.get("/readyz").json()["status"] == "ready"
        assert revision(server)["broken"] is None
        assert server.stop() == 0


def test_several_workers_are_mended_together(program):
    path = program("raise ValueError('broken')\n")
    with watched(path, ready=False, AI_INTEGRATION_WORKERS=2) as server:
        eventually(lambda: server.post(text="0").status == 503, "no worker is ready")
        # Each of the two workers prints the exception.
        assert server.times_printed("ValueError: broken", 2) == 2
        for number in range(3):
            path.write_text(model("version %d" % number))
            becomes(server, "version %d" % number)
            wait_for_workers(server, 2)
            path.write_text("raise ValueError('broken')\n")
            eventually(lambda: revision(server)["broken"], "it is told")


def test_a_change_while_the_program_loads_starts_the_load_again(program):
    path = program(model("good"))
    with watched(path) as server:
        path.write_text(model("slow", more="time.sleep(1000)"))
        server.wait_for_output("reloading the program")
        eventually(lambda: len(children(server.process.pid)) == 2, "it loads")
        path.write_text(model("quick"))
        becomes(server, "quick")
        eventually(lambda: len(children(server.process.pid)) == 1, "only the last one is left")


def test_one_copy_at_a_time_is_replaced_and_mended(program):
    path = program(model("one"))
    with watched(path, AI_INTEGRATION_REPLACE="after") as server:
        path.write_text(model("two"))
        becomes(server, "two")
        path.write_text("raise ValueError('broken')\n")
        eventually(lambda: server.post(text="0").status == 503, "no worker is ready")
        assert "broken" in revision(server)["broken"]["detail"]
        path.write_text(model("three"))
        becomes(server, "three")


def test_one_copy_at_a_time_that_hangs_is_ended_by_the_next_change(program):
    path = program(model("one"))
    with watched(path, AI_INTEGRATION_REPLACE="after") as server:
        path.write_text(model("slow", more="time.sleep(1000)"))
        eventually(lambda: server.get("/readyz").status == 503, "it loads")
        waits = in_background(server.post, text="0")
        time.sleep(1)
        path.write_text(model("quick"))
        becomes(server, "quick")
        assert waits().body == b"quick"
        eventually(lambda: len(children(server.process.pid)) == 1, "only the last one is left")


def test_where_one_of_several_copies_is_broken_the_others_serve(program):
    path = program(model("good"))
    with watched(path, AI_INTEGRATION_REPLACE="after", AI_INTEGRATION_WORKERS=2) as server:
        wait_for_workers(server, 2)
        path.write_text("raise ValueError('broken')\n")
        eventually(lambda: revision(server)["broken"], "it is told")
        assert "ValueError: broken" in revision(server)["broken"]["detail"]
        assert revision(server)["broken"]["changed"].endswith("entrypoint.py")
        assert answer(server) == "good"
        path.write_text(model("mended"))
        becomes(server, "mended")
        wait_for_workers(server, 2)
        assert revision(server)["broken"] is None
        assert {answer(server) for _ in range(6)} == {"mended"}


def test_a_crash_of_the_old_program_is_reported_with_the_reason(program):
    path = program(model("good"))
    with watched(path) as server:
        path.write_text("raise ValueError('broken')\n")
        eventually(lambda: revision(server)["broken"], "it is told")
        os.kill(min(children(server.process.pid)), signal.SIGKILL)
        eventually(lambda: server.post(text="0").status == 503, "no worker is ready")
        path.write_text(model("mended"))
        becomes(server, "mended")


# What the page shows


def test_the_page_and_the_api_learn_of_another_schema(program):
    path = program(model("one"))
    with watched(path) as server:
        assert "data-follows" in server.get("/").body.decode()
        before = revision(server)["revision"]
        path.write_text(model("two", inputs=', "more": {"type": "number", "default": 1}'))
        takes_over(server, before)
        eventually(lambda: "more" in server.get("/schema").json()["inputs_schema"], "it is new")


def test_without_the_setting_nothing_is_watched_or_reported(program):
    path = program(model("one"))
    with serve(path) as server:
        assert server.get("/revision").status == 404
        assert "data-follows" not in server.get("/").body.decode()
        links = os.listdir("/proc/%d/fd" % server.process.pid)
        targets = [os.readlink("/proc/%d/fd/%s" % (server.process.pid, link)) for link in links]
        assert not any("inotify" in target for target in targets)
        path.write_text(model("two"))
        time.sleep(1)
        assert answer(server) == "one"


def test_what_a_program_prints_is_kept_from_clients_where_that_is_asked_for(program):
    path = program("raise ValueError('secret')\n")
    options = {"AI_INTEGRATION_ERRORS": "brief", "HOST": "0.0.0.0"}
    with watched(path, ready=False, **options) as server:
        server.wait_for_output("AI_INTEGRATION_RELOAD is for development")
        server.wait_for_output("tried again when its files change")
        for told in (server.get("/revision"), server.get("/"), server.post(text="0")):
            assert "secret" not in told.body.decode()


def test_the_revision_needs_the_token(program):
    with watched(program(model("one")), ready=True, AI_INTEGRATION_TOKEN="t" * 20) as server:
        assert server.get("/revision").status == 401


# Limits


def test_a_program_that_writes_into_its_own_folder_is_left_alone_in_the_end(program, tmp_path):
    made = "open('made.py', 'w').write('T = %r' % time.time())"
    path = program(model("one", more=made))
    with watched(path, cwd=tmp_path) as server:
        server.wait_for_output(r"made\.py changed 8 times in a row while the program was being")
        eventually(lambda: len(children(server.process.pid)) == 1, "one is left")
        seen = server.output().count("reloading the program")
        assert seen <= 8
        time.sleep(6)
        assert server.output().count("reloading the program") == seen
        path.write_text(model("two", more=made))
        becomes(server, "two")


def test_a_program_that_writes_a_source_file_for_each_request_is_not_restarted_forever(program):
    made = "import pathlib; made = pathlib.Path(__file__).with_name('made.py')"
    writing = "made.write_text(str(time.time()))\n        time.sleep("
    path = program(model("one", more=made).replace("time.sleep(", writing))
    with watched(path) as server:
        with load(server, clients=1, text="0.4") as answers:
            server.wait_for_output(r"made\.py changes again and again")
            seen = server.output().count("reloading the program")
            time.sleep(5)
            assert server.output().count("reloading the program") <= seen + 1
        assert {told.status for told in answers} == {200}


def test_a_person_who_saves_often_has_each_change(program):
    path = program(model("one"))
    with watched(path) as server:
        for number in range(8):
            path.write_text(model("version %d" % number))
            becomes(server, "version %d" % number)
        for number in range(20):
            path.write_text(model("quickly %d" % number))
            time.sleep(0.1)
        becomes(server, "quickly 19")


def test_the_last_of_many_saves_serves_while_a_program_takes_long_to_load(program):
    loading = "time.sleep(%s)"
    path = program(model("one", more=loading % 0))
    with watched(path) as server:
        for number in range(12):
            path.write_text(model("version %d" % number, more=loading % 5))
            time.sleep(0.6)
        becomes(server, "version 11")


def test_where_the_system_cannot_watch_the_files_are_looked_at(program, tmp_path):
    path = program(model("one"))
    limit = 'echo 0 > /proc/sys/user/max_inotify_instances && exec "$@"'
    alone = ["unshare", "--user", "--map-root-user", "sh", "-c", limit, "sh"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("there are no user namespaces here")
    command = [*alone, BINARY, "run", "--reload"]
    with serve(path, command=command, cwd=tmp_path) as server:
        server.wait_for_output("does not report file changes.*inotify.*every 1 s instead")
        path.write_text(model("two"))
        becomes(server, "two")


# Programs that cannot be reloaded


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("command_line", "command_line ends by itself"),
        ("test_inputs_dict_json", "test_inputs_dict_json ends by itself"),
        ("test_model_integration", "test_model_integration ends by itself"),
        ("of_mine", "custom mode"),
    ],
)
def test_modes_that_end_refuse_it(program, mode, words):
    path = program(model("one"))
    done = run(path, mode=mode, command=[BINARY, "run", "--reload"])
    assert done.returncode == 2
    assert words in done.stderr.decode()
    assert "AI_INTEGRATION_RELOAD" in done.stderr.decode()
    assert done.stdout == b""


def test_a_program_that_started_the_engine_gets_a_message_how_to_be_watched(program):
    done = run(program(model("one")), "--text", "0", AI_INTEGRATION_RELOAD=1)
    assert done.returncode == 2
    assert "ai-integration run --reload --mode http PROGRAM" in done.stderr.decode()


def test_the_flag_alone_serves(program):
    path = program(model("one"))
    with serve(path, command=[BINARY, "run", "--reload"], MODE=None) as server:
        assert answer(server) == "one"
    done = run(path, command=[BINARY, "run", "--reload=maybe"])
    assert "expected 1 or 0" in done.stderr.decode()
