"""Calls a server with Google's own client, which uses the addresses of Vertex AI.

The arguments are the server's address and requests in JSON. Prints the answers in JSON.
"""

import json
import sys

from google.api_core.exceptions import GoogleAPICallError
from google.auth.credentials import AnonymousCredentials
from google.cloud.aiplatform_v1.services.prediction_service import PredictionServiceClient
from google.cloud.aiplatform_v1.services.prediction_service.transports import (
    PredictionServiceRestTransport,
)
from google.protobuf import json_format, struct_pb2

ENDPOINT = "projects/p/locations/l/endpoints/e"


def value(given):
    return json_format.ParseDict(given, struct_pb2.Value())


def answer(client, request):
    try:
        response = client.predict(
            endpoint=ENDPOINT,
            instances=[value(one) for one in request["instances"]],
            parameters=value(request.get("parameters", {})),
        )
    except GoogleAPICallError as error:
        return {"raised": type(error).__name__, "code": error.code, "text": error.message}
    return json_format.MessageToDict(type(response).pb(response))["predictions"]


transport = PredictionServiceRestTransport(
    host=sys.argv[1], url_scheme="http", credentials=AnonymousCredentials()
)
client = PredictionServiceClient(transport=transport)
json.dump([answer(client, request) for request in json.loads(sys.argv[2])], sys.stdout)
