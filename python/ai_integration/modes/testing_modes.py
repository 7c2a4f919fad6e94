"""The check of a result dict that older programs use in their own tests."""

from __future__ import print_function


def check_inference_output(result):
    """Prints the faults of a result dict, or that it is a success.

    Raises `KeyError` for a field that is needed and missing, `ValueError` for JSON that cannot be
    parsed, and Pillow's error for a JPEG that cannot be opened.
    """
    if not isinstance(result, dict):
        print("Inference result is not a dict, total fail. Sad!")
        return
    for name, words in [
        ("success", 'Error: "success" field is not passed.'),
        ("error", 'Error: "error" field is not passed.'),
        ("content-type", 'Error: "content-type" is not passed.'),
        ("data", 'Error: "data" is not passed.'),
    ]:
        if name not in result:
            print(words)
    # `==` and not `is`, because 1 and 0 have always been accepted.
    if result["success"] == False:  # noqa: E712
        print("Model has indicated that it failed, success = False")
        print(result["error"])
    if result["success"] == True:  # noqa: E712
        print("Good, model has indicated that it succeeded!")
        _check_data(result)


def _check_data(result):
    if result["content-type"] == "application/json":
        import json

        print("attempting to parse json response")
        parsed = json.loads(result["data"])
        print("parsed json successfully!")
        print(parsed)
    elif result["content-type"] == "image/jpeg":
        import io

        from PIL import Image

        print("attempting to parse jpeg response")
        Image.open(io.BytesIO(result["data"]))
        print("opened image succesfully, I guess its ok")
    else:
        print("Unknown response content type:" + result["content-type"])
