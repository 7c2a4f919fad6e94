"""The Open Inference Protocol over gRPC, with health checks and reflection.

The messages are those that the server describes by reflection.
"""

import concurrent.futures
import contextlib
import json
import queue
import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import documented
import grpc
import pytest
from environments import python_from
from google.protobuf import descriptor_pool, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from support import REPOSITORY, TIMEOUT, certificate, environment, eventually, free_port, serve

# Answers with its inputs, or does what its text says.
MODEL = """
    import os, threading, time
    import ai_integration

    def slowly():
        for word in ["once ", "upon ", "a time"]:
            time.sleep(0.01)
            yield word

    def wait():
        print("waits", flush=True)
        while not ai_integration.cancelled():
            time.sleep(0.01)
        print("cancelled", flush=True)

    SCHEMA = {
        "text": {"type": "text", "required": True},
        "steps": {"type": "integer", "required": False},
        "scale": {"type": "number", "required": False},
        "tiled": {"type": "boolean", "required": False},
        "image": {"type": "file", "required": False},
        "extra": {"type": "json", "required": False},
        "tags": {"type": "text", "list": True, "required": False},
    }

    while True:
        with ai_integration.get_next_input(inputs_schema=SCHEMA) as inputs:
            text = inputs["text"]
            if text == "stream":
                ai_integration.send_result(slowly())
            elif text == "wait":
                wait()
            elif text == "crash":
                os._exit(3)
            elif text == "fail":
                raise ValueError("it is too dark \\u00e9")
            elif text == "echo":
                ai_integration.send_result(
                    {"content-type": "image/png", "data": inputs["image"], "success": True}
                )
            else:
                image = inputs.get("image")
                result = {**inputs, "image": len(image)} if image else dict(inputs)
                ai_integration.send_result({"given": result})
"""
LOUD = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
SERVICE = "inference.GRPCInferenceService"


class Client:
    """A client of a server, with the messages that the server describes."""

    def __init__(self, address, credentials=None, metadata=(), options=()):
        options = [*LOUD, *options]
        self.address = address
        self.metadata = list(metadata)
        if credentials is None:
            self.channel = grpc.insecure_channel(address, options)
        else:
            self.channel = grpc.secure_channel(address, credentials, options)

    def learn(self):
        database = ProtoReflectionDescriptorDatabase(self.channel)
        self.services = set(database.get_services())
        pool = descriptor_pool.DescriptorPool(database)
        service = pool.FindServiceByName(SERVICE)
        self.methods = {}
        for method in service.methods:
            kinds = [message_factory.GetMessageClass(method.input_type)]
            kinds.append(message_factory.GetMessageClass(method.output_type))
            self.methods[method.name] = kinds
        self.request = self.methods["ModelInfer"][0]
        return self

    def like(self, other):
        """Takes the messages that another client has learnt."""
        self.methods, self.request = other.methods, other.request
        return self

    def call(self, method, request=None, timeout=TIMEOUT, metadata=(), **more):
        asked, answered = self.methods[method]
        call = self.channel.unary_unary(
            "/%s/%s" % (SERVICE, method), asked.SerializeToString, answered.FromString
        )
        request = asked() if request is None else request
        metadata = [*self.metadata, *metadata]
        return call(request, timeout=timeout, metadata=metadata, **more)

    def stream(self, requests, timeout=TIMEOUT, metadata=()):
        asked, answered = self.methods["ModelStreamInfer"]
        call = self.channel.stream_stream(
            "/%s/ModelStreamInfer" % SERVICE, asked.SerializeToString, answered.FromString
        )
        return call(iter(requests), timeout=timeout, metadata=[*self.metadata, *metadata])

    def infer(self, *inputs, timeout=TIMEOUT, metadata=(), compression=None, **fields):
        request = self.asking(*inputs, **fields)
        return self.call("ModelInfer", request, timeout, metadata, compression=compression)

    def asking(self, *inputs, parameters=None, model_name="model", **fields):
        """Makes a request. An input is its name, datatype, shape and contents, raw or typed."""
        request = self.request(model_name=model_name, **fields)
        for name, datatype, shape, contents in inputs:
            tensor = request.inputs.add(name=name, datatype=datatype, shape=shape)
            if isinstance(contents, bytes):
                request.raw_input_contents.append(contents)
            else:
                for field, values in contents.items():
                    getattr(tensor.contents, field).extend(values)
        for name, value in (parameters or {}).items():
            kinds = {bool: "bool_param", int: "int64_param", str: "string_param"}
            setattr(request.parameters[name], kinds[type(value)], value)
        return request

    def health(self, service="", timeout=TIMEOUT):
        stub = health_pb2_grpc.HealthStub(self.channel)
        request = health_pb2.HealthCheckRequest(service=service)
        return stub.Check(request, timeout=timeout, metadata=self.metadata).status


def framed(*elements):
    """The raw contents of BYTES."""
    return b"".join(struct.pack("<I", len(element)) + element for element in elements)


def text(*values):
    return ("text", "BYTES", [len(values)], framed(*[value.encode() for value in values]))


def typed(*values):
    values = [value.encode() for value in values]
    return ("text", "BYTES", [len(values)], {"bytes_contents": values})


def outputs(response):
    """The elements of the only output."""
    if response.raw_output_contents:
        (raw,) = response.raw_output_contents
        elements = []
        while raw:
            length = struct.unpack_from("<I", raw)[0]
            elements.append(raw[4 : 4 + length])
            raw = raw[4 + length :]
        return elements
    return list(response.outputs[0].contents.bytes_contents)


def given(response):
    """The inputs that the model got, one dict for each record."""
    return [json.loads(element)["given"] for element in outputs(response)]


@contextlib.contextmanager
def refused(code, words):
    with pytest.raises(grpc.RpcError) as failure:
        yield
    assert failure.value.code() == code, failure.value
    assert words in failure.value.details()


def address(server):
    return server.url.partition("://")[2]


@contextlib.contextmanager
def client_of(server, **more):
    client = Client(address(server), **more)
    with client.channel:
        yield client.learn()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("grpc") / "model.py"
    path.write_text(textwrap.dedent(MODEL))
    return path


@pytest.fixture(scope="module")
def server(model):
    with serve(model, AI_INTEGRATION_MAX_BODY="32MiB") as server:
        yield server


@pytest.fixture(scope="module")
def client(server):
    with client_of(server) as client:
        yield client


def test_raw_contents_are_answered_with_raw_contents(client):
    response = client.infer(
        text("a cat"),
        ("steps", "INT64", [1], struct.pack("<q", 5)),
        ("tiled", "BOOL", [1], b"\x01"),
        ("image", "BYTES", [1], framed(b"\x89PNG")),
        ("extra", "FP32", [2, 2], struct.pack("<4f", 1, 2, 3, 4)),
        ("tags", "BYTES", [2], framed(b"a", b"b")),
        id="7",
        parameters={"seed": 3, "sequence_id": 4},
    )
    assert (response.model_name, response.model_version, response.id) == ("model", "1", "7")
    (output,) = response.outputs
    assert (output.name, output.datatype, list(output.shape)) == ("output", "BYTES", [1])
    assert output.parameters["content_type"].string_param == "application/json"
    assert not output.HasField("contents")
    assert given(response) == [
        {
            "text": "a cat",
            "steps": 5,
            "tiled": True,
            "image": 4,
            "extra": [[1.0, 2.0], [3.0, 4.0]],
            "tags": ["a", "b"],
            "seed": 3,
        }
    ]


def test_typed_contents_are_answered_with_typed_contents(client):
    response = client.infer(
        typed("a cat"),
        ("steps", "INT32", [1], {"int_contents": [-5]}),
        ("scale", "FP64", [1], {"fp64_contents": [0.5]}),
        ("tiled", "BOOL", [1], {"bool_contents": [False]}),
        ("extra", "UINT8", [3], {"uint_contents": [1, 2, 255]}),
    )
    assert not response.raw_output_contents
    assert given(response) == [
        {"text": "a cat", "steps": -5, "scale": 0.5, "tiled": False, "extra": [1, 2, 255]}
    ]


def test_each_element_is_a_record(client):
    response = client.infer(text("a", "b", "c"), ("steps", "INT64", [1], struct.pack("<q", 1)))
    assert list(response.outputs[0].shape) == [3]
    assert given(response) == [{"text": word, "steps": 1} for word in "abc"]


@pytest.mark.parametrize("size", [1, 100, 70_000, 20 << 20])
def test_a_file_comes_back_as_it_was_sent(client, size):
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    response = client.infer(text("echo"), ("image", "BYTES", [1], framed(content)))
    assert outputs(response) == [content]
    assert response.outputs[0].parameters["content_type"].string_param == "image/png"
    content = content[: 1 << 20]
    image = ("image", "BYTES", [1], {"bytes_contents": [content]})
    assert outputs(client.infer(typed("echo"), image)) == [content]


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_requests_may_be_compressed(client, compression):
    response = client.infer(text("x" * 100_000), compression=compression)
    assert given(response) == [{"text": "x" * 100_000}]


INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("inputs", "fields", "code", "words"),
    [
        ([], {}, INVALID, "text: missing"),
        ([typed("a"), ("steps", "INT64", [1], {})], {}, INVALID, "steps: its data has 0 bytes"),
        ([("text", "BYTES", [2], framed(b"a"))], {}, INVALID, "text: its data has 1 elements"),
        ([("text", "BYTES", [1], b"\x09\0\0\0a")], {}, INVALID, "text: element 0 goes beyond"),
        ([("text", "BYTES", [1], framed(b"\xff"))], {}, INVALID, "text: "),
        ([("text", "TEXT", [1], framed(b"a"))], {}, INVALID, 'its datatype "TEXT" is not known'),
        (
            [typed("a"), ("steps", "INT64", [1], {"int_contents": [1]})],
            {},
            INVALID,
            "steps: elements of its datatype belong in int64_contents only",
        ),
        (
            [typed("a"), ("steps", "INT8", [1], {"int_contents": [128]})],
            {},
            INVALID,
            "steps: a number is outside the range of INT8",
        ),
        (
            [typed("a"), ("extra", "FP16", [1], {"fp32_contents": [1]})],
            {},
            INVALID,
            "extra: FP16 has no typed contents",
        ),
        (
            [typed("a"), ("extra", "BYTES", [1], framed(b"1"))],
            {},
            INVALID,
            "raw_input_contents has 1 entries, but the request has 2 inputs",
        ),
        ([text("a"), text("b")], {}, INVALID, "text: given more than once"),
        ([text("a")], {"parameters": {"text": "b"}}, INVALID, "text: given more than once"),
        ([text("a")], {"model_name": "other"}, grpc.StatusCode.NOT_FOUND, '"model"'),
        ([text("a")], {"model_version": "2"}, grpc.StatusCode.NOT_FOUND, '"1"'),
        ([text("fail")], {}, grpc.StatusCode.INTERNAL, "ValueError: it is too dark é"),
        ([text("crash")], {}, grpc.StatusCode.INTERNAL, ""),
    ],
)
def test_a_request_that_fails_has_a_status(client, inputs, fields, code, words):
    with refused(code, words):
        client.infer(*inputs, **fields)
    assert given(client.infer(text("after"))) == [{"text": "after"}]


def test_raw_and_typed_contents_of_one_input_are_refused(client):
    request = client.asking(text("a"))
    request.inputs[0].contents.bytes_contents.append(b"b")
    with refused(INVALID, "text: it has contents"):
        client.call("ModelInfer", request)


def test_an_output_that_the_model_lacks_is_refused(client):
    request = client.asking(text("a"))
    request.outputs.add(name="output")
    assert given(client.call("ModelInfer", request)) == [{"text": "a"}]
    request.outputs.add(name="mask")
    with refused(INVALID, "mask: the model has no such output"):
        client.call("ModelInfer", request)


def test_shared_memory_is_refused(client):
    request = client.asking(text("a"))
    request.inputs[0].parameters["shared_memory_region"].string_param = "region"
    with refused(grpc.StatusCode.UNIMPLEMENTED, "no shared memory"):
        client.call("ModelInfer", request)


def raw_call(client, path, body, **more):
    """Sends bytes as the message of a request, and returns the bytes of the answer."""
    same = lambda message: message  # noqa: E731
    return client.channel.unary_unary(path, same, same)(body, timeout=TIMEOUT, **more)


def test_bytes_that_are_no_message_are_refused(client):
    path = "/%s/ModelInfer" % SERVICE
    for body in [b"\xff", b"\x2a\x05a", b"\x0b" * 1000]:
        with refused(INVALID, "the message cannot be read"):
            raw_call(client, path, body)
    # Each of these tensors would take up a hundred times its two bytes.
    with refused(INVALID, "more than 1000 inputs"):
        raw_call(client, path, b"\x2a\x00" * 1_000_000)
    with refused(INVALID, "more than 1000 parameters"):
        raw_call(client, path, b"\x22\x00" * 1_000_000)
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "larger"):
        raw_call(client, "/%s/ServerLive" % SERVICE, b"x" * 100_000)


def test_a_message_over_the_limit_is_refused(client):
    image = ("image", "BYTES", [1], framed(bytes(33 << 20)))
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "larger than this server accepts"):
        client.infer(text("a"), image)
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "larger than this server accepts"):
        client.infer(text("a"), image, compression=grpc.Compression.Gzip)


def test_what_the_server_says_of_itself(client, server):
    assert client.call("ServerLive").live
    assert client.call("ServerReady").ready
    assert client.call("ModelReady", client.methods["ModelReady"][0](name="model")).ready
    assert client.call("ServerMetadata").name == "ai_integration"
    asked = client.methods["ModelMetadata"][0]
    metadata = client.call("ModelMetadata", asked(name="model", version="1"))
    assert (metadata.name, list(metadata.versions)) == ("model", ["1"])
    inputs = {tensor.name: (tensor.datatype, list(tensor.shape)) for tensor in metadata.inputs}
    assert inputs["text"] == ("BYTES", [-1])
    assert inputs["steps"] == ("INT64", [-1])
    assert inputs["scale"] == ("FP64", [-1])
    assert inputs["tiled"] == ("BOOL", [-1])
    assert inputs["tags"] == ("BYTES", [-1, -1])
    (output,) = metadata.outputs
    assert (output.name, output.datatype, list(output.shape)) == ("output", "BYTES", [-1])
    for method in ["ModelMetadata", "ModelReady", "ModelConfig"]:
        with refused(grpc.StatusCode.NOT_FOUND, "there is no such model"):
            client.call(method, client.methods[method][0](name="other"))
    config = client.call("ModelConfig", client.methods["ModelConfig"][0](name="model")).config
    assert [tensor.name for tensor in config.input] == list(inputs)
    (model,) = client.call("RepositoryIndex").models
    assert (model.name, model.version, model.state) == ("model", "1", "READY")
    (before,) = client.call("ModelStatistics").model_stats
    client.infer(text("a", "b"))
    list(client.stream([client.asking(text("a"))]))
    asked = client.methods["ModelStatistics"][0](name="model")
    (after,) = client.call("ModelStatistics", asked).model_stats
    assert after.inference_count == before.inference_count + 3
    assert after.inference_stats.success.count == before.inference_stats.success.count + 2
    load = client.methods["RepositoryModelLoad"][0]
    for request in [load(name="model"), load(triton_name="model")]:
        assert client.call("RepositoryModelLoad", request).is_loaded
    with refused(grpc.StatusCode.UNIMPLEMENTED, "does not have this method"):
        raw_call(client, "/%s/SystemSharedMemoryRegister" % SERVICE, b"")
    routes = server.get("/metrics").body.decode()
    assert 'route="/%s/ModelMetadata"' % SERVICE in routes


def test_reflection(client):
    expected = {SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
    assert expected <= client.services


def test_a_stream_answers_in_order(client):
    final = {"triton_enable_empty_final_response": True}
    requests = [
        client.asking(text("stream"), id="a", parameters=final),
        client.asking(text("fail"), id="b", parameters=final),
        client.asking(text("x", "y"), id="c", parameters=final),
        client.asking(typed("stream"), id="d"),
    ]
    seen = []
    for answer in client.stream(requests):
        response = answer.infer_response
        is_final = response.parameters["triton_final_response"].bool_param
        said = [] if not response.outputs else outputs(response)
        seen.append((response.id, said, is_final))
        assert ("it is too dark" in answer.error_message) == (response.id == "b")
    words = [[b"once "], [b"upon "], [b"a time"]]
    last = [element for _, element, _ in seen if seen and element and element[0][:1] == b"{"]
    assert [json.loads(element)["given"]["text"] for element in last[0]] == ["x", "y"]
    assert [(name, is_final) for name, _, is_final in seen] == [
        *[("a", False)] * 3,
        ("a", True),
        ("b", True),
        ("c", False),
        ("c", True),
        *[("d", False)] * 3,
    ]
    assert [said for name, said, _ in seen if name == "a"] == [*words, []]
    assert [said for name, said, _ in seen if name == "d"] == words


def test_a_stream_waits_for_its_requests(client):
    requests = queue.Queue()
    answers = client.stream(iter(requests.get, None))
    for number in range(5):
        requests.put(client.asking(text(str(number))))
        assert given(next(answers).infer_response) == [{"text": str(number)}]
    requests.put(None)
    assert list(answers) == []
    assert answers.code() == grpc.StatusCode.OK


def test_many_streams_at_once(client):
    def words(_):
        answers = client.stream([client.asking(text("stream")) for _ in range(2)])
        return [outputs(answer.infer_response)[0] for answer in answers]

    with concurrent.futures.ThreadPoolExecutor(100) as threads:
        for said in threads.map(words, range(100)):
            assert said == [b"once ", b"upon ", b"a time"] * 2


def test_a_client_that_cancels_cancels_its_job(client, server):
    for call in [
        lambda: cancellable(client, [text("wait")]),
        lambda: client.stream([client.asking(text("wait"))]),
    ]:
        working, cancelled = server.output().count("waits"), server.output().count("cancelled")
        future = call()
        assert server.times_printed("waits", working + 1) == working + 1
        future.cancel()
        assert server.times_printed("cancelled", cancelled + 1) == cancelled + 1


def cancellable(client, inputs):
    asked, answered = client.methods["ModelInfer"]
    call = client.channel.unary_unary(
        "/%s/ModelInfer" % SERVICE, asked.SerializeToString, answered.FromString
    )
    return call.future(client.asking(*inputs), timeout=TIMEOUT)


def test_a_deadline_ends_the_job(client, server):
    before = server.output().count("cancelled")
    with refused(grpc.StatusCode.DEADLINE_EXCEEDED, ""):
        client.infer(text("wait"), timeout=0.3)
    eventually(lambda: server.output().count("cancelled") > before, "the job is cancelled")
    # The server itself keeps to the limits in the header and in the parameter.
    for limit in [
        {"metadata": [("ai-integration-timeout", "0.3")]},
        {"parameters": {"timeout": 300_000}},
    ]:
        with refused(grpc.StatusCode.DEADLINE_EXCEEDED, "the model"):
            client.infer(text("wait"), **limit)


def test_a_deadline_of_a_stream(client):
    requests = queue.Queue()
    limit = [("ai-integration-timeout", "2")]
    answers = client.stream(iter(requests.get, None), metadata=limit)
    requests.put(client.asking(text("wait")))
    assert "the model" in next(answers).error_message
    requests.put(client.asking(text("after")))
    assert given(next(answers).infer_response) == [{"text": "after"}]
    requests.put(None)
    assert list(answers) == []
    # Client and server have the same deadline, and either may be the first to end the stream.
    code = grpc.StatusCode.DEADLINE_EXCEEDED
    try:
        (answer,) = client.stream([client.asking(text("wait"))], timeout=0.3)
        assert "the model" in answer.error_message
    except grpc.RpcError as failure:
        code = failure.code()
    assert code == grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_full_queue_is_refused(model):
    with serve(model, AI_INTEGRATION_QUEUE=1) as server, client_of(server) as client:
        waiting = [cancellable(client, [text("wait")])]
        eventually(lambda: "waits" in server.output(), "the model works")
        waiting.append(cancellable(client, [text("wait")]))
        eventually(lambda: queued(server) == 1, "a job is queued")
        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "waiting already"):
            client.infer(text("a"))
        for call in waiting:
            call.cancel()


def test_messages_count_against_the_memory_limit(model):
    with serve(model, AI_INTEGRATION_MAX_IN_FLIGHT="4MiB") as server, client_of(server) as client:
        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "memory"):
            client.infer(text("a"), ("image", "BYTES", [1], framed(bytes(8 << 20))))
        # A number is one byte of the message, and many times as much once it is decoded.
        extra = ("extra", "INT64", [500_000], {"int64_contents": [1] * 500_000})
        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "memory"):
            client.infer(typed("a"), extra)
        assert given(client.infer(text("a"))) == [{"text": "a"}]


def queued(server):
    for line in server.get("/metrics").body.decode().splitlines():
        if line.startswith("ai_integration_queue_depth"):
            return float(line.rpartition(" ")[2])


def test_the_edge_answers_in_the_words_of_grpc(model, client):
    settings = {"AI_INTEGRATION_TOKEN": "secret", "AI_INTEGRATION_RATE_LIMIT": "5/h"}
    with serve(model, **settings, HOST="127.0.0.1", ready=False) as server:
        server.wait_for_output("ready on")
        open_client = Client(address(server)).like(client)
        # Platforms probe without a token, and as often as they like.
        for _ in range(10):
            assert open_client.health() == health_pb2.HealthCheckResponse.SERVING
        with refused(grpc.StatusCode.UNAUTHENTICATED, "token"):
            open_client.infer(text("a"))
        bearer = [("authorization", "Bearer secret")]
        trusted = Client(address(server), metadata=bearer).like(client)
        assert given(trusted.infer(text("a"))) == [{"text": "a"}]
        other = [("grpc.default_authority", "evil.test")]
        misled = Client(address(server), metadata=bearer, options=other).like(client)
        with refused(grpc.StatusCode.PERMISSION_DENIED, "Host"):
            misled.infer(text("a"))
        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "more requests than it may"):
            for _ in range(10):
                trusted.call("ServerLive")
        for one in [open_client, trusted, misled]:
            one.channel.close()


def test_a_port_of_its_own(model):
    port = free_port()
    with serve(model, HOST="127.0.0.1", AI_INTEGRATION_GRPC_PORT=port) as server:
        own = Client("127.0.0.1:%d" % port).learn()
        with own.channel, client_of(server) as shared:
            assert given(own.infer(text("a"))) == given(shared.infer(text("a")))
        server.stop()


def test_a_port_that_is_in_use(model):
    with serve(model, HOST="127.0.0.1") as server:
        port = address(server).rpartition(":")[2]
        command = [str(model)]
        variables = {"MODE": "http", "HOST": "127.0.0.1", "PORT": 0}
        ended = subprocess.run(
            [sys.executable, *command],
            env=environment(**variables, AI_INTEGRATION_GRPC_PORT=port),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            timeout=TIMEOUT,
            text=True,
            check=False,
        )
        assert "choose another address with HOST or AI_INTEGRATION_GRPC_PORT" in ended.stderr


def test_tls(model, tmp_path):
    cert, key = certificate(tmp_path)
    tls = {"AI_INTEGRATION_TLS_CERT": cert, "AI_INTEGRATION_TLS_KEY": key}
    with serve(model, **tls, ready=False) as server:
        server.wait_for_output("ready on")
        credentials = grpc.ssl_channel_credentials(cert.read_bytes())
        with client_of(server, credentials=credentials) as client:
            assert given(client.infer(text("a"))) == [{"text": "a"}]
            assert client.health() == health_pb2.HealthCheckResponse.SERVING


def test_health_follows_the_model(program):
    path = program(
        """
        import os, sys, time
        import ai_integration
        while not os.path.exists(sys.argv[1]):
            time.sleep(0.01)
        while True:
            with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
                ai_integration.send_result(inputs["text"])
        """
    )
    go = path.with_name("go")
    with serve(path, go, ready=False) as server:
        client = Client(address(server))
        stub = health_pb2_grpc.HealthStub(client.channel)
        kinds = health_pb2.HealthCheckResponse
        assert client.health() == kinds.NOT_SERVING
        assert client.health(SERVICE) == kinds.NOT_SERVING
        with refused(grpc.StatusCode.NOT_FOUND, "does not have the service"):
            client.health("other")
        unknown = stub.Watch(health_pb2.HealthCheckRequest(service="other"), timeout=TIMEOUT)
        assert next(unknown).status == kinds.SERVICE_UNKNOWN
        watched = stub.Watch(health_pb2.HealthCheckRequest(), timeout=TIMEOUT)
        assert next(watched).status == kinds.NOT_SERVING
        client.learn()
        assert not client.call("ServerReady").ready
        go.touch()
        assert next(watched).status == kinds.SERVING
        assert client.call("ServerReady").ready
        # A stream that a client keeps open does not hold the server up.
        requests = queue.Queue()
        answers = client.stream(iter(requests.get, None))
        requests.put(client.asking(text("a")))
        assert outputs(next(answers).infer_response) == [b"a"]
        assert server.stop() == 0
        assert [answer.status for answer in watched] == [kinds.NOT_SERVING]
        assert list(answers) == []
        requests.put(None)
        client.channel.close()


def test_what_is_not_grpc_is_told_so(server):
    path = "/%s/ServerLive" % SERVICE
    answer = server.request(path, b"{}", {"Content-Type": "application/json"})
    assert answer.status == 415
    assert (answer.headers["grpc-status"], answer.type) == ("3", "application/grpc")
    answer = server.request(path, b"\0\0\0\0\0", {"Content-Type": "application/grpc"})
    assert "HTTP/2" in answer.headers["grpc-message"].replace("%20", " ")


# The tests of clients have the same environment.
TRITON = REPOSITORY / "tests" / "clients" / "triton.txt"
SCRIPT = Path(__file__).with_name("triton_client.py")
PAGE = REPOSITORY / "docs" / "clients" / "grpc.md"


def run_with_triton(*arguments):
    command = [python_from("clients-triton", TRITON), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_client_of_triton(model):
    port = free_port()
    with serve(model, HOST="127.0.0.1", AI_INTEGRATION_GRPC_PORT=port):
        run_with_triton(SCRIPT, "127.0.0.1:%d" % port)


def test_the_example_of_the_page(server, tmp_path):
    (block,) = documented.blocks(PAGE)
    program = tmp_path / "block.py"
    program.write_text(block.text.replace(documented.ADDRESS, address(server)))
    assert json.loads(run_with_triton(program)) == {"given": {"text": "hello"}}
