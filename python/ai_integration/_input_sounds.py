"""Decodes sounds to `(rate, array)`, with the library soundfile, or from WAV only without it.

Both ways give the same: samples of float32 from -1 to 1, of the shape `(samples,)`, or
`(samples, channels)` if there are several channels.
"""

import contextlib
import io
import struct
import wave

from . import _input_files, _process
from ._undecodable import Undecodable, text_of

# Samples of all channels: 1 GiB of them, or 50 minutes of stereo at 44.1 kHz.
_MOST = 1 << 28

# The codes in the header of a WAV file for integer samples, and for the extensible form of header,
# which has the code of the samples further behind. `wave` reads that form from Python 3.12 on.
_INTEGERS = struct.pack("<H", 1)
_EXTENSIBLE = struct.pack("<H", 0xFFFE)
_SUBFORMAT = 24
# The maximum length that the header of a file can state.
_LONGEST = (1 << 32) - 1
# The maximum number of chunks of a WAV file before the chunk with its format.
_MOST_CHUNKS = 1000

_TOO_LONG = "expected a sound of at most %d samples, got one of more, or of unknown length" % _MOST


def check():
    """Raises `ImportError` if NumPy is missing, and warns if most formats cannot be read."""
    try:
        import numpy  # noqa: F401
    except ImportError as reason:
        raise ImportError("NumPy is missing (%s): python -m pip install numpy" % reason)
    if _soundfile() is None:
        _process.warn(
            "sounds can be decoded from WAV only, because the library soundfile is not installed:"
            " python -m pip install soundfile"
        )


def decode(data):
    """Returns the rate and the samples of a file's bytes."""
    soundfile = _soundfile()
    rate, array = _by_wave(data) if soundfile is None else _by_soundfile(soundfile, data)
    if not len(array):
        raise Undecodable("expected a sound, got one without a sample")
    return rate, array


def _soundfile():
    try:
        import soundfile
    except (ImportError, OSError):
        # The package is not installed, or the C library that it needs is missing.
        return None
    return soundfile


def _by_soundfile(soundfile, data):
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            if file.frames * file.channels > _MOST:
                raise Undecodable(_TOO_LONG)
            return file.samplerate, file.read(dtype="float32")
    except (Undecodable, MemoryError):
        raise
    except Exception as reason:
        raise Undecodable(
            "expected a sound that soundfile reads, such as wav, flac, ogg or mp3, got %s: %s"
            % (_given(data), text_of(getattr(reason, "error_string", reason)))
        )


def _by_wave(data):
    try:
        with contextlib.closing(wave.open(io.BytesIO(_readable(data)), "rb")) as file:
            channels, width, rate = file.getparams()[:3]
            if not 1 <= width <= 4:
                raise ValueError("samples of %d bytes" % width)
            if rate < 1:
                raise ValueError("a rate of 0")
            if len(data) // width > _MOST:
                raise Undecodable(_TOO_LONG)
            samples = file.readframes(file.getnframes())
    except (Undecodable, MemoryError):
        raise
    except Exception as reason:
        raise Undecodable(
            "expected a sound in wav with integers as samples, because the program lacks the"
            " library soundfile, which reads other formats; got %s: %s"
            % (_given(data), text_of(reason))
        )
    return rate, _as_floats(samples, channels, width)


def _readable(data):
    """Returns a WAV file with a header that `wave` reads: of the plain form, with a length."""
    at = 12
    for _ in range(_MOST_CHUNKS):
        if data[at : at + 4] == b"fmt " or len(data) < at + 8:
            break
        (size,) = struct.unpack("<I", data[at + 4 : at + 8])
        at += 8 + size + size % 2
    at += 8
    form, subformat = data[at : at + 2], data[at + _SUBFORMAT : at + _SUBFORMAT + 2]
    if form == _EXTENSIBLE and subformat == _INTEGERS:
        form = _INTEGERS
    # A program that wrote the file to a pipe could not know its length.
    length = struct.pack("<I", min(len(data), _LONGEST) - 8) if len(data) > 12 else data[4:8]
    return b"".join((data[:4], length, data[8:at], form, data[at + 2 :]))


def _as_floats(samples, channels, width):
    """Returns the samples of a WAV file as floats; each has 1 to 4 bytes in little-endian order."""
    import numpy

    frames = len(samples) // (channels * width)
    count = frames * channels
    given = numpy.frombuffer(samples, dtype="uint8", count=count * width).reshape(count, width)
    wide = numpy.zeros((count, 4), dtype="uint8")
    wide[:, 4 - width :] = given
    if width == 1:
        # Samples of one byte are unsigned.
        wide[:, 3] ^= 0x80
    array = wide.view("<i4")[:, 0].astype("float32") / numpy.float32(1 << 31)
    return array if channels == 1 else array.reshape(frames, channels)


def _given(data):
    known = _input_files.format_of(data)
    return "%d bytes of something else" % len(data) if known is None else known
