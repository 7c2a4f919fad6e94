from sysconfig import get_path

import ai_integration
import numpy as np
from onnxruntime import InferenceSession
from PIL import Image

MODEL = get_path("purelib") + "/rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx"
network = InferenceSession(MODEL)


def way_up(line: Image.Image):
    pixels = np.asarray(line.convert("RGB").resize((192, 48)), "float32") / 127.5 - 1
    [(upright, turned)] = network.run(None, {"x": pixels.transpose(2, 0, 1)[None]})[0]
    return {"upright": upright, "upside down": turned}


ai_integration.run(way_up)
