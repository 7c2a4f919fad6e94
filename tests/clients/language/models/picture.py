"""A model of pictures: its picture is a text that says what it got."""

import ai_integration

SCHEMA = {
    "prompt": {"type": "text", "required": False},
    "image": {"type": "image", "list": True, "required": False},
    "mask": {"type": "image", "required": False},
    "size": {"type": "text", "required": False},
}


def main():
    while True:
        with ai_integration.get_next_input(inputs_schema=SCHEMA, task="image") as inputs:
            sizes = list(map(len, inputs.get("image", [])))
            mask = len(inputs.get("mask", b""))
            picture = "%s, %s, %d, %s" % (inputs.get("prompt"), sizes, mask, inputs.get("size"))
            ai_integration.send_result(
                {"content-type": "image/png", "data": picture.encode(), "success": True}
            )


if __name__ == "__main__":
    main()
