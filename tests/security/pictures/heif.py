"""AVIF and HEIC: boxes in any order, with any size of images, and any number in a sequence."""

import struct

from .parts import SIZES, any_size, rearranged, saved, scratched

NESTED = {b"moov": 0, b"trak": 0, b"mdia": 0, b"minf": 0, b"stbl": 0, b"iprp": 0, b"ipco": 0,
          b"meta": 4, b"iref": 4, b"iinf": 6}  # fmt: skip


def boxes(data):
    """A tree of `[kind, head, content]`, where content is bytes, or the boxes in it."""
    at, tree = 0, []
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + length if length else len(data)
        skipped = NESTED.get(kind)
        content = data[at + 8 : end]
        if skipped is not None:
            tree.append([kind, content[:skipped], boxes(content[skipped:])])
        else:
            tree.append([kind, b"", content])
        at = end
    return tree


def box_file(random, tree):
    file = b""
    for kind, head, content in tree:
        body = head + (box_file(random, content) if isinstance(content, list) else content)
        wrong = [0, 1, 7, len(body) + 9, len(body), 1 << 31]
        length = random.choice(wrong) if random.random() < 0.003 else len(body) + 8
        if random.random() < 0.01:
            file += struct.pack(">I4sQ", 1, kind, len(body) + 16) + body
        else:
            file += struct.pack(">I4s", length, kind) + body
    return file


def lists(tree):
    """All lists of boxes in a tree, itself among them."""
    yield tree
    for _, _, content in tree:
        if isinstance(content, list):
            yield from lists(content)


def change_boxes(random, tree):
    every = [(siblings, n) for siblings in lists(tree) for n in range(len(siblings))]
    change = random.randrange(8)
    wanted = {0: b"ispe", 1: b"tkhd", 2: b"stsc", 3: b"stco", 4: b"ipma", 5: b"pitm"}.get(change)
    matching = [place for place in every if place[0][place[1]][0] == wanted]
    if change == 6:
        siblings = random.choice(list(lists(tree)))
        siblings[:] = rearranged(random, siblings)
        return
    if change == 7:
        siblings, n = random.choice(every)
        if isinstance(siblings[n][2], bytes) and siblings[n][0] != b"mdat" and siblings[n][2]:
            siblings[n] = [*siblings[n][:2], scratched(random, siblings[n][2])]
        return
    if not matching:
        return
    siblings, n = random.choice(matching)
    kind, head, content = siblings[n]
    width, height = any_size(random)
    if wanted == b"ispe":
        content = content[:4] + struct.pack(">II", width, height)
        if random.random() < 0.3:
            siblings.append([kind, head, content])
            return
    elif wanted == b"tkhd":
        content = content[:-8] + struct.pack(">HHHH", width & 0xFFFF, 0, height & 0xFFFF, 0)
    elif wanted == b"stsc":
        images = struct.pack(">I", random.choice([0, 1, 3, 8, 9, 100]))
        content = content[:12] + images + content[16:]
    elif wanted == b"pitm":
        content = content[:4] + struct.pack(">H", random.choice([0, 1, 2, 3]))
    else:
        content = scratched(random, content)
    siblings[n] = [kind, head, content]


def iso(random, base):
    tree = boxes(base)
    for _ in range(random.choice([0, 1, 1, 2])):
        change_boxes(random, tree)
    if random.random() < 0.2:
        brand = random.choice([b"avif", b"avis", b"mif1", b"msf1", b"heic"])
        tree = [[kind, head, brand + content[4:] if kind == b"ftyp" else content]
                for kind, head, content in tree]  # fmt: skip
    return box_file(random, tree)


def avif(random):
    size = random.choice(SIZES)
    return iso(random, random.choice([
        saved("AVIF", size=size, speed=10), saved("AVIF", size=size, mode="RGBA", speed=10),
        saved("AVIF", size=size, frames=random.choice([3, 8, 9]), speed=10)]))  # fmt: skip


def heic(random):
    size = random.choice([(64, 64), (100, 100), (125, 80), (101, 100)])
    return iso(random, random.choice([
        saved("HEIF", size=size), saved("HEIF", size=size, mode="RGBA"),
        saved("HEIF", size=size, frames=random.choice([3, 8, 9]))]))  # fmt: skip
