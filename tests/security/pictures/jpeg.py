"""JPEG and the Multi-Picture Format: segments in any order, with any size, and junk between."""

import struct

from .parts import any_size, rearranged, saved, scratched


def jpeg_segments(data):
    at, segments = 2, []
    while data[at + 1] != 0xDA:
        length = struct.unpack_from(">H", data, at + 2)[0] + 2
        segments.append(data[at : at + length])
        at += length
    return segments, data[at:]


def jpeg_frame(size, kind=0xC0, bits=8):
    return struct.pack(">BBHBHHB", 0xFF, kind, 17, bits, size[1] & 0xFFFF, size[0] & 0xFFFF, 3) + (
        b"\1\x22\0\2\x11\1\3\x11\1"
    )


def jpeg(random):
    base = random.choice([saved("JPEG"), saved("JPEG", mode="L"), saved("JPEG", progressive=True),
                          saved("MPO", frames=3), saved("MPO", frames=3)])  # fmt: skip
    segments, pixels = jpeg_segments(base)
    for _ in range(random.randint(0, 3)):
        change = random.randrange(6)
        if change == 0:
            segments = rearranged(random, segments)
        elif change == 1:
            kind = random.choice([0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC9, 0xCF, 0xDE, 0xC8])
            frame = jpeg_frame(any_size(random), kind, random.choice([8, 8, 8, 12]))
            place = random.randint(0, len(segments))
            segments[place : place + random.randint(0, 1)] = [frame]
        elif change == 2:
            junk = random.choice([b"\0", b"\xff", b"\xff\0", b"junk", b"\xff\xd8", b"\xff\xf3",
                                  b"\xff\xd0" + jpeg_frame((9, 9)), b"\xff\1"])  # fmt: skip
            segments.insert(random.randint(0, len(segments)), junk)
        elif change == 3:
            segments.insert(0, b'\xff\xe1\0\x1dhttp://x\0 hdrgm:Version="1')
        elif change == 4:
            frames = (b"\xff\xc0", b"\xff\xc2")
            segments = [jpeg_frame(any_size(random), one[1]) if one.startswith(frames) else one
                        for one in segments]  # fmt: skip
        else:
            segments = [mpf(random, one) if one[4:8] == b"MPF\0" else one for one in segments]
    return b"\xff\xd8" + b"".join(segments) + pixels


def mpf(random, segment):
    """Another number of pictures, of another type, and other places of them."""
    index = bytearray(segment)
    # The head of the TIFF, the number of fields, and a version stand before.
    field = 8 + 8 + 2 + 12
    change = random.randrange(4)
    if change == 0:
        struct.pack_into("<HI", index, field + 2, random.choice([1, 3, 4, 9, 16]), 1)
        struct.pack_into("<I", index, field + 8, random.choice([1, 2, 3, 4, 9, 300]))
    elif change == 1:
        count = random.choice([2, 8, 9, 20])
        version = struct.pack("<HHII", 0xB000, 7, 4, 0x30303130)
        number = struct.pack("<HHII", 0xB001, 4, 1, count)
        where = struct.pack("<HHII", 0xB002, 7, 16 * count, 50)
        entries = struct.pack("<IIIHH", 0, 0, random.choice([0, 1, 5]), 0, 0) * count
        index = b"MPF\0II*\0\x08\0\0\0\3\0" + version + number + where + b"\0\0\0\0" + entries
        return b"\xff\xe2" + struct.pack(">H", len(index) + 2) + index
    else:
        return scratched(random, segment)
    return bytes(index)
