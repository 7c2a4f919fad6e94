"""The model, served by Google's CprModelServer."""

import base64

from google.cloud.aiplatform.prediction.predictor import Predictor
from toy import work


class Toy(Predictor):
    def load(self, artifacts_uri):
        pass

    def predict(self, prediction_input):
        parameters = prediction_input.get("parameters") or {}
        return {"predictions": [self.one(one, parameters) for one in prediction_input["instances"]]}

    def one(self, instance, parameters):
        inputs = {**parameters, **(instance if isinstance(instance, dict) else {"text": instance})}
        if "photo" in inputs:
            inputs["photo"] = base64.b64decode(inputs["photo"]["b64"])
        return work(**inputs)
