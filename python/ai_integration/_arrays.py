"""Arrays of numbers that a model gives as a picture or a sound.

NumPy is used where the author's program has loaded it, and never imported.
"""

import sys

from ._unsendable import Unsendable

# How far beyond its range a float may be: sums of rounded numbers come out like that.
_ROUNDING = 1e-6


def as_array(value):
    """A NumPy array of what the author's program has as one, or as a tensor."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        raise Unsendable("a %s can be sent where the program has NumPy" % type(value).__name__)
    try:
        array = numpy.asarray(_within_reach(value))
    except Exception as reason:
        raise Unsendable("no NumPy array can be made of it, as by .cpu().numpy(): %s" % reason)
    # NumPy has no such type of its own.
    return array.astype("float32") if array.dtype.name == "bfloat16" else array


def _within_reach(value):
    """A tensor or array where NumPy can read it: off the GPU, and out of the graph of gradients."""
    for name in ("detach", "cpu"):
        step = getattr(value, name, None)
        if callable(step):
            value = step()
    if str(getattr(value, "dtype", None)) == "torch.bfloat16":
        return value.float()
    if hasattr(value, "__cuda_array_interface__") and callable(getattr(value, "get", None)):
        # One of CuPy.
        return value.get()
    return value


def scaled(array, lowest, dtype):
    """An array of floats from `lowest` to 1 as integers of this type, whose greatest is for 1."""
    numpy = sys.modules["numpy"]
    if not array.size:
        return array.astype(dtype)
    factor = int(numpy.iinfo(dtype).max)
    least, most = float(array.min()), float(array.max())
    if least != least:
        raise Unsendable("the array holds NaN: replace it, as by numpy.nan_to_num(array)")
    if not (lowest - _ROUNDING <= least and most <= 1 + _ROUNDING):
        raise Unsendable(
            "floats go from %d to 1, and these from %.6g to %.6g: scale them, or limit them by"
            ' .clip(%d, 1); values that go to %d are integers, by .astype("%s")'
            % (lowest, least, most, lowest, factor, dtype)
        )
    # In 16 bits the product would be rounded a second time.
    wide = array.astype("float32") if array.dtype.itemsize < 4 else array
    return numpy.rint(numpy.clip(wide, lowest, 1) * float(factor)).astype(dtype)
