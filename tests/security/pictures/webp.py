"""WebP: chunks in any order, canvases and frames."""

import struct

from .parts import SIZES, any_size, rearranged, saved


def webp_chunks(data):
    at, chunks = 12, []
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at + 4)
        chunks.append((data[at : at + 4], data[at + 8 : at + 8 + length]))
        at += 8 + length + length % 2
    return chunks


def webp_file(chunks, short=0):
    body = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
        for kind, data in chunks
    )
    return b"RIFF" + struct.pack("<I", max(0, len(body) - short)) + body


def webp(random):
    size = random.choice(SIZES)
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\0"
    base = random.choice([
        saved("WEBP", size=size), saved("WEBP", size=size, lossless=True),
        saved("WEBP", size=size, frames=random.choice([3, 8, 9])),
        saved("WEBP", size=size, exif=exif)])  # fmt: skip
    chunks = webp_chunks(base)
    frames = [chunk for chunk in chunks if chunk[0] == b"ANMF"]
    for _ in range(random.randint(0, 2)):
        change = random.randrange(5)
        if change == 0:
            chunks = rearranged(random, chunks)
        elif change == 1 and chunks and chunks[0][0] == b"VP8X":
            sides = b"".join(struct.pack("<I", max(side, 1) - 1)[:3] for side in any_size(random))
            flags = chunks[0][1][0] ^ random.choice([0, 0, 2])
            chunks[0] = (b"VP8X", bytes([flags, 0, 0, 0]) + sides)
        elif change == 2 and frames:
            chunks += frames * random.randint(1, 4)
        elif change == 3 and chunks:
            kind, data = chunks[0]
            width, height = (side & 0x3FFF for side in any_size(random))
            if kind == b"VP8 ":
                chunks[0] = (kind, data[:6] + struct.pack("<HH", width, height) + data[10:])
            elif kind == b"VP8L":
                bits = (width - 1 & 0x3FFF) | (height - 1 & 0x3FFF) << 14
                chunks[0] = (kind, data[:1] + struct.pack("<I", bits) + data[5:])
        else:
            chunks.insert(random.randint(0, len(chunks)), (b"JUNK", b"odd"))
    return webp_file(chunks, random.choice([0, 0, 0, 1, 2, 100]))
