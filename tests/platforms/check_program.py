"""Imports a program of a page as the tool of its platform does, and prints its port."""

import importlib
import inspect
import json
import os
import sys


def check_beam(module):
    assert type(module.pod).__name__ == "Pod"
    assert module.pod.entrypoint == ["python3", "/model/entrypoint.py"]
    return module.pod.ports[0]


def check_fal(module):
    assert module.serve.options.environment["kind"] == "container"
    return module.serve.options.get_exposed_port()


def check_huggingface(importing):
    """The program creates the endpoint at once, so the function for that is replaced."""
    import huggingface_hub

    real = huggingface_hub.create_inference_endpoint
    calls = []

    class Endpoint:
        def wait(self):
            pass

    def create(*arguments, **more):
        calls.append(inspect.signature(real).bind(*arguments, **more).arguments)
        return Endpoint()

    huggingface_hub.create_inference_endpoint = create
    importing()
    (call,) = calls
    huggingface_hub.InferenceEndpointType(call["type"])
    image = call["custom_image"]
    # The members that the documentation of the function names.
    documented = inspect.getdoc(real)
    for member in image:
        assert '"%s"' % member in documented, member
    # The port of this profile.
    assert call["env"] == {"AI_INTEGRATION_PLATFORM": "huggingface"}
    return image["port"]


def check_modal(module):
    (name,) = module.app.registered_functions
    assert name == "serve"
    return module.PORT


folder, name = sys.argv[1:]
sys.path.insert(0, folder)
if name == "create_endpoint":
    port = check_huggingface(lambda: importlib.import_module(name))
else:
    port = globals()["check_" + name.partition("_")[0]](importlib.import_module(name))
print(json.dumps(port), flush=True)
# Beam's package has threads that may wait for its servers.
os._exit(0)
