"""The deployment files of the pages of `docs/platforms`, held against the vendors' own schemas.

The first line of each block names its file. The pages are baseten.md, beam.md, cloud-run.md,
fal.md, huggingface.md, kserve.md, modal.md and runpod.md.
"""

import json
import re
import shlex
import subprocess

import documented
import pytest
import vendors
import yaml
from support import BINARY, REPOSITORY

PAGES = REPOSITORY / "docs" / "platforms"
NAMES = ["baseten", "beam", "cloud-run", "fal", "huggingface", "kserve", "modal", "runpod"]
TEST = "tests/platforms/test_deployment_files.py"
# Commands of these tools are on the pages.
TOOLS = {"beam", "curl", "fal", "gcloud", "git", "kubectl", "modal", "pip", "python3", "truss"}


def files(page):
    """The deployment files of a page, by their names."""
    found = {}
    for block in documented.blocks(PAGES / (page + ".md")):
        name = re.match(r"# (\S+\.\w+|Dockerfile)\n", block.text)
        if block.value == TEST and name:
            found[name[1]] = block.text
    return found


def commands(page):
    """The commands of a page, each as a list of words."""
    blocks = documented.blocks(PAGES / (page + ".md"))
    blocks = [one for one in blocks if one.value == TEST and one.language == "sh"]
    return [
        shlex.split(command)
        for block in blocks
        if not re.match(r"# \S+\.env\n", block.text)
        for command in documented.commands(block.text)
    ]


def documents(page, name):
    return [one for one in yaml.safe_load_all(files(page)[name]) if one is not None]


def variables(container):
    return {one["name"]: one["value"] for one in container.get("env", [])}


@pytest.mark.parametrize("page", NAMES)
def test_the_commands_name_the_files_of_the_page(page):
    given, found = files(page), commands(page)
    assert found
    named = {word.partition("::")[0].partition(":")[0] for words in found for word in words}
    for words in found:
        assert words[0] in TOOLS, words
    # Truss finds its file by its name, and RunPod's variables are typed into its console.
    for name in set(given) - {"config.yaml", "runpod.env"}:
        assert name in named, "no command of %s.md names %s" % (page, name)
    for word in named:
        if re.fullmatch(r"[\w-]+\.(py|yaml|env)", word):
            assert word in given, "%s.md has no %s" % (page, word)


@pytest.mark.parametrize("page", NAMES)
def test_the_settings_of_the_files_exist(page):
    known = set(
        re.findall(r"^\| `([A-Z_]+)`", (REPOSITORY / "docs" / "settings.md").read_text(), re.M)
    )
    for name, text in files(page).items():
        for setting in re.findall(r"\bAI_INTEGRATION_\w+", text):
            assert setting in known, (name, setting)


def test_the_containers_of_kubernetes_are_probed_at_addresses_that_exist():
    (runtime,) = documents("kserve", "runtime.yaml")
    deployment, service = documents("kserve", "deployment.yaml")
    (knative,) = documents("cloud-run", "service.yaml")
    pod = deployment["spec"]["template"]["spec"]
    specs = [(runtime["spec"], 8080), (pod, 5000), (knative["spec"]["template"]["spec"], 8080)]
    for spec, port in specs:
        (container,) = spec["containers"]
        (opened,) = container["ports"]
        assert opened["containerPort"] == port
        assert variables(container).get("PORT", "5000" if spec is pod else "8080") == str(port)
        probes = {name: probe for name, probe in container.items() if name.endswith("Probe")}
        assert {"livenessProbe"} < set(probes)
        for name, probe in probes.items():
            path = "/healthz" if name == "livenessProbe" else "/readyz"
            assert probe["httpGet"]["path"] == path
            assert probe["httpGet"]["port"] in (port, opened.get("name"))
    for spec in (runtime["spec"], pod):
        secure = spec["containers"][0]["securityContext"]
        assert secure["runAsNonRoot"]
        assert secure["readOnlyRootFilesystem"]
    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"]


def test_the_service_of_kserve_uses_the_runtime():
    (runtime,) = documents("kserve", "runtime.yaml")
    (service,) = documents("kserve", "service.yaml")
    model = service["spec"]["predictor"]["model"]
    assert model["runtime"] == runtime["metadata"]["name"]
    (known,) = runtime["spec"]["supportedModelFormats"]
    assert model["modelFormat"] == {name: known[name] for name in ("name", "version")}
    assert model["protocolVersion"] in runtime["spec"]["protocolVersions"]


def test_a_space_is_of_docker_and_on_the_port_of_its_profile():
    (space,) = documents("huggingface", "README.md")
    assert space["sdk"] == "docker"
    assert space["app_port"] == 7860
    platforms = subprocess.run([BINARY, "platforms"], stdout=subprocess.PIPE, check=True).stdout
    assert re.search(rb"^spaces: (?:.+\n)+ +port +7860\b", platforms, re.M)


@pytest.mark.clients
def test_kubernetes_knows_every_member_of_its_files():
    """The schemas of Kubernetes have no CRDs, so of Knative's service they check the pod inside."""
    given = [*documents("kserve", "deployment.yaml"), *documents("cloud-run", "service.yaml")]
    checked = vendors.run("kubernetes", "check_kubernetes.py", given=json.dumps(given))
    assert checked.split() == ["Deployment", "Service", "Service/pod"]


@pytest.mark.clients
def test_kserve_knows_every_member_of_its_files():
    """The package of KServe has a class for each of its CRDs."""
    given = [*documents("kserve", "runtime.yaml"), *documents("kserve", "service.yaml")]
    checked = vendors.run("kserve", "check_kserve.py", given=json.dumps(given))
    assert checked.split() == ["ServingRuntime", "InferenceService"]


@pytest.mark.clients
def test_truss_takes_its_file():
    config = json.loads(
        vendors.run("truss", "check_truss.py", given=files("baseten")["config.yaml"])
    )
    server = config["docker_server"]
    words = server["start_command"].split()
    assert str(server["server_port"]) == words[words.index("--port") + 1] != "8080"
    assert config["environment_variables"] == {}
    assert (server["predict_endpoint"], server["liveness_endpoint"]) == ("/infer", "/healthz")
    assert config["base_image"]["image"] == "registry.example.org/model:1"


@pytest.mark.clients
@pytest.mark.parametrize(
    ("page", "packages", "program", "port"),
    [
        ("beam", "sdks", "beam_app", 5000),
        ("fal", "sdks", "fal_app", 8000),
        ("huggingface", "language", "create_endpoint", 8080),
        ("modal", "sdks", "modal_app", 8000),
    ],
)
def test_the_sdks_take_their_programs(page, packages, program, port, tmp_path):
    (tmp_path / (program + ".py")).write_text(files(page)[program + ".py"])
    # The SDK of Beam wants an account; it finds nobody at this address.
    nobody = {"BEAM_TOKEN": "none", "GATEWAY_HOST": "127.0.0.1", "GATEWAY_PORT": 9}
    said = vendors.run(packages, "check_program.py", tmp_path, program, **nobody)
    assert json.loads(said) == port


def test_the_modes_of_the_files_exist():
    modes = subprocess.run([BINARY, "modes"], stdout=subprocess.PIPE, check=True, text=True).stdout
    for page in NAMES:
        for text in files(page).values():
            for mode in re.findall(r"\bMODE\W+(?:value: )?(\w+)", text):
                assert re.search(r"\b%s\b" % mode, modes), (page, mode)
