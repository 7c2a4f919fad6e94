"""Functions of AWS Lambda, ours and those of Lambda's own clients, and events for them."""

import base64
import contextlib
import json
import textwrap

import vendors
from environments import node_with
from support import PYTHON, TIMEOUT, environment, started

# What the text makes the models do.
OURS = """
    import os, time
    import ai_integration

    def wait_for(*names):
        while not all(map(os.path.exists, names)):
            time.sleep(0.01)

    def parts(*texts):
        for text in texts:
            if text == "gate":
                wait_for("open")
            if text == "fail":
                raise ValueError("it broke")
            yield text

    while True:
        with ai_integration.get_next_input(
            inputs_schema={
                "text": {"type": "text"},
                "photo": {"type": "file", "required": False},
            }
        ) as inputs:
            word, _, rest = inputs["text"].partition(" ")
            if word == "fail":
                ai_integration.send_result({"success": False, "error": "too dark"})
            elif word == "crash":
                os._exit(3)
            elif word == "sleep":
                print("asleep", flush=True)
                time.sleep(float(rest))
            elif word == "gate":
                print("at the gate", flush=True)
                wait_for("open")
                ai_integration.send_result("passed")
            elif word == "meet":
                open(rest, "w").close()
                wait_for("one", "other")
                ai_integration.send_result("met")
            elif word == "long":
                ai_integration.send_result("a" * int(rest))
            elif word == "file":
                ai_integration.send_result(
                    {"success": True, "content-type": "image/png", "data": inputs["photo"]}
                )
            elif word == "parts":
                data = parts(*rest.split())
                ai_integration.send_result(
                    {"success": True, "content-type": "text/plain", "data": data}
                )
            elif word == "flood":
                data = (b"x" * 2**20 for _ in range(int(rest)))
                ai_integration.send_result(
                    {"success": True, "content-type": "text/plain", "data": data}
                )
            else:
                ai_integration.send_result({"upper": inputs["text"].upper()})
"""
THEIRS = """
    import os, time

    def handler(event, context):
        assert context.aws_request_id and context.get_remaining_time_in_millis() > 0
        word, _, rest = event["text"].partition(" ")
        if word == "fail":
            raise ValueError("too dark")
        if word == "meet":
            open(rest, "w").close()
            while not (os.path.exists("one") and os.path.exists("other")):
                time.sleep(0.01)
            return {"output": "met"}
        if word == "long":
            return {"output": "a" * int(rest)}
        return {"output": {"upper": event["text"].upper()}}
"""
STREAMS = """
    import fs from "node:fs";
    import { setTimeout } from "node:timers/promises";

    export const handler = awslambda.streamifyResponse(async (event, stream) => {
      const head = { statusCode: 200, headers: { "content-type": "text/plain" }, cookies: [] };
      const response = awslambda.HttpResponseStream.from(stream, head);
      for (const text of JSON.parse(event.body).text.split(" ").slice(1)) {
        while (text === "gate" && !fs.existsSync("open")) await setTimeout(10);
        if (text === "fail") throw new Error("it broke");
        response.write(text);
      }
      response.end();
    });
"""
LOADER = """
    const Module = require("node:module");
    const load = Module._load;
    Module._load = (name, ...rest) =>
      name.endsWith("rapid-client.node") ? { initializeClient() {} } : load(name, ...rest);
"""


def function_url(path, body=None, method="POST", **more):
    """An event of a function URL, or of an HTTP API of API Gateway (payload format 2.0)."""
    headers = {"host": "abc.lambda-url.eu-west-1.on.aws", **more.pop("headers", {})}
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers,
        "requestContext": {
            "domainName": headers["host"],
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.9",
                "userAgent": "test",
            },
            "requestId": "gateway-1",
            "stage": "$default",
        },
        "isBase64Encoded": False,
        **more,
    }
    if isinstance(body, bytes):
        event.update(body=base64.b64encode(body).decode(), isBase64Encoded=True)
    elif body is not None:
        event["body"] = body
    return event


def rest_api(path, body=None, method="POST", **more):
    """An event of a REST API of API Gateway (payload format 1.0)."""
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": {"Host": "x.execute-api.eu-west-1.amazonaws.com", **more.get("headers", {})},
        "multiValueHeaders": {
            "Host": ["x.execute-api.eu-west-1.amazonaws.com"],
            **{name: [value] for name, value in more.get("headers", {}).items()},
        },
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "requestContext": {"stage": "prod", "identity": {"sourceIp": "203.0.113.9"}},
        "body": body,
        "isBase64Encoded": False,
    }


def load_balancer(path, body=None, method="POST", **more):
    """An event of a load balancer, whose target group has no lists of header values."""
    return {
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:x"}},
        "httpMethod": method,
        "path": path,
        "queryStringParameters": {},
        "headers": {"host": "models.example.org", **more.get("headers", {})},
        "body": body or "",
        "isBase64Encoded": False,
    }


JSON = {"headers": {"content-type": "application/json"}}
TEXT = json.dumps({"text": "hi"})
FAILS = json.dumps({"text": "fail"})


@contextlib.contextmanager
def process(command, runtime, tmp_path, **variables):
    """Runs a function's process while the block runs. Its output is in `process.log`."""
    log = tmp_path / "function.log"
    # Lambda's file system can only be written to in /tmp.
    variables = {
        "AWS_LAMBDA_RUNTIME_API": runtime.address,
        "AWS_LAMBDA_FUNCTION_NAME": "model",
        "LAMBDA_TASK_ROOT": str(tmp_path),
        "PYTHONPATH": None,
        **variables,
    }
    with open(log, "wb") as output:
        running = started(
            command,
            stdout=output,
            stderr=output,
            cwd=tmp_path,
            env=environment(**variables),
        )
        with running as function:
            function.log = log.read_text
            yield function
            if function.poll() is None:
                function.terminate()
                function.wait(TIMEOUT)


class Ours:
    """The engine with a model."""

    name = "ours"
    does_not_load = 'import ai_integration\n\nraise RuntimeError("no weights")\n'

    @staticmethod
    def start(program, runtime, tmp_path, source=OURS, **variables):
        command = [PYTHON, program(source)]
        return process(command, runtime, tmp_path, **{"MODE": "lambda", **variables})


class Theirs:
    """`awslambdaric` with a handler."""

    name = "awslambdaric"
    does_not_load = 'raise RuntimeError("no weights")\n'

    @staticmethod
    def start(program, runtime, tmp_path, source=THEIRS, **variables):
        program(source, name="app.py")
        command = [vendors.python_of("aws"), "-m", "awslambdaric", "app.handler"]
        return process(command, runtime, tmp_path, **variables)


class Streams:
    """`aws-lambda-ric` for Node.js with a handler that streams.

    It runs without its client in C++, which would have to be built, and with the one in JavaScript.
    """

    name = "aws-lambda-ric"

    @staticmethod
    def start(program, runtime, tmp_path):
        program(STREAMS, name="app.mjs")
        loader = program(LOADER, name="loader.cjs")
        folder = node_with("aws-lambda-ric", ["--ignore-scripts", "aws-lambda-ric@3.3.0"])
        index = folder / "node_modules" / "aws-lambda-ric" / "bin" / "index.mjs"
        variables = {"AWS_LAMBDA_NODEJS_USE_ALTERNATIVE_CLIENT_1": "true"}
        command = ["node", "--require", loader, index, "app.handler"]
        return process(command, runtime, tmp_path, **variables)


class OurStreams:
    """The engine with a model, as a stream."""

    name = "ours"

    @staticmethod
    def start(program, runtime, tmp_path):
        return Ours.start(program, runtime, tmp_path, AI_INTEGRATION_LAMBDA_STREAM=1)


def check_error(error, message):
    """Checks what Lambda documents of an error."""
    assert error["errorType"], error
    assert message in error["errorMessage"], error
    assert isinstance(error["stackTrace"], list)


def written(folder):
    """Returns a function that writes the program of a model into a folder."""

    def write(source):
        path = folder / "entrypoint.py"
        path.write_text(textwrap.dedent(source))
        return path

    return write
