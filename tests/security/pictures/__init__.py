"""Pictures of every format, and files that are nearly pictures: seeded, so that each can be made
again."""

from .bmp import bmp
from .gif import gif
from .heif import avif, heic
from .jpeg import jpeg
from .parts import scratched
from .png import png
from .tiff import tiff
from .webp import webp

FORMATS = {"png": png, "jpeg": jpeg, "gif": gif, "webp": webp, "bmp": bmp, "tiff": tiff,
           "avif": avif, "heic": heic}  # fmt: skip


def picture(name, random):
    """A file of a format, or of nearly one."""
    data = FORMATS[name](random)
    if random.random() < 0.25:
        data = scratched(random, data)
    if random.random() < 0.05:
        data = data[: random.randrange(len(data))]
    return data
