"""TIFF: pages in either order of bytes, plain and big, with sizes of any type and number."""

import struct

from .parts import SIZE, any_size, rearranged, saved

UNITS = {1: "B", 2: "B", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I",
         16: "Q", 99: "I"}  # fmt: skip


def fitting(code, value):
    """A number of a type, as near to `value` as it goes."""
    if code in "fd":
        return float(value)
    bits = 8 * struct.calcsize(code)
    least = -(1 << bits - 1) if code.islower() else 0
    return (value - least) % (1 << bits) + least


def values(random, tag, kind, value):
    """The type of a field and its values; a size may have any type, and several values."""
    if tag not in (256, 257) or random.random() < 0.6:
        return kind, [value]
    kind, count = random.choice(list(UNITS)), random.choice([1, 1, 1, 1, 0, 2, 3, 5])
    return kind, [value, 7, 50_000, 1, 2][:count]


def tiff_page(random, order, is_wide, at, is_last):
    """A directory at `at`, with its data behind it."""
    offset, count = ("Q", "Q") if is_wide else ("I", "H")
    width, height = any_size(random) if random.random() < 0.5 else SIZE
    fields = {254: (4, 0), 256: (4, width), 257: (4, height), 258: (3, 8), 259: (3, 1),
              262: (3, 1), 273: (4, 8), 277: (3, 1), 278: (4, height), 279: (4, 1)}  # fmt: skip
    entries = [(tag, *field) for tag, field in fields.items()]
    for _ in range(random.choice([0, 0, 1, 2])):
        entries = rearranged(random, entries)
    head = struct.calcsize(count) + len(entries) * (20 if is_wide else 12) + struct.calcsize(offset)
    body, data = b"", b""
    for tag, kind, value in entries:
        kind, numbers = values(random, tag, kind, value)
        code = UNITS[kind]
        numbers = [fitting(code, number) for number in numbers]
        packed = struct.pack(f"{order}{len(numbers)}{code}", *numbers)
        room = struct.calcsize(offset)
        if len(packed) > room:
            place = at + head + len(data)
            data += packed
            packed = struct.pack(order + offset, random.choice([place] * 9 + [0xFFFFFF]))
        length = random.choice([len(numbers)] * 19 + [1 << 31])
        body += struct.pack(f"{order}HH{offset}", tag, kind, length) + packed.ljust(room, b"\0")
    following = 0 if is_last else at + head + len(data)
    if random.random() < 0.05:
        following = random.choice([8, at, 0xFFFF])
    tags = struct.pack(order + count, len(entries) + random.choice([0] * 19 + [1]))
    return tags + body + struct.pack(order + offset, following) + data


def tiff(random):
    if random.random() < 0.2:
        return random.choice([
            saved("TIFF"), saved("TIFF", frames=3), saved("TIFF", big_tiff=True),
            saved("TIFF", frames=9), saved("TIFF", compression="tiff_lzw")])  # fmt: skip
    order, is_wide = random.choice("<>"), random.random() < 0.3
    mark = b"II" if order == "<" else b"MM"
    file = mark + (
        struct.pack(order + "HHH", 43, 8, 0) if is_wide else struct.pack(order + "H", 42)
    )
    if not is_wide and random.random() < 0.05:
        file = mark + file[:1:-1]
    file += struct.pack(order + ("Q" if is_wide else "I"), len(file) + (8 if is_wide else 4))
    pages = random.choice([1, 1, 1, 2, 3, 8, 9])
    for page in range(pages):
        file += tiff_page(random, order, is_wide, len(file), page + 1 == pages)
    return file + b"\0" * random.choice([0, 50, 5000])
