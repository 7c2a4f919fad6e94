import functools
import json
import logging
import os

import benchmodel
from ai_integration.modes import http
from ai_integration.public_interface import start_loop

# It always listens on port 5000 of every address, and Flask logs every request; nothing else is
# changed.
run = functools.partial(http.app.run, use_reloader=False)
http.app.run = lambda **_: run(debug=True, host="127.0.0.1", port=int(os.environ["PORT"]))
logging.getLogger("werkzeug").setLevel(logging.WARNING)

NAME, WORK = {
    "text": ("text", benchmodel.echo),
    "image": ("image", benchmodel.look),
    "compute": ("text", benchmodel.compute),
    "loop": ("text", benchmodel.wait_long),
    "batch": ("text", lambda text: benchmodel.batch([text])[0]),
}[os.environ["WORK"]]


def infer(inputs):
    return {
        "content-type": "application/json",
        "data": json.dumps(WORK(inputs[NAME])),
        "success": True,
    }


start_loop(inference_function=infer, inputs_schema={NAME: {"type": NAME}})
