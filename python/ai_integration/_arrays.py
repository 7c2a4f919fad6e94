"""Converts arrays of numbers that a model gives as a picture or a sound.

NumPy is used if the author's program has loaded it, and never imported.
"""

import sys

from ._unsendable import Unsendable

# The amount that a float may be out of its range, because sums of floats are rounded.
_ROUNDING = 1e-6


def as_array(value):
    """Returns an array or a tensor of the author's program as a NumPy array."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        raise Unsendable(
            "a %s can be sent only if the program has loaded NumPy" % type(value).__name__
        )
    try:
        array = numpy.asarray(_within_reach(value))
    except Exception as reason:
        raise Unsendable(
            "it cannot be converted to a NumPy array, as by .cpu().numpy(): %s" % reason
        )
    # This type is not one of NumPy's own, and later steps need one.
    return array.astype("float32") if array.dtype.name == "bfloat16" else array


def _within_reach(value):
    """Returns a tensor or array that NumPy can read: off the GPU, and without gradients."""
    for name in ("detach", "cpu"):
        step = getattr(value, name, None)
        if callable(step):
            value = step()
    if str(getattr(value, "dtype", None)) == "torch.bfloat16":
        return value.float()
    if hasattr(value, "__cuda_array_interface__") and callable(getattr(value, "get", None)):
        # An array of CuPy.
        return value.get()
    return value


def scaled(array, lowest, dtype):
    """Returns floats from `lowest` to 1 as integers of `dtype`; 1 becomes its greatest value."""
    numpy = sys.modules["numpy"]
    if not array.size:
        return array.astype(dtype)
    factor = int(numpy.iinfo(dtype).max)
    least, most = float(array.min()), float(array.max())
    if least != least:
        raise Unsendable("the array holds NaN: replace it, for example by numpy.nan_to_num")
    if not (lowest - _ROUNDING <= least and most <= 1 + _ROUNDING):
        raise Unsendable(
            "floats go from %d to 1, and these from %.6g to %.6g: scale them, or limit them with"
            ' .clip(%d, 1); if the values go to %d, make them integers with .astype("%s")'
            % (lowest, least, most, lowest, factor, dtype)
        )
    # In 16 bits the product would be rounded a second time.
    wide = array.astype("float32") if array.dtype.itemsize < 4 else array
    return numpy.rint(numpy.clip(wide, lowest, 1) * float(factor)).astype(dtype)
