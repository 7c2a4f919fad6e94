"""Encodes sounds that a model gives as a rate and an array of samples, as WAV files."""

import contextlib
import io
import numbers
import wave

from . import _arrays
from ._unsendable import Unsendable

# An array with more channels probably has its axes in the wrong order.
_MOST_CHANNELS = 32
# In bytes: the sizes in the header of a WAV file have 32 bits.
_LARGEST = (1 << 32) - 100

_FORM = "a sound is bytes, a file, or (rate, array)"


def encode(value):
    """Encodes `(rate, array)` as a WAV file."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise Unsendable("%s, not an object of type %s" % (_FORM, type(value).__name__))
    rate, array = value
    if hasattr(rate, "__array__") and getattr(rate, "shape", ()) != ():
        raise Unsendable(_FORM + ", in this order")
    if not hasattr(array, "__array__"):
        raise Unsendable("%s, and %s is no array" % (_FORM, type(array).__name__))
    samples = _samples(_arrays.as_array(array))
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    width = samples.dtype.itemsize
    rate = _whole_rate(rate, channels * width)
    if samples.nbytes > _LARGEST:
        raise Unsendable("%d bytes of samples are more than a WAV file holds" % samples.nbytes)
    written = io.BytesIO()
    with contextlib.closing(wave.open(written, "wb")) as file:
        file.setparams((channels, width, rate, 0, "NONE", "not compressed"))
        file.writeframes(samples.tobytes())
    return written.getvalue()


def _whole_rate(rate, frame):
    is_number = isinstance(rate, numbers.Real) and not isinstance(rate, bool)
    if not is_number or rate != rate or not 1 <= rate * frame <= _LARGEST or rate != int(rate):
        raise Unsendable("the rate is %.80r, not a whole number of samples in a second" % (rate,))
    return int(rate)


def _samples(array):
    """Converts samples to those of a WAV file: 16 bits with a sign, or 8 bits without."""
    if array.ndim not in (1, 2) or (array.ndim == 2 and not 1 <= array.shape[1] <= _MOST_CHANNELS):
        way_out = ""
        if array.ndim == 2 and 1 <= array.shape[0] <= _MOST_CHANNELS:
            way_out = "; move the channels last with array.T"
        raise Unsendable(
            "an array of samples has the shape (samples,) or (samples, channels), not %s%s"
            % (array.shape, way_out)
        )
    if array.dtype.kind == "f":
        array = _arrays.scaled(array, -1, "int16")
    if array.dtype == "uint8":
        return array
    if array.dtype.kind != "i" or array.dtype.itemsize != 2:
        raise Unsendable(
            "an array of samples is of int16, of floats from -1 to 1 or of uint8, not of %s: call"
            ' .astype("int16") if the values go from -32768 to 32767' % array.dtype
        )
    return array.astype("<i2")
