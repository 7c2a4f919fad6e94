"""The names of the built-in modes and of the tasks.

The package needs them before an engine runs. This file is generated: `make docs`.
"""

MODES = (
    "command_line",
    "http",
    "mcp",
    "test_inputs_dict_json",
    "test_inputs_pickled_dict",
    "test_model_integration",
    "test_single_image",
)

# Modes that outlive a request.
SERVING_MODES = (
    "http",
    "mcp",
)

# Modes for which the engine is the parent and the program its worker.
SUPERVISED_MODES = (
    "http",
    "mcp",
    "test_model_integration",
)

# Serving modes whose clients read standard output.
PIPED_MODES = (
    "mcp",
)

TASKS = (
    "chat",
    "completion",
    "embedding",
    "classification",
    "detection",
    "segmentation",
    "transcription",
    "speech",
    "image",
    "text",
)
