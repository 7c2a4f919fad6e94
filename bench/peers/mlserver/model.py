import asyncio
import json
import os

import benchmodel
from mlserver import MLModel
from mlserver.codecs import Base64Codec, StringCodec
from mlserver.types import InferenceResponse

WORK = os.environ["WORK"]


class Model(MLModel):
    async def load(self):
        return True

    async def predict(self, payload):
        # In a batch the texts of all requests arrive as one input.
        codec = Base64Codec if WORK == "image" else StringCodec
        inputs = codec.decode_input(payload.inputs[0])
        if WORK == "wait":
            answers = [await benchmodel.wait(item) for item in inputs]
        elif WORK == "batch":
            # In a thread, so that the server accepts requests meanwhile.
            answers = await asyncio.to_thread(benchmodel.batch, inputs)
        else:
            work = {
                "text": benchmodel.echo,
                "image": benchmodel.look,
                "compute": benchmodel.compute,
            }
            answers = [work[WORK](item) for item in inputs]
        texts = [json.dumps(answer) for answer in answers]
        outputs = [StringCodec.encode_output("answer", texts)]
        return InferenceResponse(model_name=self.name, outputs=outputs)
