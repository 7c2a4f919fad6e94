"""Checks resources of KServe, a list in JSON, and prints the kinds that were checked."""

import json
import sys

import kserve.models
import kubernetes.client.models


def made(value, kind, place):
    """Makes an object of a type of KServe's models: `str`, `list[V1Container]`, `dict(str, str)`.

    A member that the type does not have, or needs and does not get, is an error.
    """
    if kind.startswith("list["):
        assert isinstance(value, list), place
        return [made(one, kind[5:-1], "%s[%d]" % (place, n)) for n, one in enumerate(value)]
    if kind.startswith("dict("):
        inner = kind[5:-1].partition(", ")[2]
        return {name: made(one, inner, "%s.%s" % (place, name)) for name, one in value.items()}
    of_kubernetes = getattr(kubernetes.client.models, kind, None)
    if of_kubernetes is not None:
        return of_kubernetes.model_validate(value)
    model = getattr(kserve.models, kind, None)
    if model is None:
        plain = {"str": str, "int": int, "bool": bool}
        assert isinstance(value, plain.get(kind, object)), "%s is no %s" % (place, kind)
        return value
    members = {json_name: name for name, json_name in model.attribute_map.items()}
    unknown = set(value) - set(members)
    assert not unknown, "%s has no %s" % (place, unknown)
    return model(
        **{
            members[name]: made(one, model.openapi_types[members[name]], "%s.%s" % (place, name))
            for name, one in value.items()
        }
    )


for one in json.load(sys.stdin):
    version = one["apiVersion"].rpartition("/")[2]
    made(one, version.capitalize() + one["kind"], one["kind"])
    print(one["kind"])
