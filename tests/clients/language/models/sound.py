"""A model that writes down speech: what it wrote is the size of the recording."""

import ai_integration

SCHEMA = {
    "recording": {"type": "audio"},
    "language": {"type": "text", "required": False},
}


def written(inputs):
    words = ["%d " % len(inputs["recording"]), "bytes", inputs.get("language", "")]
    if inputs.get("language") == "segments":
        segments = [{"id": 0, "start": 0.0, "end": 1.5, "text": "Hello."}]
        return {"text": "Hello.", "segments": segments, "language": "en", "duration": 1.5}
    return iter(words)


def main():
    while True:
        with ai_integration.get_next_input(inputs_schema=SCHEMA, task="transcription") as inputs:
            ai_integration.send_result(written(inputs))


if __name__ == "__main__":
    main()
