"""PNG: chunks in any order, twice, and with any size."""

import struct
import zlib

from .parts import FRAMES, any_size, rearranged, saved


def png_chunks(data):
    at, chunks = 8, []
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += length + 12
    return chunks


def png_file(chunks):
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def png(random):
    base = random.choice([saved("PNG"), saved("PNG", mode="P"), saved("PNG", frames=3),
                          saved("PNG", frames=3, default_image=True)])  # fmt: skip
    chunks = png_chunks(base)
    head = chunks[0][1]
    for _ in range(random.randint(0, 3)):
        change = random.randrange(6)
        if change == 0:
            chunks = rearranged(random, chunks)
        elif change == 1:
            size = struct.pack(">II", *any_size(random))
            more = b"\0" * random.choice([0, 0, 0, 1, 20])
            place = random.choice([0, 0, 0, 1, len(chunks)])
            chunks[place : place + random.randint(0, 1)] = [(b"IHDR", size + head[8:] + more)]
        elif change == 2:
            control = (b"acTL", struct.pack(">II", random.choice(FRAMES), 0))
            chunks.insert(random.randint(0, min(4, len(chunks))), control)
        elif change == 3:
            chunks.insert(random.randint(0, 2), (b"tEXt", b"key\0value"))
        elif change == 4:
            chunks = [(kind, struct.pack(">I", random.choice(FRAMES)) + data[4:])
                      if kind == b"acTL" else (kind, data) for kind, data in chunks]  # fmt: skip
        else:
            chunks = [chunk for chunk in chunks if chunk[0] != b"fcTL" or random.random() < 0.5]
    return png_file(chunks)
