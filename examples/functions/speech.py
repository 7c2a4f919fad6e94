from sysconfig import get_path

import ai_integration
import numpy as np
from onnxruntime import InferenceSession

model = InferenceSession(get_path("purelib") + "/silero_vad/data/silero_vad_16k_sequence.onnx")


def speech(recording: tuple[int, np.ndarray]):
    rate, samples = recording
    sound = np.atleast_2d(samples.T)[0, np.arange(0, len(samples), rate / 16000).astype(int)]
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(sound, (64, 512)), 576)[::512]
    odds, *_ = model.run(None, {"input": frames} | dict.fromkeys("hc", np.zeros((1, 1, 128), "f")))
    return np.flatnonzero(np.diff(odds > 0.5, prepend=0, append=0)).reshape(-1, 2) / 31.25


ai_integration.run(speech)
