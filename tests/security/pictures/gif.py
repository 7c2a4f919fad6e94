"""GIF: images anywhere, and extensions that hide some."""

import struct

from .parts import any_size, saved


def gif_image(place):
    return b"," + struct.pack("<HHHH", *(n & 0xFFFF for n in place)) + b"\0\x02\x02\x4c\x01\0"


def gif(random):
    base = random.choice([saved("GIF"), saved("GIF", frames=3, loop=0, comment=b"comment")])
    data = bytearray(base)
    if random.random() < 0.5:
        struct.pack_into("<HH", data, 6, *(side & 0xFFFF for side in any_size(random)))
    if random.random() < 0.2:
        return bytes(data)
    blocks = []
    for _ in range(random.randint(0, 12)):
        change = random.randrange(7)
        if change < 3:
            width, height = any_size(random) if change == 0 else (9, 9)
            blocks.append(gif_image((random.choice([0, 0, 5]), 0, width, height)))
        elif change == 3:
            label = random.choice([0xF9, 0xFE, 0xFF, 0x01, 0x55])
            inside = gif_image((0, 0, *any_size(random)))
            hidden = random.choice([b"", b"\0", inside, bytes([len(inside)]) + inside + b"\0"])
            blocks.append(bytes([0x21, label, 0]) + hidden)
        elif change == 4:
            control = [random.choice([0, 1]), 0, 0, 0][: random.randint(1, 4)]
            blocks.append(bytes([0x21, 0xF9, len(control), *control, 0]))
        elif change == 5:
            loop = random.choice([b"\3\1\0\0\0", b"\0", b"\0\0"])
            blocks.append(b"!\xff\x0bNETSCAPE2.0" + loop)
        else:
            blocks.append(random.choice([b"\0", b"x", b";", b"!\xfe\2hi\0", b"!"]))
    flags = data[10] & 0x7F if random.random() < 0.5 else data[10]
    table = data[13 : 13 + (3 << ((flags & 7) + 1))] if flags & 0x80 else b""
    tail = data[13 + len(table) :] if random.random() < 0.3 else b";"
    return bytes(data[:10]) + bytes([flags]) + bytes(data[11:13]) + table + b"".join(blocks) + tail
