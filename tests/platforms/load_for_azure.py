"""Loads the files of an endpoint and of a deployment with Microsoft's own package.

The arguments are the two files. Prints the deployment as the package reads it, in JSON.
"""

import json
import sys

from azure.ai.ml import load_online_deployment, load_online_endpoint

endpoint = load_online_endpoint(sys.argv[1])
deployment = load_online_deployment(sys.argv[2])
assert deployment.endpoint_name == endpoint.name
json.dump(deployment._to_dict(), sys.stdout)
