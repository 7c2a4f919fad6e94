"""The Python package runs on every Python that is found: those on the PATH, and those in
`TEST_PYTHONS`, a list of interpreters separated by colons."""

import functools
import json
import os
import pickle
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import ai_integration
import pytest
from compat import picture
from support import BINARY, environment, in_background, run, serve

PNG = picture()
PACKAGE = Path(ai_integration.__file__).parent
NAMES = ["python%d.%d" % version for version in [(2, 7), *((3, minor) for minor in range(8, 15))]]
NAMES += ["pypy3", "pypy"]


@functools.lru_cache(maxsize=None)
def identity(interpreter):
    """Returns implementation and version, such as `CPython 3.11.2`.

    None if the interpreter does not run, or if the package does not support its version.
    """
    code = "import platform, sys; print(platform.python_implementation()); print(sys.version)"
    try:
        done = subprocess.run(
            [
                interpreter,
                "-c",
                code + "; print(sys.version_info[:2] in [(2, 7)] or sys.version_info >= (3, 8))",
            ],
            capture_output=True,
            text=True,
            timeout=30,
            env=environment(),
            check=False,
        )
    except OSError:
        return None
    lines = done.stdout.splitlines()
    if done.returncode != 0 or not lines or lines[-1] != "True":
        return None
    return "%s %s" % (lines[0], lines[1].split()[0])


def interpreters():
    """Returns one interpreter of each implementation and version."""
    found = {}
    named = os.environ.get("TEST_PYTHONS", "").split(os.pathsep)
    for interpreter in [*named, sys.executable, *map(shutil.which, NAMES)]:
        if interpreter:
            what = identity(interpreter)
            assert what or interpreter not in named, "%s does not run" % interpreter
            if what:
                found.setdefault(what, interpreter)
    return [pytest.param(path, id=what) for what, path in sorted(found.items())]


@pytest.fixture(params=interpreters())
def python(request):
    return request.param


@pytest.fixture
def package(tmp_path):
    """Returns variables that lead a program to a copy of the package alone, and to the engine."""
    shutil.copytree(
        PACKAGE,
        tmp_path / "package" / "ai_integration",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    return {"PYTHONPATH": tmp_path / "package", "AI_INTEGRATION_BINARY": BINARY}


MODEL = textwrap.dedent("""
    # coding: utf-8
    from __future__ import print_function
    import json, os, sys
    import ai_integration
    from ai_integration.public_interface import start_loop

    SCHEMA = {"text": {"type": "text"}, "image": {"type": "image", "required": False}}
    TEXT = type(u"")

    def infer(inputs):
        print("chatter", u"\\xfc" == inputs["text"])
        if inputs["text"] == "bad":
            raise ValueError("no such word")
        if inputs["text"] == "exit":
            sys.exit(7)
        if inputs["text"] == "pieces":
            return {"content-type": "text/plain", "data": (c for c in ["a", u"\\xfc", b"c"]),
                    "success": True}
        if inputs["text"] == "unsendable":
            return {"content-type": "application/json", "data": object(), "success": True}
        seen = {"text": inputs["text"], "is_text": isinstance(inputs["text"], TEXT),
                "image": len(inputs.get("image", b"")), "pid": os.getpid(),
                "is_bytes": isinstance(inputs.get("image", b""), bytes)}
        return {"content-type": "application/json", "data": seen, "success": True}
""")
LOOP = MODEL + textwrap.dedent("""
    while True:
        with ai_integration.get_next_input(inputs_schema=SCHEMA) as inputs:
            ai_integration.send_result(infer(inputs))
            ai_integration.send_result({"data": "second"})
""")
FUNCTION = MODEL + "\nstart_loop(inference_function=infer, inputs_schema=SCHEMA)\n"


@pytest.fixture(params=[LOOP, FUNCTION], ids=["loop", "start_loop"])
def path(request, tmp_path):
    path = tmp_path / "entrypoint.py"
    path.write_text(request.param, encoding="utf-8")
    return path


def test_the_command_line(python, path, package, tmp_path):
    image = tmp_path / "image"
    image.write_bytes(b"\xff\x00" * 5)
    words = ["--text", "ü", "--image", image]
    done = run(path, *words, python=python, mode="command_line", **package)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    del seen["pid"]
    assert seen == {"text": "ü", "is_text": True, "image": 10, "is_bytes": True}
    assert b"chatter True\n" in done.stderr


def test_http(python, path, package):
    with serve(path, python=python, **package) as server:
        seen = server.post(text="ü", image=PNG + b"\xff\x00" * 100000).json()
        assert (seen["text"], seen["image"]) == ("ü", len(PNG) + 200000)
        # The engine is the process itself, and the model its child.
        assert os.readlink("/proc/%d/exe" % server.process.pid) == os.path.realpath(BINARY)
        assert seen["pid"] != server.process.pid
        assert server.classic(text="x")["output"]["text"] == "x"
        assert server.post(text="pieces").body.decode() == "aüc"
        assert "cannot be sent" in server.post(text="unsendable").json()["detail"]
        assert "ValueError: no such word" in server.classic(text="bad")["err"]
        assert "sys.exit(7)" in server.post(text="exit").json()["detail"]
        assert server.post(text="again").json()["text"] == "again"
        assert server.stop() == 0


@pytest.mark.parametrize("mode", ["test_inputs_dict_json", "test_inputs_pickled_dict"])
def test_the_pipes(python, path, package, mode):
    given = {"text": "ü"}
    pickled = mode == "test_inputs_pickled_dict"
    stdin = pickle.dumps(given, 2) if pickled else json.dumps(given).encode()
    done = run(path, python=python, mode=mode, stdin=stdin, **package)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["text"] == "ü"
    assert b"chatter" not in done.stdout


@pytest.mark.parametrize(
    ("text", "status", "told"),
    [("bad", 1, "ValueError: no such word"), ("exit", 7, "sys.exit(7)")],
)
def test_an_exception_and_an_exit(python, path, package, text, status, told):
    done = run(path, "--text", text, python=python, mode="command_line", **package)
    assert done.returncode == status
    assert done.stdout == b""
    assert told in done.stderr.decode()


def test_on_exception_continue(python, path, package):
    with serve(path, python=python, AI_INTEGRATION_ON_EXCEPTION="continue", **package) as server:
        first = server.post(text="x").json()["pid"]
        assert server.post(text="bad").status == 500
        assert server.post(text="x").json()["pid"] == first


def test_a_program_with_threads_leaves_and_runs_its_exit_handlers(python, package, tmp_path):
    path, report = tmp_path / "entrypoint.py", tmp_path / "report"
    first = """
        import atexit, os, threading, time
        def report():
            with open(os.environ["REPORT"], "w") as report:
                report.write("handled")
        atexit.register(report)
        threading.Thread(target=time.sleep, args=(600,)).start()
    """
    path.write_text(LOOP.replace("import json", textwrap.dedent(first) + "import json", 1))
    words = ["--text", "x"]
    done = run(path, *words, python=python, mode="command_line", REPORT=report, **package)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["text"] == "x"
    assert report.read_text() == "handled"


def test_a_custom_mode(python, path, package, tmp_path):
    folder = tmp_path / "modes"
    folder.mkdir()
    (folder / "mine.py").write_text(
        textwrap.dedent("""
            from __future__ import print_function

            def mine(inference_function=None, inputs_schema=None):
                print(sorted(inputs_schema), inference_function({"text": u"x"})["success"])

            mine.hint = "Mine"
            MODULE_MODES = {"mine": mine}
        """)
    )
    done = run(path, python=python, mode="mine", AI_INTEGRATION_MODES_PATH=folder, **package)
    assert done.returncode == 0, done.stderr
    assert b"['image', 'text'] True\n" in done.stdout
    listed = run(path, "--text", "x", python=python, AI_INTEGRATION_MODES_PATH=folder, **package)
    assert b" * MODE=mine: Mine\n" in listed.stderr


@pytest.mark.parametrize("how", ["spawn", "forkserver"])
def test_a_pool_in_a_program_without_a_guard(python, package, tmp_path, how):
    if identity(python).startswith("PyPy 2") or "CPython 2" in identity(python):
        pytest.skip("Python 2 only forks, which does not run the program again")
    path = tmp_path / "entrypoint.py"
    pool = "multiprocessing.get_context(inputs['text']).Pool(1).map(abs, [-1])"
    source = LOOP.replace('"pid": os.getpid()', '"pid": ' + pool)
    path.write_text(source.replace("import json", "import multiprocessing, json", 1))
    with serve(path, python=python, **package) as server:
        for _ in range(2):
            seen = server.post(text=how, timeout=20)
            assert seen.status == 500
            assert 'if __name__ == "__main__":' in seen.json()["detail"]
        assert server.output().count("listening on") == 1
    done = run(path, "--text", how, python=python, mode="command_line", **package)
    assert done.returncode == 1
    assert 'if __name__ == "__main__":' in done.stderr.decode()


PATHS = textwrap.dedent("""
    import ai_integration, json, os, stat

    SCHEMA = {"file": {"type": "file", "as": "path", "list": True}}

    while True:
        with ai_integration.get_next_input(inputs_schema=SCHEMA) as inputs:
            told = []
            for path in map(str, inputs["file"]):
                with open(path) as file:
                    told.append([file.read(), stat.S_IMODE(os.stat(path).st_mode)])
            ai_integration.send_result(
                {"content-type": "application/json", "data": told, "success": True}
            )
""")


def test_files_come_as_paths(python, package, tmp_path):
    path = tmp_path / "entrypoint.py"
    path.write_text(PATHS)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    words = ["--file", path, path]
    done = run(path, *words, python=python, mode="command_line", TMPDIR=temporary, **package)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[PATHS, 0o600]] * 2
    assert list(temporary.iterdir()) == []


# Python 2 has no annotations.
RUN = textwrap.dedent("""
    from __future__ import annotations
    import datetime, enum, functools, pathlib
    from typing import Any, Dict, List, Literal, Optional, Sequence, Tuple, Union
    import ai_integration

    class Color(enum.Enum):
        RED = "red"

    class Model:
        def setup(self):
            self.seen = []

        def predict(self, a: int, /, b: List[Color], c: Optional[datetime.datetime] = None, *,
                    d: Literal["x", 3, None] = None, e: Tuple[float, ...] = (1,),
                    f: Union[int, float, None] = None, g: pathlib.Path = None, h: Any = None,
                    i: "Dict[str, int]" = {}, j: Sequence[str] = ("x",), k=0.5):
            self.seen.append(repr((a, b, c and c.isoformat(), d, e, f, g and g.suffix, h, i, j, k)))
            return self.seen

    ai_integration.run(Model)
""")


def test_a_function(python, package, tmp_path):
    if identity(python).startswith("PyPy 2") or "CPython 2" in identity(python):
        pytest.skip("Python 2 has no annotations")
    path = tmp_path / "entrypoint.py"
    path.write_text(RUN)
    given = {"a": "1", "b": "red", "c": "2024-02-29 12:30:01.5Z", "d": "3", "g": PNG}
    with serve(path, python=python, **package) as server:
        answer = server.post(**given)
        assert answer.status == 200, answer
        assert answer.json() == [
            "(1, [<Color.RED: 'red'>], '2024-02-29T12:30:01.500000+00:00', 3, (1.0,), None, '.png',"
            " None, {}, ['x'], 0.5)"
        ]


THREADS = """
import time
from ai_integration.public_interface import start_loop

def infer(inputs):
    time.sleep(0.5)
    return {"content-type": "text/plain", "data": inputs["text"], "success": True}

start_loop(infer, inputs_schema={"text": {"type": "text"}}, concurrency=4)
"""
TASKS = """
import asyncio
import ai_integration

async def answer(request):
    await asyncio.sleep(0.5)
    if request.inputs["text"] == "d":
        raise ValueError("on purpose")
    await request.send(request.inputs["text"])

async def main():
    async for request in ai_integration.requests({"text": {"type": "text"}}, concurrency=4):
        asyncio.create_task(answer(request))

asyncio.run(main())
"""


@pytest.mark.parametrize("source", [THREADS, TASKS], ids=["threads", "tasks"])
def test_many_requests_at_the_same_time(python, package, tmp_path, source):
    is_python_2 = "CPython 2" in identity(python) or "PyPy 2" in identity(python)
    if is_python_2 and source == TASKS:
        pytest.skip("Python 2 has no asyncio")
    path = tmp_path / "entrypoint.py"
    path.write_text(source)
    with serve(path, python=python, **package) as server:
        begin = time.monotonic()
        answers = [in_background(server.post, text=text) for text in "abcd"]
        bodies = [answer().body for answer in answers]
        took = time.monotonic() - begin
        assert bodies[:3] == [b"a", b"b", b"c"]
        assert b"ValueError: on purpose" in bodies[3] if source == TASKS else bodies[3] == b"d"
        assert took > 1.9 if is_python_2 else took < 1.5
        if is_python_2:
            server.wait_for_output("need Python 3.8")


def test_the_interpreters_flags_are_kept(python, package, tmp_path):
    path = tmp_path / "entrypoint.py"
    path.write_text(LOOP.replace('"pid": os.getpid()', '"pid": __debug__'))
    with serve(path, command=[python, "-O"], **package) as server:
        assert server.post(text="x").json()["pid"] is False


def test_the_client_of_servers(python, package, tmp_path):
    if "CPython 2" in identity(python) or "PyPy 2" in identity(python):
        pytest.skip("it needs Python 3.8")
    model = tmp_path / "entrypoint.py"
    model.write_text(LOOP, encoding="utf-8")
    program = tmp_path / "calls.py"
    program.write_text(
        textwrap.dedent("""
        import asyncio, pathlib, sys
        from ai_integration import AsyncClient, Client, ClientError

        picture = pathlib.Path(sys.argv[2])
        with Client(sys.argv[1]) as client:
            print(client.predict(text="x", image=picture)["image"])
            print("".join(client.stream(text="pieces")).encode())
            try:
                client.predict(text="bad")
            except ClientError as error:
                print(error.code)

        async def main():
            async with AsyncClient(sys.argv[1]) as client:
                seen = await asyncio.gather(*[client.predict(text=text) for text in "ab"])
                print([each["text"] for each in seen])
                print([piece async for piece in client.stream(text="pieces")][-1])

        asyncio.run(main())
    """)
    )
    (tmp_path / "picture.png").write_bytes(PNG)
    with serve(model, python=python, **package) as server:
        done = run(program, server.url, tmp_path / "picture.png", python=python, **package)
    expected = "%d\nb'a\\xc3\\xbcc'\nmodel_failed\n['a', 'b']\nc\n" % len(PNG)
    assert done.stdout.decode() == expected, done


def test_the_client_keeps_to_what_all_supported_pythons_share():
    # Modules that are imported on first use need Python 3.8.
    newer = tuple(str(PACKAGE / name.split(".")[0]) for name in ai_integration._ON_USE.values())
    files = [str(file) for file in sorted(PACKAGE.rglob("*.py"))]
    check_with_vermin([file for file in files if not file.startswith(newer)], "2.7-", "3.8-")
    check_with_vermin([file for file in files if file.startswith(newer)], "3.8-")


def check_with_vermin(files, *targets):
    assert len(files) > 5
    vermin = Path(sys.executable).with_name("vermin")
    targets = ["--target=" + target for target in targets]
    done = subprocess.run(
        [vermin, *targets, "--violations", "--no-tips", *files],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Minimum required versions" in done.stdout
