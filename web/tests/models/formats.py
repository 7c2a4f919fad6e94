"""Takes files of a few formats, and says what it was given."""

import ai_integration

SCHEMA = {
    "photo": {"type": "image", "required": False, "formats": ["png"]},
    "scan": {"type": "image", "required": False, "formats": ["heic"]},
    "talk": {"type": "audio", "required": False, "formats": ["wav", "mp3"]},
    "song": {"type": "audio", "required": False, "formats": ["mp3"]},
    "speech": {"type": "audio", "required": False, "as": "numpy"},
    "film": {"type": "video", "required": False, "formats": ["webm"]},
    "paper": {"type": "file", "required": False, "formats": ["pdf", "application/x-mine"]},
}

while True:
    with ai_integration.get_next_input(inputs_schema=SCHEMA, name="Formats") as inputs:
        speech = inputs.pop("speech", None)
        starts = {name: repr(content[:4]) for name, content in inputs.items()}
        if speech is not None:
            starts["speech"] = speech[1].dtype.name
        ai_integration.send_result(
            {"content-type": "application/json", "data": starts, "success": True}
        )
