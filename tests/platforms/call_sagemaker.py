"""Calls an endpoint with AWS's own client, and prints what each call gave.

Usage: call_sagemaker.py URL FIFO
"""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

URL, FIFO = sys.argv[1:]
runtime = boto3.client(
    "sagemaker-runtime",
    endpoint_url=URL,
    region_name="eu-west-1",
    aws_access_key_id="x",
    aws_secret_access_key="x",
    config=Config(retries={"total_max_attempts": 1}, read_timeout=60),
)


def invoke(**more):
    try:
        answer = runtime.invoke_endpoint(EndpointName="model", **more)
    except ClientError as error:
        given = error.response
        return {
            "code": given["Error"]["Code"],
            "status": given.get("OriginalStatusCode"),
            "message": given.get("OriginalMessage"),
        }
    return {
        "type": answer["ContentType"],
        "body": answer["Body"].read().decode(),
        "attributes": answer.get("CustomAttributes"),
    }


def stream(text):
    answer = runtime.invoke_endpoint_with_response_stream(
        EndpointName="model", Body=text, ContentType="text/plain"
    )
    parts = []
    try:
        for event in answer["Body"]:
            parts.append(event["PayloadPart"]["Bytes"].decode())
            if text == b"broken" and len(parts) == 1:
                # Lets the model fail, now that its first pieces are here.
                with open(FIFO, "w"):
                    pass
    except EventStreamError as error:
        return "".join(parts), error.response["Error"]["Code"]
    return "".join(parts), answer["ContentType"]


told, kind = stream(b"pieces")
begun, error = stream(b"broken")
JSON = {"ContentType": "application/json"}
print(
    json.dumps(
        {
            "json": invoke(Body=b'{"text": "a"}', CustomAttributes="~" * 1024, **JSON),
            "no type": invoke(Body=b"plain"),
            "csv": invoke(Body=b"list\nword\n", ContentType="text/csv", Accept="text/csv"),
            "wrong": invoke(Body=b'{"times": 1}', **JSON),
            "failure": invoke(Body=b'{"text": "fail"}', **JSON),
            "stream": told,
            "stream type": kind,
            "broken": begun,
            "broken error": error,
        }
    )
)
