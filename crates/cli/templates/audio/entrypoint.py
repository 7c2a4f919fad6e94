from typing import Tuple

import ai_integration
import numpy

STEP = 0.05  # seconds


def level(samples):
    """Returns the mean level of samples in dBFS; -96 for silence."""
    mean = numpy.sqrt(numpy.mean(numpy.square(samples, dtype=float))) if len(samples) else 0
    return max(-96.0, 20 * float(numpy.log10(mean))) if mean else -96.0


def measure(audio: Tuple[int, numpy.ndarray], threshold: float = -40) -> dict:
    """Measures how loud a recording is, and finds its silent parts.

    Args:
        audio: The recording
        threshold: The level below which the recording is silent, in dBFS
    """
    rate, samples = audio
    samples = samples.reshape(len(samples), -1).mean(axis=1)
    size = max(1, int(rate * STEP))
    silent = []
    for start in range(0, len(samples), size):
        if level(samples[start : start + size]) < threshold:
            begin, end = start / rate, min(start + size, len(samples)) / rate
            if silent and silent[-1][1] == round(begin, 2):
                begin = silent.pop()[0]
            silent.append([round(begin, 2), round(end, 2)])
    return {
        "seconds": round(len(samples) / rate, 2),
        "loudness": round(level(samples), 1),
        "silent": silent,
    }


ai_integration.run(measure, name="{{name}}")
