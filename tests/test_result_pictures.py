"""Pictures that models return as objects: they arrive as the model drew them, or the error names a
way out."""

import io
import re
from pathlib import Path

import pytest
from compat import model
from PIL import Image, ImageChops, ImageStat
from support import serve

# Also run here, to know what the model has drawn.
DRAWING = """
from PIL import Image

SIZE = (32, 24)
ALPHAS = ("LA", "La", "PA", "RGBA", "RGBa")


def ramps():
    across = Image.linear_gradient("L").resize(SIZE)
    return across, across.rotate(180), Image.radial_gradient("L").resize(SIZE)


def drawn(mode):
    red, green, blue = ramps()
    color = Image.merge("RGB", (red, green, blue))
    clear = Image.merge("RGBA", (red, green, blue, green.point(lambda value: value // 2 + 64)))
    if mode == "LAB":
        return Image.merge("LAB", (red, Image.new("L", SIZE, 140), Image.new("L", SIZE, 120)))
    if mode in ("P", "PA"):
        few = color.quantize(16)
        if mode == "P":
            return few
        both = few.convert("PA")
        both.putalpha(clear.getchannel("A"))
        return both
    if mode == "P clear":
        few = color.quantize(16)
        few.info["transparency"] = 3
        return few
    if mode == "P alphas":
        few = color.quantize(16)
        few.info["transparency"] = bytes(bytearray(range(0, 256, 16)))
        return few
    if mode == "RGB clear":
        color = few_colors(color)
        color.info["transparency"] = color.getpixel((5, 5))
        return color
    if mode == "L clear":
        red.info["transparency"] = red.getpixel((5, 5))
        return red
    if mode in ("LA", "La"):
        return clear.convert("LA").convert(mode)
    if mode == "RGBa":
        return clear.convert("RGBa")
    if mode in ("I", "I;16", "I;16B", "I;16L", "I;16N"):
        deep = red.convert("I").point(lambda value: value * 257)
        return deep if mode == "I" else deep.convert("I;16").convert(mode)
    if mode == "F":
        return red.convert("F").point(lambda value: value * 0.00390625 + 0)
    return (clear if mode in ALPHAS else color).convert(mode)


def few_colors(color):
    return color.quantize(16).convert("RGB")
"""
SOURCE = (
    DRAWING
    + """
SCHEMA = {"mode": {"type": "text"}, "type": {"type": "text"}}


def infer(inputs):
    return {"content-type": inputs["type"], "data": drawn(inputs["mode"]), "success": True}
"""
)
FORMATS = {
    "image/avif": "AVIF",
    "image/bmp": "BMP",
    "image/gif": "GIF",
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/tiff": "TIFF",
    "image/webp": "WEBP",
}
CLEAR = ["LA", "La", "PA", "RGBA", "RGBa", "P clear", "P alphas", "RGB clear", "L clear"]
PLAIN = ["1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", *CLEAR]
SIXTEEN = ["I;16", "I;16B", "I;16L", "I;16N"]
DEEP = [*SIXTEEN, "I", "F"]
LOSSY = ["AVIF", "GIF", "JPEG", "WEBP"]
WITHOUT_ALPHA = ["BMP", "JPEG"]

_namespace = {}
exec(DRAWING, _namespace)
drawn = _namespace["drawn"]


def seen_as(picture):
    """The picture as a viewer shows it, with its transparency."""
    direct = {"La": "LA", "LAB": "RGB"}.get(picture.mode)
    return (picture.convert(direct) if direct else picture).convert("RGBA")


def on_white(picture):
    white = Image.new("RGBA", picture.size, "white")
    white.alpha_composite(picture)
    return white


def as_written(picture, kind):
    """Returns the pixels of an RGBA picture that Pillow wrote, on white without alpha."""
    if kind in WITHOUT_ALPHA:
        picture = on_white(picture)
    if kind not in LOSSY:
        return picture
    is_solid = picture.getchannel("A").getextrema() == (255, 255)
    written = io.BytesIO()
    options = {"quality": 95} if kind == "JPEG" else {}
    picture.convert("RGB" if is_solid else "RGBA").save(written, kind, **options)
    return seen_as(Image.open(written))


def is_like(one, other):
    """Returns true if two RGBA pictures differ by no more than rounding."""
    assert one.size == other.size
    differences = [
        # On white, since the colours of fully transparent pixels do not matter.
        ImageChops.difference(on_white(one), on_white(other)).convert("RGB"),
        ImageChops.difference(one.getchannel("A"), other.getchannel("A")),
    ]
    return all(max(ImageStat.Stat(each).mean) <= 1 for each in differences)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "entrypoint.py"
    path.write_text(model(SOURCE))
    with serve(path) as server:
        yield server


@pytest.mark.parametrize("media", FORMATS)
@pytest.mark.parametrize("mode", PLAIN)
def test_a_picture_of_any_mode_is_seen_as_the_model_made_it(server, mode, media):
    answer = server.post(mode=mode, type=media)
    assert answer.status == 200, answer
    seen = Image.open(io.BytesIO(answer.body))
    assert seen.format == FORMATS[media]
    exact = seen_as(drawn(mode))
    assert any(
        is_like(seen_as(seen), meant) for meant in (exact, as_written(exact, FORMATS[media]))
    )


@pytest.mark.parametrize("media", FORMATS)
@pytest.mark.parametrize("mode", DEEP)
def test_a_picture_of_more_bits_keeps_them_or_is_refused(server, mode, media):
    answer = server.post(mode=mode, type=media)
    kind = FORMATS[media]
    if kind == "TIFF" or (kind == "PNG" and mode != "F"):
        assert answer.status == 200, answer
        seen = Image.open(io.BytesIO(answer.body))
        assert (seen.format, seen.size) == (kind, (32, 24))
        number = "F" if mode == "F" else "I"
        meant = drawn(mode).convert(number)
        assert seen.convert(number).tobytes() == meant.tobytes()
        return
    assert answer.status == 500
    detail = answer.json()["detail"]
    for word in ["mode %s " % mode, kind, "eight bits", "Image.fromarray", "image/tiff"]:
        assert word in detail
    assert ("image/png" in detail) == (mode in SIXTEEN)


def test_the_documentation_has_the_modes_and_formats(server):
    page = (Path(__file__).parent.parent / "docs" / "results.md").read_text()
    kinds = ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"]
    rows = re.findall(r"^\| (`.*) \|$", page, re.M)
    table = [row.split(" | ") for row in rows if row.count(" | ") == len(kinds)]
    told = {mode: cells[1:] for cells in table for mode in re.findall("`(.*?)`", cells[0])}
    assert set(told) == {mode for mode in [*PLAIN, *DEEP] if "clear" not in mode} - {"P alphas"}
    for mode, cells in told.items():
        for kind, cell in zip(kinds, cells):
            answer = server.post(mode=mode, type="image/" + kind.lower())
            assert answer.status == (500 if cell == "refused" else 200), (mode, kind)
            if answer.status == 500:
                continue
            seen = Image.open(io.BytesIO(answer.body)).mode
            if cell == "on white":
                assert seen in ("L", "RGB")
            elif kind != "GIF":
                named = re.match("`(.*?)`", cell)
                assert seen == (named.group(1) if named else mode), (mode, kind)


ALONE = """
    import io
    import numpy
    from PIL import Image

    rows = numpy.arange(24, dtype="uint8").reshape(4, 6)
    colors = numpy.arange(72, dtype="uint8").reshape(4, 6, 3)
    clear = numpy.arange(96, dtype="uint8").reshape(4, 6, 4)

    class Tensor(object):
        "Becomes an array as tensors do."

        def __init__(self, array):
            self.array = array

        def __array__(self, dtype=None, copy=None):
            if self.array is None:
                raise TypeError("it is on the GPU")
            return self.array

    class OnDevice(Tensor):
        "As one of torch on a GPU and with gradients, which NumPy cannot read."
        dtype = "torch.uint8"

        @property
        def __cuda_array_interface__(self):
            raise RuntimeError("call detach()")

        def __array__(self, dtype=None, copy=None):
            raise TypeError("call cpu()")

        def detach(self):
            return self

        def cpu(self):
            return Tensor(self.array)

    class Halves(OnDevice):
        "As one of torch of a type that NumPy does not have."
        dtype = "torch.bfloat16"

        def cpu(self):
            return self

        def float(self):
            return Tensor(self.array)

    class OfCupy(Tensor):
        __cuda_array_interface__ = {}

        def __array__(self, dtype=None, copy=None):
            raise TypeError("call get()")

        def get(self):
            return self.array

    class OfJax(Tensor):
        @property
        def flat(self):
            raise NotImplementedError("arrays of JAX have no flat")

    SCHEMA = {"text": {"type": "text"}, "type": {"type": "text"}}

    def profiled(mode, profile=b"of the printer"):
        picture = Image.new(mode, (8, 4))
        picture.info["icc_profile"] = profile
        return picture

    COLORS = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (0, 0, 0)]

    def animated(kind, mode="RGB", **more):
        "An opened file of four frames, the last of which is clear where the mode can be."
        frames = [Image.new(mode, (8, 4), color + (255,) * (mode == "RGBA")) for color in COLORS]
        if mode == "RGBA":
            frames[3].putalpha(0)
            for frame in frames:
                # Pillow has no transparency in GIF otherwise.
                frame.putpixel((0, 0), (0, 0, 0, 0))
                frame.putpixel((7, 3), (9, 9, 9, 255))
        file = io.BytesIO()
        if kind != "TIFF":
            more = dict({"duration": [100, 200, 300, 400], "loop": 0}, **more)
        if mode == "RGBA" and kind == "GIF":
            more["disposal"] = 2
        frames[0].save(file, kind, save_all=True, append_images=frames[1:], **more)
        return Image.open(file)

    def at(picture, frame):
        picture.seek(frame)
        return picture

    def infer(inputs):
        return {"content-type": inputs["type"], "data": eval(inputs["text"]), "success": True}
"""


@pytest.fixture(scope="module")
def evaluating(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "entrypoint.py"
    path.write_text(model(ALONE))
    with serve(path) as server:
        yield server


def test_a_picture_is_put_on_white_with_one_warning(program):
    warning = "a picture with transparency was put on white, because JPEG has no transparency"
    with serve(program(model(ALONE))) as server:
        for _ in range(2):
            text = "Image.new('RGBA', (8, 8), (200, 0, 0, 255))"
            solid = Image.open(io.BytesIO(server.post(text=text, type="image/jpeg").body))
            assert solid.getpixel((4, 4))[0] in range(197, 204)
        assert warning not in server.output()
        for _ in range(2):
            text = "Image.new('RGBA', (8, 8), (0, 0, 0, 0))"
            clear = Image.open(io.BytesIO(server.post(text=text, type="image/jpeg").body))
            assert clear.getpixel((4, 4)) == (255, 255, 255)
        server.wait_for_output(warning)
        server.post(text="Image.new('LA', (8, 8), (0, 0))", type="image/bmp")
        assert server.output().count("was put on white") == 1


@pytest.mark.parametrize("media", ["image/png", "image/tiff"])
def test_a_color_profile_stays_with_the_colors_that_it_is_for(evaluating, media):
    def profile(text):
        answer = evaluating.post(text=text, type=media)
        assert answer.status == 200, answer
        return Image.open(io.BytesIO(answer.body)).info.get("icc_profile")

    assert profile("profiled('RGB')") == b"of the printer"
    assert profile("profiled('RGBA')") == b"of the printer"
    # The file of a format that has them keeps both.
    kept = b"of the printer" if media == "image/tiff" else None
    assert profile("profiled('CMYK')") == kept


ANIMATED = ["image/avif", "image/gif", "image/png", "image/tiff", "image/webp"]


def is_near(pixel, color):
    return all(abs(one - other) < 16 for one, other in zip(pixel, color, strict=True))


@pytest.mark.parametrize("media", ANIMATED)
@pytest.mark.parametrize(
    "text",
    [
        "animated('GIF')",
        "animated('PNG')",
        "animated('WEBP', lossless=True)",
        "animated('GIF', 'RGBA')",
        "animated('PNG', 'RGBA')",
        "at(animated('GIF'), 2)",
        "[animated('GIF')]",
    ],
)
def test_an_animated_picture_keeps_its_frames(evaluating, text, media):
    answer = evaluating.post(text=text, type=media)
    assert (answer.status, answer.type) == (200, media), answer
    seen = Image.open(io.BytesIO(answer.body))
    assert seen.n_frames == 4
    last = (0, 0, 0, 0 if "RGBA" in text else 255)
    for number, color in enumerate([(200, 0, 0, 255), (0, 200, 0, 255), (0, 0, 200, 255), last]):
        seen.seek(number)
        pixel = seen.convert("RGBA").getpixel((4, 2))
        assert is_near(pixel, color) or pixel[3] == color[3] == 0
        if media != "image/tiff":
            assert seen.info["duration"] == 100 * (number + 1)


def test_pages_of_a_file_stay_pages(evaluating):
    answer = evaluating.post(text="animated('TIFF')", type="image/tiff")
    seen = Image.open(io.BytesIO(answer.body))
    assert seen.n_frames == 4
    seen.seek(3)
    assert seen.getpixel((4, 2)) == (0, 0, 0)


@pytest.mark.parametrize("media", FORMATS)
def test_a_copy_of_a_frame_is_one_picture(evaluating, media):
    answer = evaluating.post(text="at(animated('PNG'), 2).copy()", type=media)
    seen = Image.open(io.BytesIO(answer.body))
    assert getattr(seen, "n_frames", 1) == 1
    assert is_near(seen.convert("RGB").getpixel((4, 2)), (0, 0, 200))


def test_frames_that_a_format_lacks_are_logged_once(program):
    warning = "only one of the 4 frames of a picture was sent, because JPEG cannot hold them"
    with serve(program(model(ALONE))) as server:
        for _ in range(2):
            answer = server.post(text="animated('GIF')", type="image/jpeg")
            assert Image.open(io.BytesIO(answer.body)).getpixel((4, 2))[0] > 180
        server.wait_for_output(warning)
        assert "frame.copy() for frame in ImageSequence.Iterator(picture)" in server.output()
        server.post(text="animated('TIFF')", type="image/jpeg")
        assert server.output().count("cannot hold them") == 1


def test_more_frames_than_can_be_held_are_refused(evaluating):
    text = "(lambda one: setattr(one, '_size', (1 << 15, 1 << 15)) or one)(animated('GIF'))"
    answer = evaluating.post(text=text, type="image/png")
    assert answer.status == 500
    assert "4 frames with 4294967296 pixels together" in answer.json()["detail"]


@pytest.mark.parametrize("media", FORMATS)
def test_a_picture_without_pixels_is_refused(evaluating, media):
    answer = evaluating.post(text="Image.new('RGB', (0, 5))", type=media)
    assert answer.status == 500
    assert "the picture is empty: it has 0 by 5 pixels" in answer.json()["detail"]


def test_integers_that_16_bits_do_not_hold_are_refused_as_png(evaluating):
    for value in ["-1", "65536"]:
        answer = evaluating.post(text="Image.new('I', (4, 4), %s)" % value, type="image/png")
        assert answer.status == 500
        assert "mode I has 32-bit integers, more than PNG holds" in answer.json()["detail"]


def test_a_format_that_pillow_lacks_is_an_error(evaluating):
    answer = evaluating.post(text="Image.new('RGB', (4, 4))", type="image/heic")
    assert answer.status == 500
    assert "pillow_heif.register_heif_opener()" in answer.json()["detail"]


def test_heic_is_written_where_the_program_has_what_it_takes(program):
    source = """
        import pillow_heif
        from PIL import Image

        pillow_heif.register_heif_opener()
        SCHEMA = {"mode": {"type": "text"}}

        def infer(inputs):
            picture = Image.new("RGB", (64, 64), (200, 0, 0)).convert(inputs["mode"])
            return {"content-type": "image/heic", "data": picture, "success": True}
    """
    with serve(program(model(source))) as server:
        for mode in ["RGB", "RGBA", "CMYK", "PA", "L", "F"]:
            answer = server.post(mode=mode)
            assert answer.status == (500 if mode == "F" else 200), answer
            assert (answer.body[4:8] == b"ftyp") == (mode != "F")


# An expression, the mode of the picture that arrives, and its first pixels.
ARRAYS = {
    "grey": ("rows", "L", [0, 1, 2]),
    "grey with an axis more": ("rows[:, :, None]", "L", [0, 1, 2]),
    "colors": ("colors", "RGB", [(0, 1, 2), (3, 4, 5), (6, 7, 8)]),
    "colors and alpha": ("clear", "RGBA", [(0, 1, 2, 3), (4, 5, 6, 7)]),
    "BGR turned": ("colors[:, :, ::-1]", "RGB", [(2, 1, 0), (5, 4, 3)]),
    "every second": ("rows[::2, ::2]", "L", [0, 2, 4]),
    "transposed": ("rows.T", "L", [0, 6, 12]),
    "channels first, turned": ("colors.transpose(2, 0, 1).transpose(1, 2, 0)", "RGB", [(0, 1, 2)]),
    "read only": ("numpy.broadcast_to(rows[:1], (4, 6))", "L", [0, 1, 2]),
    "a mask": ("rows % 2 == 1", "L", [0, 255, 0]),
    "one pixel": ("rows[:1, 1:2]", "L", [1]),
    "floats": (
        "rows / 23.0 * 0 + numpy.array([0, 0.2, 0.5, 0.502, 0.998, 1])",
        "L",
        [0, 51, 128, 128, 254, 255],
    ),
    "floats of 32 bits": ("(colors / 255.0).astype('float32')", "RGB", [(0, 1, 2), (3, 4, 5)]),
    "floats of 16 bits": ("(clear / 255.0).astype('float16')", "RGBA", [(0, 1, 2, 3)]),
    "floats a rounding above 1": ("numpy.full((2, 2), 1.0000001)", "L", [255, 255]),
    "a tensor": ("Tensor(rows)", "L", [0, 1, 2]),
    "a tensor on a GPU": ("OnDevice(rows)", "L", [0, 1, 2]),
    "a tensor of bfloat16": ("Halves(rows / 255.0)", "L", [0, 1, 2]),
    "an array of CuPy": ("OfCupy(rows)", "L", [0, 1, 2]),
    "an array of JAX": ("OfJax(rows)", "L", [0, 1, 2]),
    "a list of one": ("[rows]", "L", [0, 1, 2]),
}
REFUSED_ARRAYS = {
    "floats to 255": ("rows * 1.0", ["from 0 to 23", "from 0 to 1", ".clip(0, 1)", ".astype"]),
    "floats from -1": ("rows / -23.0", ["from -1 to", ".clip(0, 1)"]),
    "NaN": ("rows * numpy.nan", ["NaN", "numpy.nan_to_num"]),
    "Infinity": ("numpy.array([[0, numpy.inf]])", ["to inf"]),
    "int64": ("rows.astype('int64')", ["int64", '.astype("uint8")', "Image.fromarray"]),
    "uint16": ("rows.astype('uint16')", ["uint16", "Image.fromarray"]),
    "int8": ("rows.astype('int8')", ["int8", '.astype("uint8")']),
    "complex": ("rows.astype('complex64')", ["complex64"]),
    "objects": ("rows.astype(object)", ["object"]),
    "text": ("rows.astype(str)", ["uint8"]),
    "channels first": ("colors.transpose(2, 0, 1)", ["(3, 4, 6)", "array.transpose(1, 2, 0)"]),
    "one channel first": ("rows[None]", ["(1, 4, 6)", "array.transpose(1, 2, 0)"]),
    "two channels": ("clear[:, :, :2]", ["(4, 6, 2)", "(height, width, 3)"]),
    "a batch": ("colors[None]", ["(1, 4, 6, 3)", "array[0]", "list(array)"]),
    "a row": ("rows[0]", ["(6,)", "(height, width)"]),
    "a number": ("numpy.float64(1)", ["()", "(height, width)"]),
    "no pixels": ("rows[:0]", ["the picture is empty", "(0, 6)"]),
    "too many": ("[rows] * 1001", ["1001 images"]),
    "a tensor elsewhere": ("Tensor(None)", [".cpu().numpy()", "it is on the GPU"]),
    "lists of numbers": ("[[1, 2], [3, 4]]", ['"data"[0] is an object of type list']),
    "a dict": ("{'a': rows}", ["an array of pixels", "dict"]),
}


def cases(table):
    return pytest.mark.parametrize("case", table.values(), ids=table)


@cases(ARRAYS)
def test_an_array_of_pixels_is_a_picture(evaluating, case):
    expression, mode, pixels = case
    for media in ["image/png", "image/tiff"]:
        answer = evaluating.post(text=expression, type=media)
        assert answer.status == 200, answer
        seen = Image.open(io.BytesIO(answer.body))
        assert (seen.mode, seen.format) == (mode, FORMATS[media])
        wide = [(at % seen.width, at // seen.width) for at in range(len(pixels))]
        assert [seen.getpixel(place) for place in wide] == pixels


@cases(REFUSED_ARRAYS)
def test_an_array_that_is_no_picture_is_refused_with_the_way_out(evaluating, case):
    expression, words = case
    answer = evaluating.post(text=expression, type="image/png")
    assert answer.status == 500
    for word in ["cannot be sent", *words]:
        assert word in answer.json()["detail"]


def test_an_array_becomes_every_format(evaluating):
    for media, kind in FORMATS.items():
        for expression in ["rows", "colors", "clear", "rows > 3", "colors / 255"]:
            answer = evaluating.post(text=expression, type=media)
            assert answer.status == 200, answer
            assert Image.open(io.BytesIO(answer.body)).format == kind


def test_an_array_needs_pillow_alone_and_says_so(program):
    source = """
        import sys
        import numpy

        SCHEMA = {"text": {"type": "text"}}

        class Missing(object):
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] == "PIL":
                    raise ImportError(name)

        def infer(inputs):
            if inputs["text"] == "loaded":
                loaded = "PIL" in sys.modules
                return {"content-type": "application/json", "data": loaded, "success": True}
            if inputs["text"] == "without":
                sys.meta_path.insert(0, Missing())
            pixels = numpy.zeros((4, 4), "uint8")
            return {"content-type": "image/png", "data": pixels, "success": True}
    """
    with serve(program(model(source))) as server:
        assert server.post(text="loaded").json() is False
        answer = server.post(text="without")
        assert answer.status == 500
        assert "pip install Pillow" in answer.json()["detail"]
    with serve(program(model(source))) as server:
        assert Image.open(io.BytesIO(server.post(text="with").body)).format == "PNG"


FIGURES = """
    import sys
    import matplotlib.pyplot as plt
    import numpy

    SCHEMA = {"text": {"type": "text"}, "type": {"type": "text"}}

    def drawn():
        figure, axes = plt.subplots(figsize=(3, 2), dpi=50)
        axes.plot([1, 2, 3])
        axes.set_title("a curve")
        return figure

    class Broken(object):
        def savefig(self, file, format):
            raise ValueError("the title has no end")

    def infer(inputs):
        plt.close("all")
        return {"content-type": inputs["type"], "data": eval(inputs["text"]), "success": True}
"""


@pytest.fixture(scope="module")
def plotting(tmp_path_factory):
    path = tmp_path_factory.mktemp("figures") / "entrypoint.py"
    path.write_text(model(FIGURES))
    with serve(path) as server:
        yield server


@pytest.mark.parametrize(
    "expression",
    [
        "drawn()",
        "drawn().axes[0]",
        "numpy.array([drawn().axes[0]] * 2)",
        "[drawn()]",
        "drawn().axes[0].lines[0]",
        "drawn() and plt",
    ],
)
def test_a_figure_is_saved_in_the_format_that_is_asked_for(plotting, expression):
    for media in ["image/png", "image/jpeg", "image/jpg", "image/webp", "image/tiff"]:
        answer = plotting.post(text=expression, type=media)
        assert (answer.status, answer.type) == (200, media), answer
        seen = Image.open(io.BytesIO(answer.body))
        assert (seen.format, seen.size) == (FORMATS[media.replace("jpg", "jpeg")], (150, 100))
        # Something is drawn, on white.
        assert seen.convert("L").getextrema()[0] < 100
        assert seen.convert("RGB").getpixel((1, 1)) == (255, 255, 255)
    for media, begin, end in [
        ("image/svg+xml", b"<?xml", b"</svg>"),
        ("application/pdf", b"%PDF-", b"%%EOF"),
    ]:
        answer = plotting.post(text=expression, type=media)
        assert (answer.status, answer.type) == (200, media), answer
        assert answer.body.startswith(begin)
        assert answer.body.strip().endswith(end)


@pytest.mark.parametrize(
    ("expression", "media", "words"),
    [
        ("drawn()", "image/gif", ["a figure can be sent as", "image/svg+xml", "image/gif"]),
        ("drawn()", "text/plain", ["does not go with", "text/plain", "a figure"]),
        ("Broken()", "image/png", ["savefig could not write it as png", "no end"]),
        ("numpy.zeros((4, 4))", "application/pdf", ["a matplotlib figure", "ndarray"]),
        ("numpy.zeros((4, 4), 'uint8')", "image/svg+xml", ["image/png", "not as image/svg+xml"]),
        ("{'a': drawn()}", "image/png", ["a matplotlib figure", "dict"]),
    ],
)
def test_a_figure_that_cannot_be_saved_is_refused(plotting, expression, media, words):
    answer = plotting.post(text=expression, type=media)
    assert answer.status == 500
    for word in ["cannot be sent", *words]:
        assert word in answer.json()["detail"]


def test_no_library_of_pictures_is_loaded_for_other_results(program):
    source = """
        import sys
        SCHEMA = {"text": {"type": "text"}}

        def infer(inputs):
            for name in ["PIL", "numpy", "matplotlib"]:
                assert name not in sys.modules, name
            return {"content-type": "image/png", "data": eval(inputs["text"]), "success": True}
    """
    with serve(program(model(source))) as server:
        for text, status in [
            ("b'x'", 200),
            ("{}", 500),
            ("object()", 500),
            ("5", 500),
            ("b'x'", 200),
        ]:
            assert server.post(text=text).status == status
