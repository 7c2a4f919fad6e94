"""The names of the built-in modes, of the tasks, and of what shows a hosting platform.

The package needs them before an engine runs. This file is generated: `make docs`.
"""

MODES = (
    "command_line",
    "http",
    "lambda",
    "mcp",
    "runpod",
    "test_inputs_dict_json",
    "test_inputs_pickled_dict",
    "test_model_integration",
    "test_single_image",
)

# Modes that outlive a request.
SERVING_MODES = (
    "http",
    "lambda",
    "mcp",
    "runpod",
)

# Modes for which the engine is the parent and the program its worker.
SUPERVISED_MODES = (
    "http",
    "lambda",
    "mcp",
    "runpod",
    "test_model_integration",
)

# Serving modes whose clients read standard output.
PIPED_MODES = (
    "mcp",
)

# Variables that hosting platforms set, each with its value if only one counts.
PLATFORM_VARIABLES = (
    ("AI_INTEGRATION_PLATFORM", None),
    ("SAGEMAKER_BATCH", "true"),
    ("AIP_MODE", "PREDICTION"),
    ("AIP_HTTP_PORT", None),
    ("AZUREML_MODEL_DIR", None),
    ("AZUREML_ENTRY_SCRIPT", None),
    ("SPACE_ID", None),
    ("STORAGE_URI", None),
    ("K_SERVICE", None),
    ("AWS_LAMBDA_RUNTIME_API", None),
    ("RUNPOD_WEBHOOK_GET_JOB", None),
    ("PORT_HEALTH", None),
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
