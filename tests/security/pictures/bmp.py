"""Bitmaps of Windows and OS/2, from the bottom up and from the top down."""

import struct

from .parts import any_size


def bmp(random):
    length = random.choice([12, 12, 16, 40, 40, 40, 52, 56, 64, 108, 124, 41])
    width, height = any_size(random)
    bits = random.choice([1, 4, 8, 16, 24, 32])
    if random.random() < 0.3:
        height = -height
    if length == 12:
        head = struct.pack("<IHHHH", 12, width & 0xFFFF, height & 0xFFFF, 1, bits)
    else:
        compression = random.choice([0, 0, 0, 1, 3])
        head = struct.pack("<IIIHHII", length, width & 0xFFFFFFFF, height & 0xFFFFFFFF, 1, bits,
                           compression, 0)  # fmt: skip
        head = head.ljust(length, b"\0")
        if compression == 3 and length == 40:
            head += struct.pack("<III", 0xFF0000, 0xFF00, 0xFF)[: random.choice([12, 12, 8])]
    start = b"BM" + struct.pack("<IHHI", 0, 0, 0, 14 + len(head))
    return start + head + b"\0" * random.choice([0, 8, 2000])
