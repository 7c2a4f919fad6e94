"""The servers that are measured: one entry of `SERVERS` and one folder of `peers` for each.

The folder has the model program and a `requirements.txt`, whose first package gives the version
that is reported. An entry says how the program is started and how it is spoken to.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import works

HERE = Path(__file__).parent


class Request(NamedTuple):
    path: str
    type: str
    body: bytes
    headers: dict[str, str] = {}


class Start(NamedTuple):
    """The values that differ between two starts of a server. `bin` is its environment's folder."""

    model: str
    workers: int
    port: int
    spare_port: int
    bin: Path
    scratch: Path


@dataclass(frozen=True)
class Server:
    """`command` and `variables` are filled in from a `Start`, as by `str.format`.

    `lacks` has the works that are not measured on this server, each with the reason.
    """

    name: str
    title: str
    command: tuple[str, ...] = ("{bin}/python", "model.py")
    variables: Callable[[Start], dict] = lambda start: {}
    text: Callable[[works.Work], Request] | None = None
    image: Callable[[works.Work], Request] | None = None
    base64: Callable[[works.Work], Request] | None = None
    chat: Callable[[works.Work], Request] | None = None
    answer: Callable[[bytes], object] = json.loads
    # The Open Inference Protocol: its requests over REST, and the port of its gRPC.
    tensors: Callable[[works.Work], Request] | None = None
    grpc_port: Callable[[Start], int] = lambda start: start.port
    lacks: dict[str, str] = field(default_factory=dict)
    how: str = ""
    # The folder of files that the server leaves behind, if no setting can move them.
    litter: Path | None = None
    floor: bool = False

    @property
    def folder(self):
        return HERE / "floor" if self.floor else HERE / "peers" / self.name

    def request(self, work):
        if work.tensors:
            return self.tensors(work)
        if work.is_base64:
            return self.base64(work)
        if work.is_chat:
            return self.chat(work)
        return (self.image if work.sends_image else self.text)(work)

    def result(self, work, body):
        """Returns the result in the body of a response to the work's request."""
        return tensor_result(body) if work.tensors else self.answer(body)

    def lack(self, work):
        """Returns the reason why a work is not measured on this server, or `None`."""
        if work.tensors and not self.tensors:
            return "it does not speak the Open Inference Protocol"
        if work.is_base64 and not self.base64:
            return "its program takes the image as bytes only"
        if work.is_chat and not self.chat:
            return "its program here does not speak OpenAI's API"
        return self.lacks.get(work.name)


# --- forms of requests ---

# The name of the model in the Open Inference Protocol.
MODEL = "model"
INFER = f"/v2/models/{MODEL}/infer"
# The bytes of the length before an element in binary data.
LENGTH = 4


def as_json(path, **body):
    return Request(path, "application/json", json.dumps(body).encode())


def raw(path, work):
    return Request(path, "image/png", work.image)


def form(path, name, value, filename=None):
    boundary = "a-line-that-is-not-in-the-image"
    file = f'; filename="{filename}"\r\nContent-Type: image/png' if filename else ""
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    body = head.encode() + value + f"\r\n--{boundary}--\r\n".encode()
    return Request(path, f"multipart/form-data; boundary={boundary}", body)


def image_form(path, work):
    return form(path, "image", work.image, "noise.png")


def base64_image(work):
    return base64.b64encode(work.image).decode()


def cog_image(work):
    image = "data:image/png;base64," + base64_image(work)
    return as_json("/predictions", input={"image": image})


def chat(work):
    """Returns a request of OpenAI's chat completions, for a stream."""
    message = {"role": "user", "content": work.text}
    return as_json("/v1/chat/completions", model=MODEL, messages=[message], stream=True)


def tensor(value):
    """Returns a request of the Open Inference Protocol in JSON."""
    tensor = {"name": "value", "shape": [1, 1], "datatype": "BYTES", "data": [value]}
    return as_json(INFER, inputs=[tensor])


def binary_tensor(name, value):
    """Returns a request with binary data, which asks for a binary response."""
    data = len(value).to_bytes(LENGTH, "little") + value
    size = {"binary_data_size": len(data)}
    tensor = {"name": name, "shape": [1], "datatype": "BYTES", "parameters": size}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    length = {"Inference-Header-Content-Length": str(len(head))}
    return Request(INFER, "application/octet-stream", head + data, length)


def tensor_result(body):
    """Returns the JSON that is the only element of the only tensor, in JSON or in binary data."""
    text = body.decode(errors="surrogateescape")
    head, end = json.JSONDecoder().raw_decode(text)
    data = text[end:].encode(errors="surrogateescape")
    (output,) = head["outputs"]
    if not data:
        (text,) = output["data"]
        return json.loads(text)
    if len(data) != output["parameters"]["binary_data_size"]:
        raise ValueError("binary data of another size")
    if len(data) - LENGTH != int.from_bytes(data[:LENGTH], "little"):
        raise ValueError("an element of another size")
    return json.loads(data[LENGTH:])


# --- the servers ---

ONE_WORKER = {"compute-2": "it has no setting for workers"}
NO_LOOP = {"loop-8": "it has no `start_loop`"}
NO_WAIT = {"wait-64": "its workers do one request, or batch, at a time"}
NO_STREAMS = dict.fromkeys(("stream-64", "pace-64"), "its program here has no streams")

SERVERS = [
    Server(
        "ai_integration",
        "ai_integration",
        variables=lambda start: {
            "MODE": "http",
            "AI_INTEGRATION_WORKERS": str(start.workers),
            **({"AI_INTEGRATION_CONCURRENCY": "8"} if start.model == "loop" else {}),
        },
        text=lambda work: as_json("/infer", text=work.text),
        image=lambda work: image_form("/infer", work),
        base64=lambda work: as_json("/infer", image=base64_image(work)),
        chat=chat,
        tensors=lambda work: (
            binary_tensor("image", work.image)
            if work.sends_image
            else binary_tensor("text", work.text.encode())
        ),
        how="default settings; JSON, the image by multipart; tensors over REST as binary data; "
        "batches by `get_next_inputs`; async functions by `run` with a concurrency of 64; the loop "
        "with AI_INTEGRATION_CONCURRENCY=8",
    ),
    Server(
        "mosec",
        "mosec",
        command=("{bin}/python", "model.py", "--address", "127.0.0.1", "--port", "{port}"),
        variables=lambda start: {"MOSEC_LOG_LEVEL": "warning"},
        text=lambda work: as_json("/inference", text=work.text),
        image=lambda work: raw("/inference", work),
        lacks={**NO_LOOP, **NO_WAIT, **NO_STREAMS},
        how="JSON, the image as the raw body; its own batches (32, 5 ms)",
    ),
    Server(
        "litserve",
        "LitServe",
        text=lambda work: as_json("/predict", text=work.text),
        image=lambda work: image_form("/predict", work),
        chat=chat,
        lacks=NO_LOOP,
        how="`fast_queue`; JSON, the image by multipart; its own batches (32, 5 ms); async with "
        "`enable_async`; chat by its `OpenAISpec`",
    ),
    Server(
        "bentoml",
        "BentoML",
        command=(
            "{bin}/bentoml",
            "serve",
            "model:Model",
            "--host",
            "127.0.0.1",
            "--port",
            "{port}",
        ),
        variables=lambda start: {
            "BENTOML_HOME": str(start.scratch),
            "BENTOML_DO_NOT_TRACK": "true",
        },
        text=lambda work: (
            as_json("/batch", texts=[work.text])
            if work.model == "batch"
            else as_json("/" + work.model, text=work.text)
        ),
        image=lambda work: image_form("/image", work),
        answer=lambda body: unlisted(json.loads(body)),
        lacks=NO_LOOP,
        how="JSON, the image by multipart; its own adaptive batches (32); async methods",
    ),
    Server(
        "fastapi",
        "FastAPI inline",
        command=(
            *("{bin}/uvicorn", "model:app", "--host", "127.0.0.1", "--port", "{port}"),
            *("--workers", "{workers}", "--log-level", "warning", "--no-access-log"),
        ),
        text=lambda work: as_json("/" + work.model, text=work.text),
        image=lambda work: image_form("/image", work),
        lacks=NO_LOOP,
        how="uvicorn with uvloop and httptools; the model is called in the event loop; JSON, the "
        "image by multipart; no batches: each request is a batch of one",
    ),
    Server(
        "coglet",
        "coglet (cog)",
        command=("{bin}/python", "serve.py"),
        variables=lambda start: {"COG_LOG_LEVEL": "warning", "COG_MAX_CONCURRENCY": "128"},
        text=lambda work: as_json("/predictions", input={"text": work.text}),
        image=cog_image,
        base64=cog_image,
        answer=lambda body: json.loads(body)["output"],
        lacks={**ONE_WORKER, **NO_LOOP, **NO_STREAMS},
        litter=Path("/tmp/coglet"),
        how="asynchronous runner with 128 slots; JSON, the image in base64; no batches: each "
        "request is a batch of one",
    ),
    Server(
        "mlserver",
        "MLServer",
        command=("{bin}/mlserver", "start", "."),
        variables=lambda start: {
            "MLSERVER_HTTP_PORT": str(start.port),
            "MLSERVER_GRPC_PORT": str(start.spare_port),
            # A single worker is fastest inside the server's own process.
            "MLSERVER_PARALLEL_WORKERS": str(start.workers if start.workers > 1 else 0),
            **(
                {"MLSERVER_MODEL_MAX_BATCH_SIZE": "32", "MLSERVER_MODEL_MAX_BATCH_TIME": "0.005"}
                if start.model == "batch"
                else {}
            ),
        },
        text=lambda work: tensor(work.text),
        image=lambda work: tensor(base64_image(work)),
        base64=lambda work: tensor(base64_image(work)),
        answer=tensor_result,
        tensors=lambda work: tensor(base64_image(work) if work.sends_image else work.text),
        grpc_port=lambda start: start.spare_port,
        lacks={**NO_LOOP, **NO_STREAMS},
        how="one worker is inside the server's process; JSON, the image in base64, since it has no "
        "binary data over REST; its own batches (32, 5 ms)",
    ),
    Server(
        "ray",
        "Ray Serve",
        variables=lambda start: {
            "RAY_TMPDIR": str(start.scratch),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        },
        text=lambda work: as_json("/", text=work.text),
        image=lambda work: raw("/", work),
        lacks={**NO_LOOP, **NO_STREAMS},
        how="optimized for throughput; JSON, the image as the raw body; its own batches (32, 5 ms)",
    ),
    Server(
        "original",
        "original 1.0.16",
        variables=lambda start: {"MODE": "http"},
        text=lambda work: form("/", "text", work.text.encode()),
        image=lambda work: image_form("/", work),
        answer=lambda body: json.loads(body)["output"],
        lacks={
            **ONE_WORKER,
            "wait-64": "its functions are not async",
            **dict.fromkeys(NO_STREAMS, "it has no streams"),
        },
        how="Flask's development server, as it comes; multipart; no batches: each request is a "
        "batch of one, in a thread of its own",
    ),
    Server(
        "floor",
        "floor: bare hyper",
        command=("{bin}/floor",),
        text=lambda work: as_json("/", text=work.text),
        image=lambda work: raw("/", work),
        lacks={
            work.name: "there is no model behind it"
            for work in works.WORKS
            if work.model not in ("text", "image")
        },
        how="Rust, one thread; sends the text back and looks at the image, no model",
        floor=True,
    ),
]


def unlisted(answer):
    return answer[0] if isinstance(answer, list) else answer
