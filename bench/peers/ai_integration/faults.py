import ai_integration  # isort: skip  # First: here the engine replaces a process that serves.
import faultmodel

SCHEMA = {
    "text": {"type": "text", "required": False},
    "image": {"type": "file", "required": False},
}

faultmodel.set_up()
while True:
    with ai_integration.get_next_input(inputs_schema=SCHEMA) as inputs:
        if "image" in inputs:
            answer = faultmodel.look(inputs["image"])
        else:
            answer = faultmodel.answer(inputs["text"])
        ai_integration.send_result(
            {"content-type": "application/json", "data": answer, "success": True}
        )
