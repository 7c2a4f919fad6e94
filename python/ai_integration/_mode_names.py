"""The names of the built-in modes.

The package needs them before an engine runs. This file is generated: `make docs`.
"""

BUILT_IN = (
    "command_line",
    "http",
    "test_inputs_dict_json",
    "test_inputs_pickled_dict",
    "test_model_integration",
    "test_single_image",
)

# Modes that outlive a request.
SERVING = (
    "http",
)

# Modes for which the engine is the parent and the program its worker.
SUPERVISED = (
    "http",
    "test_model_integration",
)
