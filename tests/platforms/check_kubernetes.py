"""Checks resources of Kubernetes, a list in JSON, and prints the kinds that were checked."""

import json
import sys

import kubernetes_validate


def checked(resource):
    kind, version = resource["kind"], resource["apiVersion"]
    if version.startswith("serving.knative.dev/"):
        spec = dict(resource["spec"]["template"]["spec"])
        # The two members that Knative adds to those of a pod.
        assert isinstance(spec.pop("containerConcurrency"), int)
        assert isinstance(spec.pop("timeoutSeconds"), int)
        # Knative gives a container its name.
        spec["containers"] = [{"name": "user-container", **one} for one in spec["containers"]]
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": spec}
        kubernetes_validate.validate(pod, kubernetes_validate.latest_version(), strict=True)
        return kind + "/pod"
    kubernetes_validate.validate(resource, kubernetes_validate.latest_version(), strict=True)
    return kind


for one in json.load(sys.stdin):
    print(checked(one))
