"""A model declares its tasks in each form of a program, and clients find them at `/schema`."""

import textwrap

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from support import run, serve
from test_outputs import FORMS

FORMS = {form: source.replace("outputs=OUTPUTS", "task=TASK") for form, source in FORMS.items()}
FORMS["run of a class"] = """
    class Model:
        def predict(self, x: str): return RESULT
    ai_integration.run(Model, task=TASK)
"""
TASKS = [
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
]


def in_form(form, task):
    head = "import ai_integration\nTASK = %r\nRESULT = 'done'\n" % (task,)
    return head + textwrap.dedent(FORMS[form])


def declared(server):
    return server.get("/schema").json()["tasks"]


@pytest.mark.parametrize("form", FORMS)
def test_a_task_in_each_form(program, form):
    with serve(program(in_form(form, "chat"))) as server:
        assert declared(server) == ["chat"]
        assert server.post(x="a").body == b"done"


@pytest.mark.parametrize(
    ("task", "tasks"),
    [
        (None, []),
        ([], []),
        (("text", "chat", "text"), ["text", "chat"]),
        (TASKS, TASKS),
    ],
)
def test_a_model_has_any_number_of_tasks(program, task, tasks):
    with serve(program(in_form("get_next_input", task))) as server:
        assert declared(server) == tasks


@pytest.mark.parametrize("form", FORMS)
def test_an_unknown_task_ends_the_program_and_names_the_nearest(program, form):
    done = run(program(in_form(form, "chta")), "--x", "a", mode="command_line")
    assert done.returncode == 1
    words = 'ValueError: the task "chta" is not known: did you mean "chat"?'
    assert words in done.stderr.decode()


# What is declared, and the last line of the error.
MISTAKES = [
    ("Image", 'ValueError: the task "Image" is not known: did you mean "image"?'),
    (["chat", "embeddings"], 'the task "embeddings" is not known: did you mean "embedding"?'),
    ("image-classification", 'did you mean "classification"?'),
    ("tts", 'ValueError: the task "tts" is not known: known: ' + ", ".join(TASKS)),
    ("x" * 1000, 'ValueError: the task "%s" is not known: known: ' % ("x" * 100)),
    (7, 'TypeError: task is 7, not a string such as "chat" or a list of strings'),
    (["chat", None], "TypeError: task is ['chat', None], not a string"),
]


@pytest.mark.parametrize(("task", "words"), MISTAKES)
def test_a_mistake_in_the_tasks(program, task, words):
    done = run(program(in_form("get_next_input", task)), "--x", "a", mode="command_line")
    assert done.returncode == 1
    assert words in done.stderr.decode().splitlines()[-1]


def test_a_function_is_not_set_up_before_its_task_is_read(program):
    source = """
        import ai_integration
        class Model:
            def setup(self): print("set up", flush=True)
            def predict(self, x: str): return x
        ai_integration.run(Model, task="chta")
    """
    done = run(program(source), "--x", "a", mode="command_line")
    assert done.returncode == 1
    assert "set up" not in (done.stdout + done.stderr).decode()


def test_a_task_changes_nothing_for_a_custom_mode(program, tmp_path):
    (tmp_path / "shout.py").write_text(
        "def shout(inference_function=None, inputs_schema=None, **more):\n"
        "    print(inference_function({'x': 'a'})['data'], sorted(more))\n"
        "MODULE_MODES = {'shout': shout}\n"
    )
    source = program(in_form("get_next_input", ["chat", "text"]))
    done = run(source, mode="shout", AI_INTEGRATION_MODES_PATH=tmp_path)
    assert (done.returncode, done.stdout) == (0, b"done ['visualizer_config']\n")


def test_the_schema_tells_which_dialects_are_served_and_the_api_describes_both(program):
    source = program(in_form("get_next_input", "text"))
    with serve(source, AI_INTEGRATION_DIALECTS="native,kserve") as server:
        assert server.get("/schema").json()["dialects"] == ["native", "kserve"]
        api = server.get("/openapi.json").json()
    OpenAPIV31SpecValidator(api).validate()
    answer = api["paths"]["/schema"]["get"]["responses"]["200"]["content"]["application/json"]
    told = answer["schema"]["properties"]
    assert told["tasks"]["items"]["enum"] == TASKS
    assert told["dialects"]["type"] == "array"


@pytest.mark.parametrize("form", ["get_next_input", "run"])
def test_the_self_test_prints_the_tasks(program, form):
    done = run(program(in_form(form, ["chat", "text"])), mode="test_model_integration")
    assert done.returncode == 0
    assert "The model declares the tasks: chat, text.\n" in done.stdout.decode()
    done = run(program(in_form(form, None)), mode="test_model_integration")
    assert b"declares" not in done.stdout


def test_a_worker_with_an_unknown_task_is_ended(program):
    """The engine checks too, because a worker may have another library."""
    source = """
        import ai_integration
        from ai_integration import _names
        _names.TASKS += ("chta",)
        with ai_integration.get_next_input({"x": {"type": "text"}}, task="chta"):
            ai_integration.send_result("a")
    """
    done = run(program(source), "--x", "a", mode="command_line")
    assert done.returncode == 70
    assert 'the task "chta" is not known: did you mean "chat"?' in done.stderr.decode()
