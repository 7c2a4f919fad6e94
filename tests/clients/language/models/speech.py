"""A model that speaks: its sound is what it was asked to say."""

import ai_integration

SCHEMA = {
    "text": {"type": "text"},
    "voice": {"type": "text", "required": False},
    "speed": {"type": "number", "required": False},
}


def main():
    while True:
        with ai_integration.get_next_input(inputs_schema=SCHEMA, task="speech") as inputs:
            sound = "RIFF %s, %s, %s" % tuple(inputs.get(name) for name in SCHEMA)
            ai_integration.send_result(
                {"content-type": "audio/wav", "data": sound.encode(), "success": True}
            )


if __name__ == "__main__":
    main()
