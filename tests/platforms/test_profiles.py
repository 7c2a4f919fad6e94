"""The profiles of hosting platforms: what shows a platform, and what its profile changes."""

import json
import re
import textwrap
from functools import partial

import pytest
from support import BINARY, PYTHON, REPOSITORY, Server, eventually, free_port, run, serve

ECHO = """
    import os
    import ai_integration
    while True:
        with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
            seen = {name: os.environ.get("AI_INTEGRATION_" + name)
                    for name in ("PLATFORM", "MODEL_DIR")}
            ai_integration.send_result(
                {"content-type": "application/json", "data": seen, "success": True})
"""
# Loads until the file of the variable GO is there, or fails.
SLOW = (
    """
    import os, sys, time
    import ai_integration
    while not os.path.exists(os.environ["GO"]):
        time.sleep(0.01)
    if open(os.environ["GO"]).read() == "fail":
        sys.exit("this model cannot be loaded")
"""
    + ECHO
)
VERTEX = {"AIP_MODE": "PREDICTION", "AIP_HEALTH_ROUTE": "/h/1", "AIP_PREDICT_ROUTE": "/p:predict"}
ON_LAMBDA = {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001"}
IN_RUNPOD = {"RUNPOD_POD_ID": "pod1", "PORT_HEALTH": 0}

# A name, the variables, the platform that they show, and the reason in the log.
RECOGNIZED = [
    ("batch", {"SAGEMAKER_BATCH": "true"}, "sagemaker", "SAGEMAKER_BATCH=true"),
    ("vertex", {"AIP_HTTP_PORT": "free", **VERTEX}, "vertex", "AIP_MODE=PREDICTION"),
    ("azure", {"AZUREML_ENTRY_SCRIPT": "score.py"}, "azure_ml", "AZUREML_ENTRY_SCRIPT"),
    ("space", {"SPACE_ID": "me/space"}, "spaces", "SPACE_ID"),
    ("knative", {"K_SERVICE": "model"}, "knative", "K_SERVICE"),
    (
        "adapter",
        {**ON_LAMBDA, "AWS_LWA_PORT": "free"},
        "lambda_web_adapter",
        "AWS_LAMBDA_RUNTIME_API and AWS_LWA_PORT",
    ),
    ("balancer", IN_RUNPOD, "runpod_load_balancer", "PORT_HEALTH and RUNPOD_POD_ID"),
    (
        "chosen",
        {"AI_INTEGRATION_PLATFORM": "huggingface", "K_SERVICE": "model"},
        "huggingface",
        "AI_INTEGRATION_PLATFORM=huggingface",
    ),
]

# A name, the variables, and parts of the error.
REFUSED = [
    (
        "two platforms",
        {"SAGEMAKER_BATCH": "true", "K_SERVICE": "model"},
        ["Amazon SageMaker by SAGEMAKER_BATCH=true", "Knative by K_SERVICE", "PLATFORM=none"],
    ),
    (
        "queue and balancer",
        {"RUNPOD_WEBHOOK_GET_JOB": "http://127.0.0.1:1/", **IN_RUNPOD},
        ["RunPod queue", "RunPod load balancer", "AI_INTEGRATION_PLATFORM=runpod_load_balancer"],
    ),
    (
        "half of Vertex",
        {**VERTEX, "AIP_HEALTH_ROUTE": None},
        ["AIP_HEALTH_ROUTE", "AIP_MODE=PREDICTION", "AI_INTEGRATION_PLATFORM=none"],
    ),
    ("an address that is none", {**VERTEX, "AIP_HEALTH_ROUTE": "h"}, ["AIP_HEALTH_ROUTE", "'h'"]),
    (
        "a port that is none",
        {**ON_LAMBDA, "AWS_LWA_PORT": "http"},
        ["AWS_LWA_PORT", "from 0 to 65535"],
    ),
    (
        "no such platform",
        {"AI_INTEGRATION_PLATFORM": "sagemeker"},
        ["AI_INTEGRATION_PLATFORM", "did you mean sagemaker?"],
    ),
    (
        "no folder of the platform",
        {"AZUREML_MODEL_DIR": "/there/is/none"},
        ["AZUREML_MODEL_DIR", "/there/is/none", "the folder of the model cannot be read"],
    ),
    (
        "no folder of the user",
        {"AI_INTEGRATION_MODEL_DIR": "/there/is/none", "MODE": "command_line"},
        ["AI_INTEGRATION_MODEL_DIR", "the folder of the model cannot be read"],
    ),
]

STARTS = {"python": [PYTHON], "command": [BINARY, "run"]}
# The start by Python has the same errors, so that two show them.
BOTH_REFUSE = ["two platforms", "no folder of the user"]
REFUSALS = [
    (start, *case)
    for case in REFUSED
    for start in STARTS
    if start == "command" or case[0] in BOTH_REFUSE
]


def filled(variables):
    """Returns the variables with a free port for each that needs one."""
    free = {name: free_port() for name, value in variables.items() if value == "free"}
    return {"MODE": None, **variables, **free}


def is_in_state(server, state):
    return server.get("/readyz").json()["status"] == state


def names(cases):
    return [case[0] for case in cases]


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize(
    ("_name", "variables", "name", "reason"), RECOGNIZED, ids=names(RECOGNIZED)
)
def test_a_platform_is_recognized_and_serves(program, start, _name, variables, name, reason):
    with serve(program(ECHO), command=STARTS[start], **filled(variables)) as server:
        assert server.post(text="a").json() == {"PLATFORM": name, "MODEL_DIR": None}
        line = server.wait_for_output(r"platform: .*").group()
        assert "because of %s" % reason in line
        assert line.endswith("; AI_INTEGRATION_PLATFORM=none switches this off")
        assert server.get("/ping").status == 200


@pytest.mark.parametrize(
    ("start", "_name", "variables", "parts"),
    REFUSALS,
    ids=["%s-%s" % (name, start) for start, name, *_ in REFUSALS],
)
def test_what_cannot_be_used_is_refused(program, start, _name, variables, parts):
    done = run(program(ECHO), command=STARTS[start], **{"PORT": 0, **variables})
    assert done.returncode == 2, done.stderr
    lines = done.stderr.decode().replace('"', "'").splitlines()
    # The log may say which platform it is.
    said = "\n".join(line for line in lines if " INFO platform: " not in line)
    assert said.startswith("error: ")
    assert "\n" not in said
    for part in parts:
        assert part in said


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"PORT": 9},
        {"K_SERVICE": ""},
        {"STORAGE_URI": "s3://bucket/model"},
        {"AIP_MODE": "TRAINING"},
        {"RUNPOD_POD_ID": "pod1"},
        {"AWS_LWA_PORT": 9},
        {"AI_INTEGRATION_PLATFORM": "none", "K_SERVICE": "model"},
        {"MODE": "command_line", "K_SERVICE": "model"},
        {"MODE": "command_line", "AI_INTEGRATION_PLATFORM": "sagemaker"},
    ],
    ids=lambda variables: " ".join(variables) or "none",
)
def test_without_a_platform_or_with_a_mode_the_program_is_not_served(program, start, variables):
    done = run(program(ECHO), "--text", "a", command=STARTS[start], **variables)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["MODEL_DIR"] is None


def test_serve_is_a_sign_of_sagemaker(program):
    for variables, expected in [
        ({}, "sagemaker"),
        ({"MODE": "http"}, "sagemaker"),
        ({"K_SERVICE": "model"}, "knative"),
    ]:
        variables = {"MODE": None, **variables}
        with serve(program(ECHO), "serve", **variables) as server:
            assert server.post(text="a").json()["PLATFORM"] == expected
    with serve(program(ECHO), "serve", MODE=None, AI_INTEGRATION_PLATFORM="none") as server:
        assert "platform:" not in server.output()
        assert server.get("/ping").status == 200


def test_a_port_of_the_platforms_own_wins_against_the_variable_port(program):
    port = free_port()
    variables = {**VERTEX, "AIP_HTTP_PORT": port, "PORT": "1", "MODE": None}
    with serve(program(ECHO), **variables) as server:
        assert server.url.endswith(":%d" % port)
        assert "AIP_HTTP_PORT=%d overrides PORT" % port in server.output()
    flags = [BINARY, "run", "--port", "0"]
    with serve(program(ECHO), command=flags, **variables) as server:
        assert not server.url.endswith(":%d" % port)


def test_a_port_for_something_else_is_no_obstacle(program):
    variables = {**VERTEX, "AIP_HTTP_PORT": free_port(), "PORT": "tcp://10.0.0.1:80", "MODE": None}
    with serve(program(ECHO), **variables) as server:
        assert server.get("/h/1").status == 200


def test_the_health_port_is_a_further_port(program):
    port = free_port()
    with serve(program(ECHO), MODE=None, RUNPOD_POD_ID="pod1", PORT_HEALTH=port) as server:
        assert not server.url.endswith(":%d" % port)
        other = Server(None, [])
        other.url = "http://127.0.0.1:%d" % port
        assert other.get("/ping").status == 200


# A name, the variables, the statuses while the model loads, when it is ready and when it has
# failed, and the addresses with their bodies when the model is ready.
HEALTH = [
    ("none", {"MODE": "http"}, (503, 200, 503), {"/ping": b"", "/health": None}),
    ("vertex", {**VERTEX, "AIP_HTTP_PORT": "free"}, (503, 200, 503), {"/h/1": b"{}"}),
    ("azure", {"AI_INTEGRATION_PLATFORM": "azure_ml"}, (503, 200, 503), {"/": b"Healthy"}),
    ("runpod", IN_RUNPOD, (204, 200, 500), {"/ping": b"", "/health": None}),
]


@pytest.mark.parametrize(("_name", "variables", "statuses", "bodies"), HEALTH, ids=names(HEALTH))
def test_health_is_told_as_the_platform_expects(
    program, tmp_path, _name, variables, statuses, bodies
):
    variables = filled(variables)
    # Probes need no token. With the setting for reloads, the server waits for a change of a program
    # that cannot be started.
    more = {
        "AI_INTEGRATION_TOKEN": "0123456789abcdef",
        "AI_INTEGRATION_RELOAD": 1,
        "AI_INTEGRATION_START_ATTEMPTS": 1,
    }
    for word, status in [("ready", statuses[1]), ("fail", statuses[2])]:
        go = tmp_path / word
        with serve(program(SLOW), ready=False, GO=go, **variables, **more) as server:
            for address, body in bodies.items():
                answer = server.get(address)
                assert answer.status == statuses[0]
                assert body is None or answer.body == b""
            go.write_text(word)
            state = "ready" if word == "ready" else "failed"
            eventually(partial(is_in_state, server, state), "the model is " + state)
            for address, body in bodies.items():
                answer = server.get(address)
                assert answer.status == status
                assert word == "fail" or body is None or answer.body == body
            assert server.post(text="a").status == 401
            assert server.request("/", b"{}", {"content-type": "application/json"}).status == 401


def test_the_page_is_there_without_a_platform(program):
    with serve(program(ECHO)) as server:
        assert server.get("/").type == "text/html"
    with serve(program(ECHO), MODE=None, AI_INTEGRATION_PLATFORM="azure_ml") as server:
        assert server.get("/").body == b"Healthy"
        # The other methods of the address are those of the dialect that has it.
        assert server.classic(text="a")["output"]["PLATFORM"] == "azure_ml"
        assert server.request("/", method="DELETE").status == 405


@pytest.mark.parametrize("start", STARTS)
def test_the_program_gets_the_folder_of_the_model(program, tmp_path, start):
    of_platform, of_user = tmp_path / "platform", tmp_path / "user"
    for folder in (of_platform, of_user):
        folder.mkdir()
    variables = {"MODE": None, "AZUREML_MODEL_DIR": of_platform}
    with serve(program(ECHO), command=STARTS[start], **variables) as server:
        assert server.post(text="a").json()["MODEL_DIR"] == str(of_platform)
    variables["AI_INTEGRATION_MODEL_DIR"] = of_user
    with serve(program(ECHO), command=STARTS[start], **variables) as server:
        assert server.post(text="a").json()["MODEL_DIR"] == str(of_user)
    # A mode that is not the platform's leaves its folder.
    done = run(
        program(ECHO),
        "--text",
        "a",
        command=[BINARY, "run"],
        mode="command_line",
        AZUREML_MODEL_DIR=of_platform,
    )
    assert json.loads(done.stdout)["MODEL_DIR"] == str(of_platform)


def test_a_limit_of_the_platform_yields_to_the_users(program):
    variables = {"MODE": None, "AI_INTEGRATION_PLATFORM": "sagemaker"}
    with serve(program(ECHO), AI_INTEGRATION_MAX_BODY=100, **variables) as server:
        assert server.post(text="a" * 200).status == 413


def test_a_program_that_only_uses_the_client_stays_itself(program):
    source = "import ai_integration; from ai_integration import Client; print('itself')"
    done = run(program(source), K_SERVICE="model", PORT=0)
    assert (done.returncode, done.stdout) == (0, b"itself\n"), done.stderr


def test_a_program_whose_loop_is_elsewhere_is_served(program):
    program(ECHO, "loop.py")
    path = program("import loop")
    with serve(path, MODE=None, K_SERVICE="model") as server:
        assert server.post(text="a").status == 200


def test_a_notebook_is_not_served():
    notebook = 'import sys, types; sys.modules["ipykernel"] = types.ModuleType("ipykernel")'
    source = notebook + textwrap.dedent(ECHO.replace('"text": {"type": "text"}', ""))
    done = run("-", stdin=source.encode(), K_SERVICE="model", PORT=0)
    assert done.returncode == 0, done.stderr
    assert b"command_line" in done.stderr
    assert json.loads(done.stdout)["MODEL_DIR"] is None


def test_the_platforms_are_listed():
    done = run("platforms", command=[BINARY])
    listed = done.stdout.decode()
    for line in [
        "sagemaker: Amazon SageMaker",
        "or the argument serve",
        "runpod: RunPod queue (experimental)",
        "GET /ping, /health: 200 ready, 204 loading, 500 failed",
        "model     /mnt/models",
        "requests  POST $AIP_PREDICT_ROUTE",
    ]:
        assert line in listed


def test_the_log_names_the_platform_as_the_page_shows(program):
    page = REPOSITORY / "docs" / "platforms" / "README.md"
    with serve(program(ECHO), command=[BINARY, "serve"], MODE=None) as server:
        line = server.wait_for_output(r"platform: .*").group()
        assert "\n%s\n" % re.sub(r" \(PORT=\d+ instead of 8080\)", "", line) in page.read_text()


def test_the_table_of_the_documentation_has_each_platform_with_its_port_and_folder():
    listed = run("platforms", command=[BINARY]).stdout.decode().split("\n\n")
    page = (REPOSITORY / "docs" / "platforms" / "README.md").read_text()
    assert len(listed) > 10
    for profile in listed:
        name = profile.partition(":")[0]
        (row,) = (line for line in page.splitlines() if "| `%s` |" % name in line)
        _, _, _, _, port, folder, *_ = row.split("|")
        expected = re.findall(r"\b\d+\b", "".join(re.findall("^  port .*", profile, re.M)))
        assert re.findall(r"\b\d+\b", port) == expected, row
        expected = re.findall(r"^  model +\$?(.*)", profile, re.M)
        assert re.findall("`(.*)`", folder) == expected, row
