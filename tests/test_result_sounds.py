"""Sounds that models give as a rate and an array of samples."""

import io
import wave

import numpy
import pytest
from compat import model
from support import serve

SOURCE = """
    import numpy

    mono = numpy.array([0, 1, -1, 32767, -32768], "int16")
    stereo = numpy.array([[1, -1], [2, -2], [3, -3]], "int16")
    floats = numpy.array([0, 0.5, -0.5, 1, -1, 0.00004])

    SCHEMA = {"text": {"type": "text"}, "type": {"type": "text"}}

    def infer(inputs):
        return {"content-type": inputs["type"], "data": eval(inputs["text"]), "success": True}
"""
MONO = [0, 1, -1, 32767, -32768]
FLOATS = [0, 16384, -16384, 32767, -32767, 1]
# An expression, and the rate, the bytes of a sample and the samples that arrive.
SENT = {
    "mono": ("(8000, mono)", 8000, 2, MONO),
    "a list": ("[8000, mono]", 8000, 2, MONO),
    "stereo": ("(44100, stereo)", 44100, 2, [[1, -1], [2, -2], [3, -3]]),
    "one channel": ("(8000, mono[:, None])", 8000, 2, MONO),
    "channels first, turned": (
        "(8000, numpy.tile(mono, (2, 9)).T)",
        8000,
        2,
        [[n, n] for n in MONO * 9],
    ),
    "big-endian": ("(8000, mono.astype('>i2'))", 8000, 2, MONO),
    "every second": ("(8000, mono[::2])", 8000, 2, MONO[::2]),
    "floats": ("(16000, floats)", 16000, 2, FLOATS),
    "floats of 32 bits": ("(16000, floats.astype('float32'))", 16000, 2, FLOATS),
    "floats of 16 bits": ("(16000, floats[:5].astype('float16'))", 16000, 2, FLOATS[:5]),
    "8 bits": ("(8000, numpy.array([0, 128, 255], 'uint8'))", 8000, 1, [0, 128, 255]),
    "a rate of NumPy": ("(numpy.int64(22050), mono)", 22050, 2, MONO),
    "a whole float as the rate": ("(22050.0, mono)", 22050, 2, MONO),
    "no samples": ("(8000, mono[:0])", 8000, 2, []),
    "no floats": ("(8000, floats[:0])", 8000, 2, []),
}
REFUSED = {
    "floats beyond 1": ("(8000, floats * 1.5)", ["from -1.5 to 1.5", ".clip(-1, 1)", '"int16"']),
    "NaN": ("(8000, floats * numpy.nan)", ["NaN", "numpy.nan_to_num"]),
    "32 bits": ("(8000, mono.astype('int32'))", ["int32", '.astype("int16")']),
    "64 bits": ("(8000, mono.astype('int64'))", ["int64", '.astype("int16")']),
    "16 bits without a sign": ("(8000, mono.astype('uint16'))", ["uint16", '.astype("int16")']),
    "channels first": ("(8000, numpy.zeros((2, 800)))", ["(2, 800)", "array.T"]),
    "three axes": ("(8000, numpy.zeros((1, 2, 800)))", ["(1, 2, 800)", "(samples, channels)"]),
    "no channels": ("(8000, numpy.zeros((800, 0)))", ["(800, 0)"]),
    "the other order": ("(mono, 8000)", ["(rate, array), in this order"]),
    "no rate": ("mono", ["(rate, array)", "ndarray"]),
    "a list of numbers": ("(8000, [0, 1])", ["(rate, array)", "list is no array"]),
    "rate 0": ("(0, mono)", ["the rate is 0"]),
    "a rate below 0": ("(-8000, mono)", ["the rate is -8000"]),
    "half a rate": ("(0.5, mono)", ["the rate is 0.5"]),
    "a great rate": ("(10 ** 12, mono)", ["the rate is 1000000000000"]),
    "an endless rate": ("(float('inf'), mono)", ["the rate is inf"]),
    "NaN as the rate": ("(float('nan'), mono)", ["the rate is nan"]),
    "text as the rate": ("('8000', mono)", ["the rate is '8000'"]),
    "True as the rate": ("(True, mono)", ["the rate is True"]),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    path = tmp_path_factory.mktemp("sounds") / "entrypoint.py"
    path.write_text(model(SOURCE))
    with serve(path) as server:
        yield server


@pytest.mark.parametrize("case", SENT.values(), ids=SENT)
def test_a_rate_and_samples_are_a_wav_file(server, case):
    expression, rate, width, samples = case
    for media in ["audio/wav", "audio/x-wav"]:
        answer = server.post(text=expression, type=media)
        assert (answer.status, answer.type) == (200, media), answer
        with wave.open(io.BytesIO(answer.body)) as sound:
            assert (sound.getframerate(), sound.getsampwidth()) == (rate, width)
            assert sound.getnframes() == len(samples)
            data = sound.readframes(len(samples))
            channels = sound.getnchannels()
        seen = numpy.frombuffer(data, "<i2" if width == 2 else "u1")
        if channels > 1:
            seen = seen.reshape(-1, channels)
        assert seen.tolist() == samples


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_what_is_no_sound_is_refused_with_the_way_out(server, case):
    expression, words = case
    answer = server.post(text=expression, type="audio/wav")
    assert answer.status == 500, answer
    for word in ["cannot be sent", *words]:
        assert word in answer.json()["detail"]
    assert "Traceback" not in answer.json()["detail"]


def test_a_rate_and_samples_go_with_no_other_type(server):
    answer = server.post(text="(8000, mono)", type="audio/mpeg")
    assert answer.status == 500
    assert "(rate, array) under audio/wav" in answer.json()["detail"]
