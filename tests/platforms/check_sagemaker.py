"""Runs a program that uses AWS's client, and prints the name of each operation that it calls.

The parameters are checked against the client's model of the service: by the client itself, and for
enums, patterns and limits, which the client leaves to the service, here. Nothing is sent.

Usage: check_sagemaker.py PROGRAM
"""

import re
import runpy
import sys

from botocore.client import BaseClient
from botocore.validate import ParamValidator


def problems(value, shape, name):
    """Yields what does not fit, which the client's own validator accepts."""
    limits = shape.metadata
    if shape.type_name == "structure":
        for member, inner in value.items():
            yield from problems(inner, shape.members[member], "%s.%s" % (name, member))
    elif shape.type_name == "list":
        for inner in value:
            yield from problems(inner, shape.member, name + "[]")
    elif shape.type_name == "map":
        for key, inner in value.items():
            yield from problems(key, shape.key, name + " key")
            yield from problems(inner, shape.value, "%s.%s" % (name, key))
    if "enum" in limits and value not in limits["enum"]:
        yield "%s: %r is not one of %s" % (name, value, limits["enum"])
    if "pattern" in limits and not re.fullmatch(limits["pattern"], value):
        yield "%s: %r does not match %s" % (name, value, limits["pattern"])
    size = len(value) if hasattr(value, "__len__") else value
    if "max" in limits and size > limits["max"]:
        yield "%s: %r is over %s" % (name, value, limits["max"])


def check(client, operation, parameters):
    shape = client.meta.service_model.operation_model(operation).input_shape
    report = ParamValidator().validate(parameters, shape)
    assert not report.has_errors(), report.generate_report()
    found = list(problems(parameters, shape, operation))
    assert not found, found
    print(operation)
    return {}


BaseClient._make_api_call = check
runpy.run_path(sys.argv[1])
