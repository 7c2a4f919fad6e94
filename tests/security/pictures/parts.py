"""Parts that the makers of nearly valid pictures share."""

import functools
import io
import warnings

import pillow_heif
from PIL import Image

SIZE = (40, 30)
SIZES = [SIZE, SIZE, (100, 100), (101, 100), (250, 41)]
# Sides at the limits of fields, and around the limit of the tests, which is 100 x 100.
SIDES = [0, 1, 2, 40, 99, 100, 101, 250, 251, 1000, 10_000, 10_001, 16_383, 65_535, 0x10000]
SIDES += [0xFFFFFF, 0x1000000, 0x7FFFFFFF, 0x80000000, 0xFF000001, 0xFFFFFFFF - 39, 0xFFFFFFFF]
FRAMES = [0, 1, 2, 7, 8, 9, 100, 65_536, 0x7FFFFFFF, 0x80000001]


@functools.cache
def saved(form, frames=1, mode="RGB", size=SIZE, **options):
    """A file of `frames` different pictures, as Pillow writes it."""
    pictures = [Image.linear_gradient("L").resize(size).point(lambda p, n=n: p ^ n).convert(mode)
                for n in range(frames)]  # fmt: skip
    if frames > 1:
        options.update(save_all=True, append_images=pictures[1:])
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pictures[0].save(file, form, **options)
    return file.getvalue()


def any_size(random):
    """A size, most often about as large as the limit."""
    if random.random() < 0.5:
        side = random.choice([1, 10, 50, 100, 125, 200, 1000])
        return side, 10_000 // side + random.choice([-1, 0, 0, 1])
    return random.choice(SIDES), random.choice(SIDES)


def rearranged(random, parts):
    """A list with one of its parts left out, moved, or there twice."""
    parts = list(parts)
    if not parts:
        return parts
    part = parts[random.randrange(len(parts))]
    if random.random() < 0.6:
        parts.remove(part)
    if random.random() < 0.7:
        parts.insert(random.randrange(len(parts) + 1), part)
    return parts


def scratched(random, data, length=200):
    """Other bytes at one to four places in the beginning."""
    data = bytearray(data)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(min(length, len(data)))
        data[at] = random.choice([0, 1, 0xFF, data[at] ^ 1 << random.randrange(8),
                                  random.randrange(256)])  # fmt: skip
    return bytes(data)


pillow_heif.register_heif_opener()
