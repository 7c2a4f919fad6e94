import os
from pathlib import Path

import bentoml
import faultmodel

traffic = {}
if "TIME_LIMIT" in os.environ:
    traffic["timeout"] = float(os.environ["TIME_LIMIT"])
if "QUEUE_LIMIT" in os.environ:
    traffic["max_concurrency"] = int(os.environ["QUEUE_LIMIT"])


@bentoml.service(
    workers=int(os.environ["WORKERS"]), traffic=traffic, logging={"access": {"enabled": False}}
)
class Model:
    def __init__(self):
        faultmodel.set_up()

    @bentoml.api
    def faults(self, text: str) -> dict:
        return faultmodel.answer(text)

    @bentoml.api
    def image(self, image: Path) -> dict:
        return faultmodel.look(image.read_bytes())
