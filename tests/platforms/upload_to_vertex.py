"""Runs a program that uploads a model to Vertex AI, without Vertex AI.

The argument is the program. Google's package checks the
parameters, and makes the message that it would send. Prints this message and the parameters of the
deployment in JSON.
"""

import json
import sys
from unittest import mock

from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform
from google.protobuf import json_format


class Sent(Exception):
    """Ends the upload when its message has been made."""


def upload(*arguments, **options):
    with mock.patch.object(aiplatform.Model, "_instantiate_client") as make:
        make.return_value.upload_model.side_effect = Sent
        try:
            real_upload(*arguments, **options)
        except Sent:
            request = make.return_value.upload_model.call_args.kwargs["request"]
    sent["model"] = json_format.MessageToDict(type(request.model).pb(request.model))
    return model


sent = {}
real_upload = aiplatform.Model.upload
real_init = aiplatform.init
# Its methods have the parameters of the real ones, and accept no others.
model = mock.create_autospec(aiplatform.Model, instance=True)
aiplatform.Model.upload = upload
aiplatform.init = lambda **options: real_init(credentials=AnonymousCredentials(), **options)
with open(sys.argv[1]) as program:
    exec(compile(program.read(), sys.argv[1], "exec"))
sent["deploy"] = model.deploy.call_args.kwargs
json.dump(sent, sys.stdout)
