"""The table of hosting platforms: each entry says what one sets, probes, asks and kills.

`test_platforms.py` does all of it to a container of the example image. A host is one entry of
`HOSTS`; the columns of docs/platforms/tested.md are made from it.
"""

import json
from dataclasses import dataclass, field
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

import support

MIB = 1024 * 1024
# A model that is past its deadline is ended soon.
GRACE = {"AI_INTEGRATION_TIMEOUT_GRACE": "100ms"}
# The header of a request with its deadline in seconds.
TIMEOUT = "AI-Integration-Timeout"
# Its length is found in an answer.
FILE = bytes(31415)
HELLO = {"text": "hello"}


class Request(NamedTuple):
    """A request as the platform passes it on."""

    path: str
    body: bytes
    headers: Dict[str, str]


class Case(NamedTuple):
    """A request, the status of its answer, and what the answer contains."""

    name: str
    request: Request
    status: int
    said: bytes
    type: Optional[str] = None


class Probe(NamedTuple):
    """An address that a platform asks, and its statuses; without an address a probe by TCP."""

    path: str
    loading: int = 503
    ready: int = 200
    body: Optional[bytes] = None


@dataclass(frozen=True)
class Host:
    """A hosting platform, and what it expects."""

    name: str
    title: str
    port: int
    # As the platform sets them, before the program is started.
    variables: Dict[str, str]
    probes: Tuple[Probe, ...]
    # Asks the model with inputs by name, in the platform's own words.
    ask: "Callable[[Dict[str, str]], Request]"
    # The kinds of bodies. The case named "stream" is read piece by piece.
    cases: List[Case]
    # The largest body that passes; 0 if the platform alone decides that.
    limit: int
    # The seconds from SIGTERM to SIGKILL.
    grace: int
    # The statuses of a failure, a crash, a deadline and a body that is too large.
    failures: "Tuple[int | str, ...]" = (500, 500, 504, 413)
    command: Tuple[str, ...] = ()
    # The platform's own command in the place of the image's.
    entrypoint: Optional[str] = None
    user: Optional[str] = None
    # Where the platform mounts the model.
    model_dir: Optional[str] = None
    # The limit of a body, set to that of the platform. On one host also a deadline.
    settings: Dict[str, str] = field(default_factory=dict)

    def late(self) -> Request:
        """A request that passes its deadline: the operator's, or else the client's own."""
        request = self.ask({"text": "slow"})
        if "AI_INTEGRATION_TIMEOUT" in self.settings:
            return request
        return request._replace(headers={**request.headers, TIMEOUT: "0.5"})


def with_json(path: str, value: "object", **headers: str) -> Request:
    kind = {"Content-Type": "application/json", **headers}
    return Request(path, json.dumps(value).encode(), kind)


def form(path: str, fields: "Dict[str, str | bytes]") -> Request:
    body, kind = support.multipart(fields)
    return Request(path, body, {"Content-Type": kind})


def raw(path: str, kind: str, body: bytes, **headers: str) -> Request:
    return Request(path, body, {"Content-Type": kind, **headers})


def native_at(path: str) -> "Callable[[Dict[str, str]], Request]":
    return lambda inputs: with_json(path, inputs)


native = native_at("/infer")


def native_cases(path: str = "/infer", way: str = "") -> List[Case]:
    """The kinds of bodies of /infer, and a stream."""
    encoded = raw(path, "application/x-www-form-urlencoded", b"text=hello")
    return [
        Case(way + "JSON", with_json(path, HELLO), 200, b"HELLO", "application/json"),
        Case("multipart", form(path, {"text": "hello", "file": FILE}), 200, b"31415"),
        Case("form", encoded, 200, b"HELLO"),
        Case("stream", with_json(path, {"text": "stream"}), 200, b"once upon a time", "text/plain"),
    ]


def instances_at(path: str) -> "Callable[[Dict[str, str]], Request]":
    return lambda inputs: with_json(path, {"instances": [inputs]})


def oip(text: str) -> Request:
    tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": [text]}
    return with_json("/v2/models/model/infer", {"inputs": [tensor]})


def hugging_face(inputs: Dict[str, str]) -> Request:
    (value,) = inputs.values()
    return with_json("/", {"inputs": value})


LIMIT = {"AI_INTEGRATION_MAX_BODY": "8MiB"}
EVENT = {"ce-specversion": "1.0", "ce-id": "7", "ce-source": "/camera", "ce-type": "text"}

# The addresses that Vertex AI chooses.
ENDPOINT = "/v1/endpoints/1/deployedModels/2"

SAGEMAKER = Host(
    name="sagemaker",
    title="Amazon SageMaker",
    port=8080,
    command=("serve",),
    variables={},
    probes=(Probe("/ping", body=b""),),
    ask=native_at("/invocations"),
    cases=[
        *native_cases("/invocations"),
        Case(
            "JSON Lines",
            raw("/invocations", "application/jsonlines", b'{"text": "one"}\n{"text": "two"}\n'),
            200,
            b"TWO",
            "application/jsonlines",
        ),
        Case("CSV", raw("/invocations", "text/csv", b"one\ntwo\n"), 200, b"TWO"),
        Case("text", raw("/invocations", "text/plain", b"hello"), 200, b"HELLO"),
    ],
    settings={"AI_INTEGRATION_MAX_BODY": "6MB"},
    limit=6_000_000,
    grace=30,
    model_dir="/opt/ml/model",
)

VERTEX = Host(
    name="vertex",
    title="Vertex AI",
    port=8080,
    variables={
        "AIP_MODE": "PREDICTION",
        "AIP_MODE_VERSION": "1.0.0",
        "AIP_FRAMEWORK": "CUSTOM_CONTAINER",
        "AIP_HTTP_PORT": "8080",
        "AIP_HEALTH_ROUTE": ENDPOINT,
        "AIP_PREDICT_ROUTE": ENDPOINT + ":predict",
        "AIP_ENDPOINT_ID": "1",
        "AIP_DEPLOYED_MODEL_ID": "2",
        "AIP_STORAGE_URI": "",
    },
    probes=(Probe(""), Probe(ENDPOINT)),
    ask=instances_at(ENDPOINT + ":predict"),
    cases=[
        Case(
            "predict",
            with_json(ENDPOINT + ":predict", {"instances": [{"text": "a"}, {"text": "b"}]}),
            200,
            b'"B"',
            "application/json",
        ),
        *native_cases(ENDPOINT + ":predict", "rawPredict, "),
        Case("/infer by /invoke", native(HELLO), 200, b"HELLO"),
    ],
    settings={"AI_INTEGRATION_MAX_BODY": "1500000"},
    limit=1_500_000,
    grace=30,
)

AZURE_ML = Host(
    name="azure_ml",
    title="Azure ML",
    port=5001,
    variables={"AZUREML_MODEL_DIR": "/var/azureml-app/azureml-models/model/1"},
    probes=(Probe("/healthz", 200, 200), Probe("/", body=b"Healthy")),
    ask=native_at("/score"),
    cases=native_cases("/score"),
    settings={**LIMIT, "AI_INTEGRATION_TIMEOUT": "6"},
    limit=8 * MIB,
    grace=30,
    model_dir="/var/azureml-app/azureml-models/model/1",
)

HUGGING_FACE = Host(
    name="huggingface",
    title="Hugging Face Inference Endpoints",
    port=8080,
    variables={"AI_INTEGRATION_PLATFORM": "huggingface"},
    probes=(Probe("/health"),),
    ask=hugging_face,
    cases=[
        Case("toolkit", hugging_face(HELLO), 200, b"HELLO", "application/json"),
        *native_cases(),
    ],
    settings=LIMIT,
    limit=8 * MIB,
    grace=30,
    model_dir="/repository",
)

SPACES = Host(
    name="spaces",
    title="Hugging Face Spaces",
    port=7860,
    variables={"PORT": "7860", "SPACE_ID": "owner/model"},
    probes=(Probe(""),),
    ask=native,
    cases=native_cases(),
    settings=LIMIT,
    limit=8 * MIB,
    grace=30,
    user="1000",
)

KNATIVE_VARIABLES = {
    "PORT": "8080",
    "K_SERVICE": "model",
    "K_REVISION": "model-00001",
    "K_CONFIGURATION": "model",
}
KSERVE = Host(
    name="kserve",
    title="KServe",
    port=8080,
    variables={
        **KNATIVE_VARIABLES,
        "STORAGE_URI": "pvc://models/model",
        # The name of the InferenceService.
        "AI_INTEGRATION_MODEL_ID": "model",
    },
    probes=(
        Probe("/v2/health/live", 200, 200),
        Probe("/v2/health/ready"),
        Probe("/v1/models/model"),
    ),
    ask=instances_at("/v1/models/model:predict"),
    cases=[
        Case("V1", instances_at("/v1/models/model:predict")(HELLO), 200, b"HELLO"),
        Case("V2", oip("hello"), 200, b"HELLO", "application/json"),
        *native_cases()[:1],
    ],
    settings=LIMIT,
    limit=8 * MIB,
    grace=30,
    user="65532:65532",
    model_dir="/mnt/models",
)

KNATIVE = Host(
    name="knative",
    title="Knative, Cloud Run",
    port=8080,
    variables=KNATIVE_VARIABLES,
    # The first is Knative's own probe, the others are those that a Service can define.
    probes=(Probe(""), Probe("/healthz", 200, 200), Probe("/readyz")),
    ask=native,
    cases=[
        *native_cases(),
        Case(
            "CloudEvent",
            raw("/v1/models/model:predict", "text/plain", b"hello", **EVENT),
            200,
            b"HELLO",
        ),
    ],
    settings={"AI_INTEGRATION_MAX_BODY": "32MiB"},
    limit=32 * MIB,
    grace=10,
)

RUNPOD_LOAD_BALANCER = Host(
    name="runpod_load_balancer",
    title="RunPod load balancer",
    port=80,
    variables={"PORT": "80", "PORT_HEALTH": "80", "RUNPOD_POD_ID": "pod1"},
    probes=(Probe("/ping", loading=204, body=b""),),
    ask=native,
    cases=native_cases(),
    settings={"AI_INTEGRATION_MAX_BODY": "30MB"},
    limit=30_000_000,
    grace=30,
)

BASETEN = Host(
    name="baseten",
    title="Baseten",
    port=5000,
    # Baseten's own server has the port in this variable.
    variables={"PORT": "8080"},
    entrypoint="ai-integration",
    command=("run", "--mode", "http", "--host", "0.0.0.0", "--port", "5000", "entrypoint.py"),
    probes=(Probe("/healthz", 200, 200), Probe("/readyz")),
    ask=native,
    cases=native_cases(),
    settings=LIMIT,
    limit=8 * MIB,
    grace=30,
)

LAMBDA = Host(
    name="lambda",
    title="AWS Lambda",
    port=0,
    # The server that plays Lambda has the address.
    variables={
        "AWS_LAMBDA_RUNTIME_API": "",
        "AWS_LAMBDA_FUNCTION_NAME": "model",
        "LAMBDA_TASK_ROOT": "/model",
    },
    probes=(),
    ask=native,
    cases=native_cases(),
    # Of what a function gets at once, 6 MB, and base64 and the event around it.
    settings={"AI_INTEGRATION_MAX_BODY": "4MB"},
    limit=4_000_000,
    # Lambda ends a process between two events; it sends a signal only if there are extensions.
    grace=10,
    user="993:990",
)

RUNPOD = Host(
    name="runpod",
    title="RunPod queue (experimental)",
    port=0,
    # The values are those of the server that plays RunPod.
    variables={"RUNPOD_WEBHOOK_GET_JOB": "", "RUNPOD_WEBHOOK_POST_OUTPUT": "", "RUNPOD_POD_ID": ""},
    probes=(),
    ask=native,
    cases=[
        Case("job", native(HELLO), 200, b"HELLO"),
        Case("stream", native({"text": "stream"}), 200, b"once upon a time"),
    ],
    limit=0,
    grace=30,
    failures=("model_failed", "model_crashed", "timeout", "by RunPod"),
)

HOSTS = [
    SAGEMAKER,
    VERTEX,
    AZURE_ML,
    HUGGING_FACE,
    SPACES,
    KSERVE,
    KNATIVE,
    LAMBDA,
    RUNPOD,
    RUNPOD_LOAD_BALANCER,
    BASETEN,
]
