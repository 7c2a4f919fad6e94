"""`ai-integration init`: from an empty folder to an answered request by three commands."""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from support import BINARY, PYTHON, REPOSITORY, environment, serve

TEMPLATES = ["image", "text", "chat", "audio", "rust"]
# Where `make test` has built what the crate needs.
TARGET = REPOSITORY / "target"
CRATES = {
    "ai-integration": "sdk",
    "ai-integration-contract": "contract",
    "ai-integration-engine": "engine",
    "ai-integration-modes": "modes",
}


def init(*words, cwd):
    return subprocess.run(
        [BINARY, "init", *words],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )


def commands(printed):
    return [line.strip() for line in printed.splitlines() if line.startswith("  ")]


@pytest.fixture
def user(tmp_path):
    """Runs a user's command in an empty folder, in an environment with this package."""
    folder = tmp_path / "empty"
    folder.mkdir()
    path = os.pathsep.join([str(Path(PYTHON).parent), os.environ["PATH"]])

    def type_in(line, **variables):
        return subprocess.run(
            line,
            shell=True,
            cwd=folder,
            env=environment(PATH=path, PIP_DISABLE_PIP_VERSION_CHECK=1, **variables),
            capture_output=True,
            text=True,
            timeout=1500,
        )

    type_in.folder = folder
    return type_in


def build(user, command):
    """Builds the model in Rust, with the crate of this checkout, because no index has it yet.

    The build is not optimized, because most crates of that build are compiled already.
    """
    patches = [
        "[patch.crates-io.%s]\npath = %s" % (name, json.dumps(str(REPOSITORY / "crates" / folder)))
        for name, folder in CRATES.items()
    ]
    profiles = (REPOSITORY / "Cargo.toml").read_text().partition("\n[profile")[1:]
    (user.folder / "cargo.toml").write_text("\n".join(patches) + "".join(profiles))
    # With these versions, which are on this machine already, cargo needs no network.
    shutil.copy(REPOSITORY / "Cargo.lock", user.folder / "my-model")
    assert "--release" in command
    command = command.replace("--release", "--offline --config cargo.toml")
    done = user(command, CARGO_TARGET_DIR=TARGET)
    there = user.folder / "my-model" / "target" / "release"
    if done.returncode == 0:
        there.mkdir(parents=True)
        shutil.copy(TARGET / "debug" / "model", there)
    return done


def written(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("template", TEMPLATES)
def test_three_commands_lead_from_an_empty_folder_to_a_response(user, template):
    if template == "rust" and not shutil.which("cargo"):
        pytest.skip("cargo is not installed")
    first = user("ai-integration init my-model --template " + template)
    assert (first.returncode, first.stderr) == (0, "")
    install, ask, serving = commands(first.stdout)
    second = build(user, install) if template == "rust" else user(install)
    assert second.returncode == 0, second.stdout + second.stderr
    third = user(ask, MODE="command_line")
    assert third.returncode == 0, third.stderr
    assert ANSWERS[template](third.stdout, user.folder), third.stdout
    assert serving.startswith("MODE=http ")
    if template == "rust":
        checked = user("ai-integration check my-model/target/release/model")
        assert checked.returncode == 0, checked.stdout
    *python, program = shlex.split(serving)[1:]
    with serve(user.folder / program, command=python and [PYTHON], cwd=user.folder) as server:
        assert server.get("/openapi.json").json()["info"]["title"] == "my-model"


def is_a_picture(printed, folder):
    return not printed and (folder / "edges.png").read_bytes().startswith(b"\x89PNG")


def is_a_sentence(printed, folder):
    return printed.strip() in (folder / "my-model" / "article.txt").read_text()


def has_a_pause(printed, _):
    return json.loads(printed) == {"seconds": 1.2, "loudness": -21.5, "silent": [[0.5, 0.8]]}


ANSWERS = {
    "image": is_a_picture,
    "text": is_a_sentence,
    "chat": lambda printed, _: "a holiday" in printed,
    "audio": has_a_pause,
    "rust": lambda printed, _: json.loads(printed)["sentences"] == 2,
}


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_has_what_the_container_format_asks_for(tmp_path, template):
    assert init("my-model", "--template", template, cwd=tmp_path).returncode == 0
    folder = tmp_path / "my-model"
    files = written(folder)
    assert {".dockerignore", ".gitignore", "Dockerfile", "README.md"} <= set(files)
    lines = (folder / "Dockerfile").read_text().splitlines()
    words = json.loads(next(line for line in lines if line.startswith("ENTRYPOINT"))[11:])
    assert words[-1] in ("entrypoint.py", "/usr/local/bin/model")
    assert "USER 1000" in lines
    readme = (folder / "README.md").read_text()
    shown = re.search(r"```sh\n(.*?)```", readme, re.S).group(1).splitlines()
    assert len(shown) == 3
    for name in files:
        if not name.endswith((".jpg", ".wav")):
            assert "{{" not in (folder / name).read_text()


@pytest.mark.parametrize("template", [name for name in TEMPLATES if name != "rust"])
def test_check_passes_a_template(user, template):
    assert user("ai-integration init my-model --template " + template).returncode == 0
    done = user("ai-integration check my-model/entrypoint.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAILED" not in done.stdout
    assert "DOUBTFUL" not in done.stdout


def test_the_template_is_text_where_none_is_named(tmp_path):
    assert init("my-model", cwd=tmp_path).returncode == 0
    assert (tmp_path / "my-model" / "article.txt").exists()


def test_nothing_is_ever_overwritten(tmp_path):
    folder = tmp_path / "taken"
    folder.mkdir()
    (folder / "entrypoint.py").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("taken", "file", "link"):
        done = init(name, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert "%s already exists" % name in done.stderr
        assert "choose another name" in done.stderr
    assert written(folder) == ["entrypoint.py"]
    assert (folder / "entrypoint.py").read_text() == (tmp_path / "file").read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "mine").mkdir()
    assert init("mine", cwd=tmp_path).returncode == 0
    assert (tmp_path / "mine" / "entrypoint.py").exists()


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "/tmp/x", "Upper", "with space", "-x", "ü", "a_-b"]
)
def test_a_name_that_does_not_fit_is_refused_with_one_that_does(tmp_path, name):
    done = init("--", name, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert re.search(r"such as [a-z][a-z0-9-]*$", done.stderr)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_template_is_refused_with_the_list_of_templates(tmp_path):
    done = init("my-model", "--template", "video", cwd=tmp_path)
    assert done.returncode == 2
    for template in TEMPLATES:
        assert template in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc").is_dir(), reason="needs /proc")
def test_where_nothing_can_be_written_the_error_says_so():
    done = init("my-model", cwd="/proc")
    assert done.returncode == 2
    assert "the folder my-model cannot be created" in done.stderr
