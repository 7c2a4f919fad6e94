"""Tells how loud a recording is, and where it is silent."""

import array
import io
import math
import wave

import ai_integration

SCHEMA = {
    "audio": {"type": "audio", "formats": ["wav"], "description": "A WAV file of 16 bits."},
    "threshold": {
        "type": "number",
        "min": -96,
        "max": 0,
        "default": -40,
        "description": "The level below which it is silent, in dBFS.",
    },
}
STEP = 0.05  # seconds


def level(samples):
    """The mean level of samples in dBFS; -96 of silence."""
    mean = math.sqrt(sum(sample * sample for sample in samples) / max(len(samples), 1))
    return max(-96.0, 20 * math.log10(mean / 32768)) if mean else -96.0


def measure(audio, threshold):
    """Returns the length and the loudness of a recording, and its silent stretches in seconds."""
    with wave.open(io.BytesIO(audio)) as recording:
        if recording.getsampwidth() != 2:
            raise ValueError("expected samples of 16 bits")
        rate = recording.getframerate()
        samples = array.array("h", recording.readframes(recording.getnframes()))
        samples = samples[:: recording.getnchannels()]
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


while True:
    with ai_integration.get_next_input(inputs_schema=SCHEMA, name="{{name}}") as inputs:
        ai_integration.send_result(measure(inputs["audio"], inputs["threshold"]))
