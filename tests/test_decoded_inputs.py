"""Files as pictures, arrays and paths: the schema's `as`, and the errors for other files."""

import base64
import io
import json
import os
import pickle
import re
import struct
import textwrap
import wave
import zlib

import numpy
import pytest
import soundfile
from ai_integration import image_helpers
from compat import MODES_FOR_ANY_INPUT, STYLES, ask, model
from PIL import Image, ImageCms
from support import eventually, in_background, multipart, run, serve

# Describes each value in an inputs dict.
TELL = """
    import json, os, stat

    calls = []

    def tell(value):
        if isinstance(value, list):
            return [tell(item) for item in value]
        if isinstance(value, tuple):
            rate, array = value
            return [rate, str(array.dtype), list(array.shape), round(float(array.max()), 3)]
        if hasattr(value, "getpixel"):
            return [value.mode, list(value.size), list(value.getpixel((0, 0)))]
        if hasattr(value, "dtype"):
            return [str(value.dtype), list(value.shape), value[0, 0].tolist()]
        if hasattr(value, "suffix"):
            modes = [stat.S_IMODE(path.stat().st_mode) for path in (value, value.parent)]
            return [value.suffix, value.read_bytes().hex(), modes]
        return value.hex() if isinstance(value, bytes) else value

    def infer(inputs):
        calls.append(inputs)
        told = {name: tell(value) for name, value in inputs.items()}
        return {"content-type": "application/json", "success": True,
                "data": dict(told, calls=len(calls), pid=os.getpid())}
"""


def encoded(picture, name="PNG", **more):
    stream = io.BytesIO()
    picture.save(stream, name, **more)
    return stream.getvalue()


def sound(width=2, channels=1, frames=8, rate=8000):
    stream = io.BytesIO()
    with wave.open(stream, "wb") as writer:
        writer.setparams((channels, width, rate, 0, "NONE", ""))
        samples = numpy.random.default_rng(width).bytes(width * channels * frames)
        writer.writeframes(samples if frames != 8 else bytes([0, 32] * channels * frames))
    return stream.getvalue()


RED = encoded(Image.new("RGB", (3, 2), (200, 10, 20)))
CLEAR = encoded(Image.new("RGBA", (3, 2), (200, 10, 20, 30)))
WAV = sound()
VIDEO = b"\0\0\0\x18ftypisom" + bytes(40)
NOISE = Image.effect_noise((64, 64), 90).convert("RGB")
# A picture whose head is complete, and whose pixels are cut off.
CUT = encoded(NOISE)[:-600]
RED_TOLD = ["RGB", [3, 2], [200, 10, 20]]
CLEAR_TOLD = ["RGBA", [3, 2], [200, 10, 20, 30]]


def path_told(suffix, content):
    return [suffix, content.hex(), [0o600, 0o700]]


# Types and forms, with files and the model's expected description of each.
FORMS = {
    ("image", "pil"): [(RED, RED_TOLD), (CLEAR, CLEAR_TOLD)],
    ("image", "numpy"): [
        (RED, ["uint8", [2, 3, 3], [200, 10, 20]]),
        (CLEAR, ["uint8", [2, 3, 4], [200, 10, 20, 30]]),
    ],
    ("image", "path"): [(RED, path_told(".png", RED))],
    ("image", "bytes"): [(RED, RED.hex())],
    ("audio", "numpy"): [
        (WAV, [8000, "float32", [8], 0.25]),
        (sound(channels=2), [8000, "float32", [8, 2], 0.25]),
    ],
    ("audio", "path"): [(WAV, path_told(".wav", WAV))],
    ("video", "path"): [(VIDEO, path_told(".mp4", VIDEO))],
    ("file", "path"): [
        (b"%PDF-1.7", path_told(".pdf", b"%PDF-1.7")),
        (b"\xff?", path_told("", b"\xff?")),
    ],
}
FORM_IDS = ["-".join(key) for key in FORMS]
SCHEMA = {
    "%s_%s%s" % (kind, form, "_list" if is_list else ""): {
        "type": kind,
        "as": form,
        "list": is_list,
        "required": False,
    }
    for kind, form in FORMS
    for is_list in (False, True)
}


def source(schema, tell=TELL):
    return "SCHEMA = %r\n" % (schema,) + textwrap.dedent(tell)


def in_base64(content):
    return base64.b64encode(content).decode()


def form(server, pairs):
    """Posts a form of names and values; a name may appear several times."""
    body, kind = multipart(pairs)
    return server.request("/infer", body, {"Content-Type": kind})


def refusal(answer):
    """Returns the error of each input in a response."""
    assert answer.status == 422, answer
    problem = answer.json()
    assert problem["code"] == "invalid_input"
    return {field["name"]: field["message"] for field in problem["errors"]}


@pytest.fixture
def temporary(tmp_path):
    """A folder of temporary files for a model."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("decoded")
    path = folder / "entrypoint.py"
    path.write_text(model(source(SCHEMA)))
    temporary = folder / "temporary"
    temporary.mkdir()
    with serve(path, TMPDIR=temporary, AI_INTEGRATION_IMAGE_FORMATS="*") as server:
        server.temporary = temporary
        yield server


@pytest.mark.parametrize("key", FORMS, ids=FORM_IDS)
def test_every_form_of_every_type_over_http(server, key):
    name = "%s_%s" % key
    for content, expected in FORMS[key]:
        url = "data:application/octet-stream;base64," + in_base64(content)
        for given in (in_base64(content), url):
            body = json.dumps({name: given, name + "_list": [given, given]}).encode()
            told = server.request("/infer", body, {"Content-Type": "application/json"}).json()
            assert (told[name], told[name + "_list"]) == (expected, [expected] * 2)
        assert server.post(**{name: content}).json()[name] == expected
        assert server.classic(**{name: content})["output"][name] == expected
        told = form(server, [(name + "_list", content)] * 3).json()
        assert told[name + "_list"] == [expected] * 3
    assert server.post(**{name + "_list": "[]"}).json()[name + "_list"] == []
    assert list(server.temporary.iterdir()) == []


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("mode", MODES_FOR_ANY_INPUT)
def test_every_form_in_every_mode_and_style(program, tmp_path, temporary, mode, style):
    inputs = {"%s_%s" % key: cases[0][0] for key, cases in FORMS.items()}
    path = program(model(source(SCHEMA), style))
    told = ask(mode, path, inputs, tmp_path, TMPDIR=temporary).json()
    for key, cases in FORMS.items():
        assert told["%s_%s" % key] == cases[0][1]
    assert list(temporary.iterdir()) == []


def test_the_page_records_what_can_be_decoded(server):
    inputs = {given["name"]: given for given in server.get("/schema").json()["inputs"]}
    recorded = {name for name, given in inputs.items() if given.get("recording") == "audio/wav"}
    assert recorded == {"audio_numpy", "audio_numpy_list"}


def test_one_picture_on_standard_input(program):
    path = program(model(source({"image": {"type": "image", "as": "pil"}})))
    done = run(path, mode="test_single_image", stdin=RED)
    assert (done.returncode, b'"RGB"' in done.stdout) == (0, True), done
    done = run(path, mode="test_single_image", stdin=CUT)
    assert done.returncode == 2, done
    assert b"error: the inputs are not valid: image: expected a whole picture" in done.stderr


# For each fault of a file: the input, the file, and words of the error.
BROKEN = {
    "no picture": ("image_pil", b"hello", "expected a picture that can be decoded here, got 5 by"),
    "another format": ("image_numpy", b"%PDF-1.7", "got pdf"),
    "cut off": ("image_pil", CUT, "expected a whole picture, got one in png"),
    "a bomb": (
        "image_numpy",
        encoded(Image.new("1", (10000, 10000))),
        "expected a picture of at most 89478485 pixels, got 10000 x 10000",
    ),
    "a large bomb": (
        "image_pil",
        encoded(Image.new("1", (20000, 20000))),
        "expected a picture of at most 89478485 pixels, got more",
    ),
    "a program": ("image_pil", encoded(Image.new("RGB", (3, 2)), "EPS"), "got eps"),
    "no sound": ("audio_numpy", b"hello", "expected a sound that soundfile reads"),
    "another sound": ("audio_numpy", b"\x1a\x45\xdf\xa3\x42\x82\x84webm", "got webm"),
    "no sample": ("audio_numpy", sound(frames=0), "got one without a sample"),
    # 2^33 samples, as its head says.
    "a long sound": (
        "audio_numpy",
        b"fLaC\x80\0\0\x22" + bytes(10) + b"\x0b\xb8\x00\xf2" + bytes(20),
        "expected a sound",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_cannot_be_decoded_is_the_fault_of_that_input(server, what):
    name, content, words = BROKEN[what]
    fine = RED if "image" in name else WAV
    before = server.post(image_bytes=RED).json()
    told = refusal(server.post(**{name: content, "file_path": b"beside"}))
    assert list(told) == [name]
    # Some pictures are already too large for the engine.
    assert words in told[name] or "bomb" in what
    assert "object at" not in told[name]
    listed = refusal(form(server, [(name + "_list", fine), (name + "_list", content)] * 2))
    assert list(listed) == [name + "_list[1]", name + "_list[3]"]
    answer = server.post("/", **{name: content})
    assert (answer.status, answer.json()) == (422, {"err": "%s: %s" % (name, told[name])})
    # The model has not seen the request, and keeps running.
    after = server.post(image_bytes=RED).json()
    assert (after["pid"], after["calls"]) == (before["pid"], before["calls"] + 1)
    assert list(server.temporary.iterdir()) == []


@pytest.mark.parametrize("what", BROKEN)
def test_what_cannot_be_decoded_is_a_bad_input_in_other_modes(program, tmp_path, what):
    name, content, words = BROKEN[what]
    path = program(model(source(SCHEMA)))
    file = tmp_path / "broken"
    file.write_bytes(content)
    as_json = json.dumps({name: in_base64(content)}).encode()
    for done in (
        run(path, "--" + name, file),
        run(path, mode="test_inputs_dict_json", stdin=as_json),
        run(path, mode="test_inputs_pickled_dict", stdin=pickle.dumps({name: content})),
    ):
        assert done.returncode == 2, done
        assert "error: the inputs are not valid: %s: " % name in done.stderr.decode()
        assert words in done.stderr.decode()
        assert b"Traceback" not in done.stderr


def test_many_broken_files_are_no_failures_of_the_model(server):
    before = server.post(image_bytes=RED).json()
    for _ in range(5):
        refusal(server.post(image_pil=CUT))
    after = server.post(image_bytes=RED).json()
    assert (after["pid"], after["calls"]) == (before["pid"], before["calls"] + 1)
    assert "Traceback" not in server.output()
    metrics = server.get("/metrics").body.decode()
    counts = dict(re.findall(r'ai_integration_jobs_total\{outcome="(\w+)"\} (\d+)', metrics))
    assert int(counts["invalid_input"]) >= 5
    assert (counts["failed"], counts["model_crashed"]) == ("0", "0")


def test_a_list_names_twenty_broken_files(server):
    told = refusal(form(server, [("image_pil_list", CUT)] * 40))
    names = ["image_pil_list[%d]" % index for index in range(20)]
    assert list(told) == [*names, "image_pil_list"]
    assert told["image_pil_list"] == "further items do not fit either"


def test_many_small_files_do_not_make_endless_pictures(server):
    # 320 MB each as a picture.
    large = encoded(Image.new("1", (8000, 10000)))
    assert len(large) < 20000
    told = refusal(form(server, [("image_pil_list", large)] * 200))
    words = "expected files that are decoded to at most 2147483648 bytes together, got more"
    assert list(told)[:2] == ["image_pil_list[6]", "image_pil_list[7]"]
    assert set(told.values()) == {words, "further items do not fit either"}
    assert server.post(image_pil_list=RED).json()["image_pil_list"] == [RED_TOLD]


def test_all_that_is_broken_is_named_at_once(server):
    told = refusal(server.post(image_pil=CUT, image_numpy=CUT, audio_numpy=b"?", file_path=b"fine"))
    assert list(told) == ["image_pil", "image_numpy", "audio_numpy"]


BATCHED = (
    TELL
    + """
    import ai_integration

    while True:
        with ai_integration.get_next_inputs(
            inputs_schema=SCHEMA, max_batch_size=3, max_wait_ms=10000
        ) as batch:
            ai_integration.send_results([infer(inputs) for inputs in batch])
"""
)


def test_in_a_batch_only_the_broken_member_is_refused(program, temporary):
    schema = {"image": {"type": "image", "as": "pil"}, "file": {"type": "file", "as": "path"}}
    with serve(program(source(schema, BATCHED)), TMPDIR=temporary) as server:

        def together(*pictures):
            asked = [in_background(server.post, image=one, file=b"a") for one in pictures]
            return [answer() for answer in asked]

        for _ in range(2):
            first, second, third = together(RED, CUT, CLEAR)
            assert first.json()["image"] == RED_TOLD
            assert first.json()["file"] == path_told("", b"a")
            assert list(refusal(second)) == ["image"]
            assert third.json()["image"] == CLEAR_TOLD
            assert [answer.status for answer in together(CUT, CUT, CUT)] == [422] * 3
        eventually(lambda: not list(temporary.iterdir()), "no files are left")


KEEPER = """
    import os, sys, time
    import ai_integration

    SCHEMA = {"file": {"type": "file", "as": "path"}, "how": {"type": "text"}}

    while True:
        with ai_integration.get_next_input(inputs_schema=SCHEMA) as inputs:
            file, how = inputs["file"], inputs["how"]
            print("got", file)
            (file.parent / "beside").write_text("written by the model")
            if how == "raise":
                raise ValueError("on purpose")
            if how == "leave":
                sys.exit(3)
            if how == "die":
                os._exit(9)
            while how == "wait":
                ai_integration.progress(0.5)
                time.sleep(0.01)
            ai_integration.send_result(
                {"content-type": "text/plain", "success": True,
                 "data": file.open() if how == "send" else str(file)}
            )
"""


@pytest.mark.parametrize("how", ["answer", "send", "raise", "wait", "leave", "die"])
def test_files_are_gone_however_the_request_ends(program, temporary, how):
    with serve(program(KEEPER), TMPDIR=temporary) as server:
        if how == "wait":
            with pytest.raises(OSError, match="timed out"):
                server.post(file=b"content", how=how, timeout=1)
        else:
            answer = server.post(file=b"content", how=how)
            assert (answer.status == 200) is (how in ("answer", "send")), answer
            assert (answer.body == b"content") is (how == "send")
        server.wait_for_output("got %s" % temporary)
        # What a process that was killed has left is removed by the next one.
        eventually(lambda: not list(temporary.iterdir()), "no files are left")


def test_files_in_use_and_what_is_no_folder_of_ours_are_left_alone(program, tmp_path, temporary):
    path = program(KEEPER)
    link = temporary / "ai_integration-inputs-link"
    link.symlink_to(tmp_path)
    mine = temporary / "mine"
    mine.mkdir()
    with serve(path, TMPDIR=temporary, AI_INTEGRATION_TIMEOUT=30) as server:
        in_background(server.post, file=b"content", how="wait", timeout=30)
        name = server.wait_for_output(r"got (\S+)").group(1)
        done = run(path, "--file", path, "--how", "answer", TMPDIR=temporary)
        assert done.returncode == 0, done
        assert os.path.exists(name)
        assert (link.is_symlink(), mine.is_dir(), path.exists()) == (True, True, True)
        server.process.kill()


def test_a_full_disk_is_a_failure_and_the_model_goes_on(program, temporary):
    read_only = "import tempfile\ntempfile.gettempdir()\ntempfile.tempdir = '/proc/self/nowhere'\n"
    with serve(program(read_only + textwrap.dedent(KEEPER)), TMPDIR=temporary) as server:
        for _ in range(4):
            answer = server.post(file=b"content", how="answer")
            assert (answer.status, answer.json()["code"]) == (500, "model_failed"), answer
        assert "started again" not in server.output()


@pytest.mark.parametrize(
    ("formats", "content", "suffix"),
    [
        (["csv"], b"a,b", ".csv"),
        ([".CSV"], b"a,b", ".csv"),
        (["text/csv"], b"a,b", ".csv"),
        (["csv", "txt"], b"a,b", ""),
        (["jpeg"], encoded(NOISE, "JPEG"), ".jpg"),
        (None, b"\xff", ""),
    ],
)
def test_the_ending_of_a_path_comes_from_content_or_formats(program, formats, content, suffix):
    schema = {"a/..\\b c": {"type": "file", "as": "path"}}
    if formats:
        schema["a/..\\b c"]["formats"] = formats
    with serve(program(model(source(schema)))) as server:
        told = form(server, [("a/..\\b c", content)]).json()
        assert told["a/..\\b c"] == path_told(suffix, content)


@pytest.mark.parametrize("style", STYLES)
def test_defaults_and_examples_are_decoded(program, style):
    schema = {
        "image": {"type": "image", "as": "pil", "default": in_base64(RED)},
        "sound": {"type": "audio", "as": "numpy", "examples": [in_base64(WAV)], "required": False},
        "film": {"type": "video", "as": "path", "required": False},
        "many": {"type": "image", "list": True, "as": "numpy", "default": [in_base64(CLEAR)]},
    }
    path = program(model(source(schema), style))
    done = run(path, mode="test_model_integration")
    assert done.returncode == 0, done
    assert b'"sound":[8000,"float32",[8],0.25]' in done.stdout.replace(b" ", b"")
    done = run(path)
    assert done.returncode == 0, done
    told = json.loads(done.stdout)
    assert told["image"] == RED_TOLD
    assert told["many"] == [["uint8", [2, 3, 4], [200, 10, 20, 30]]]


def test_a_broken_example_makes_the_self_test_sad(program):
    schema = {"image": {"type": "image", "as": "pil", "examples": [in_base64(CUT)]}}
    done = run(program(model(source(schema))), mode="test_model_integration")
    assert done.returncode == 1
    assert b"image: expected a whole picture, got one in png" in done.stdout


MODES = """
    import base64, json

    def calling(inference_function=None, inputs_schema=None):
        red = open(%r, "rb").read()
        given = {"image": red, "images": [red, bytearray(red)], "path": red}
        for inputs in (given, {"image": red[:45]}, {"image": base64.b64encode(red).decode()},
                       {"image": None}, {"image": "no base64!"}):
            result = inference_function(inputs)
            print(json.dumps([result["success"], result.get("data"), result.get("error")]))
        print(given["image"] == red)

    MODULE_MODES = {"calling": calling}
"""


def test_a_custom_mode_gets_the_same(program, tmp_path, temporary):
    schema = {
        "image": {"type": "image", "as": "pil", "default": in_base64(CLEAR)},
        "images": {"type": "image", "as": "numpy", "list": True, "required": False},
        "path": {"type": "file", "as": "path", "required": False},
    }
    (tmp_path / "red").write_bytes(RED)
    modes = tmp_path / "modes"
    modes.mkdir()
    (modes / "mine.py").write_text(textwrap.dedent(MODES % str(tmp_path / "red")))
    done = run(
        program(model(source(schema))),
        mode="calling",
        AI_INTEGRATION_MODES_PATH=modes,
        TMPDIR=temporary,
    )
    assert done.returncode == 0, done
    *lines, is_untouched = done.stdout.decode().splitlines()
    first, cut, text, nothing, other = map(json.loads, lines)
    assert first[1]["image"] == text[1]["image"] == RED_TOLD
    assert first[1]["images"] == [["uint8", [2, 3, 3], [200, 10, 20]]] * 2
    assert first[1]["path"] == path_told(".png", RED)
    assert nothing[1]["image"] == CLEAR_TOLD
    assert cut[0] is False
    assert cut[2].startswith("image: expected a whole picture")
    assert other[0] is False
    assert other[2] == "image: expected a file's bytes, base64 or a data: URL, got other text"
    assert is_untouched == "True"
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("properties", "missing", "words"),
    [
        ({"type": "image", "as": "pil"}, "PIL", "python -m pip install Pillow"),
        ({"type": "image", "as": "numpy"}, "PIL", "python -m pip install Pillow"),
        ({"type": "image", "as": "numpy"}, "numpy", "python -m pip install numpy"),
        ({"type": "audio", "as": "numpy"}, "numpy", "python -m pip install numpy"),
    ],
)
@pytest.mark.parametrize("mode", ["command_line", "http"])
def test_a_missing_library_is_an_error_at_the_start(
    program, tmp_path, properties, missing, words, mode
):
    library = tmp_path / "without"
    library.mkdir()
    (library / (missing + ".py")).write_text("raise ImportError('there is none')")
    path = program(model(source({"x": dict(properties, required=False)})))
    done = run(path, mode=mode, PYTHONPATH=library, PORT=0, AI_INTEGRATION_START_ATTEMPTS=1)
    assert done.returncode != 0
    told = "inputs_schema asks for the input 'x' as \"%s\": " % properties["as"]
    assert told in done.stderr.decode()
    assert words in done.stderr.decode()


def without_soundfile(folder):
    library = folder / "without"
    library.mkdir()
    (library / "soundfile.py").write_text("raise OSError('sndfile library not found')")
    return library


def test_without_soundfile_sounds_come_from_wav_alone(program, tmp_path):
    path = program(model(source(SCHEMA)))
    with serve(path, PYTHONPATH=without_soundfile(tmp_path)) as server:
        assert "python -m pip install soundfile" in server.output()
        assert server.post(audio_numpy=WAV).json()["audio_numpy"] == [8000, "float32", [8], 0.25]
        for given, words in {
            written("FLAC", "PCM_16"): "got flac",
            written("WAV", "FLOAT"): "got wav: unknown format: 3",
            written("WAVEX", "FLOAT"): "got wav: unknown format: ",
            sound(rate=1).replace(b"\1\0\0\0\2\0\0\0", bytes(8)): "got wav: a rate of 0",
            b"RIFF\xff\0\0\0WAVEfmt ": "got wav",
            sound(frames=0): "got one without a sample",
        }.items():
            told = refusal(server.post(audio_numpy=given))["audio_numpy"]
            assert words in told
            assert "soundfile" in told or "without a sample" in told


def written(name, subtype):
    stream = io.BytesIO()
    samples = numpy.random.default_rng(1).uniform(-1, 1, (9600, 2))
    soundfile.write(stream, samples, 48000, format=name, subtype=subtype)
    return stream.getvalue()


SAMPLES = """
    import base64
    import ai_integration

    while True:
        schema = {"sound": {"type": "audio", "as": "numpy"}}
        with ai_integration.get_next_input(inputs_schema=schema) as inputs:
            rate, samples = inputs["sound"]
            ai_integration.send_result({
                "content-type": "application/json", "success": True,
                "data": [rate, str(samples.dtype), list(samples.shape), samples.flags.writeable,
                         base64.b64encode(samples.tobytes()).decode()],
            })
"""


def test_with_and_without_soundfile_the_samples_are_the_same(program, tmp_path):
    path = program(SAMPLES)
    sounds = [sound(width, channels, 500) for width in (1, 2, 3, 4) for channels in (1, 2, 3)]
    sounds.append(written("WAV", "PCM_16"))
    # The form of head that many programs write for more than 16 bits or two channels.
    wide = [written("WAVEX", kind) for kind in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32")]
    sounds += wide
    # Other chunks come before it, also of an odd length, and the file is longer than it says.
    sounds.append(wide[2][:4] + bytes(4) + wide[2][8:])
    sounds.append(wide[2].replace(b"WAVE", b"WAVELIST\5\0\0\0INFO\0\0", 1))
    with serve(path) as one, serve(path, PYTHONPATH=without_soundfile(tmp_path)) as other:
        for given in sounds:
            told = one.post(sound=given).json()
            assert told == other.post(sound=given).json()
            assert told[3] is True
            expected, rate = soundfile.read(io.BytesIO(given), dtype="float32")
            assert told[:3] == [rate, "float32", list(expected.shape)]
            assert base64.b64decode(told[4]) == expected.tobytes()
        for name, subtype in {"FLAC": "PCM_16", "OGG": "VORBIS", "MP3": "MPEG_LAYER_III"}.items():
            assert one.post(sound=written(name, subtype)).json()[2] == [9600, 2]


DEEP = numpy.array([[0, 32768, 65535]], dtype="uint16")
TURNED = Image.Exif()
TURNED[0x0112] = 6


def palette(**more):
    picture = Image.new("P", (1, 1), 0)
    picture.putpalette([1, 2, 3, 4, 5, 6])
    return encoded(picture, **more)


def animation(name):
    frames = [Image.new("RGB", (1, 1), color) for color in ("#010203", "#ffffff")]
    return encoded(frames[0], name, save_all=True, append_images=frames[1:], lossless=True)


def numbers(rows, dtype):
    return encoded(Image.fromarray(numpy.array(rows, dtype=dtype)), "TIFF")


def raw_png(depth, color, row, *chunks, width=1):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, 1, depth, color, 0, 0, 0))
    between = b"".join(chunk(*one) for one in chunks)
    return (
        b"\x89PNG\r\n\x1a\n"
        + head
        + between
        + chunk(b"IDAT", zlib.compress(b"\0" + row))
        + chunk(b"IEND", b"")
    )


# Pictures of a row of pixels, and the pixels that they decode to.
PICTURES = {
    "black and white": (encoded(Image.new("1", (1, 1), 1)), [(255, 255, 255)]),
    "grey": (encoded(Image.new("L", (1, 1), 7)), [(7, 7, 7)]),
    "grey of 16 bits": (encoded(Image.fromarray(DEEP)), [(0,) * 3, (128,) * 3, (255,) * 3]),
    "grey of 16 bits in TIFF": (numbers(DEEP, "uint16"), [(0,) * 3, (128,) * 3, (255,) * 3]),
    "grey of 16 bits, big-endian": (
        encoded(Image.fromarray(DEEP).convert("I").convert("I;16B"), "TIFF"),
        [(0,) * 3, (128,) * 3, (255,) * 3],
    ),
    "dark grey of 16 bits": (encoded(Image.fromarray(DEEP // 64)), [(0,) * 3, (2,) * 3, (4,) * 3]),
    "integers of 16 bits": (numbers(DEEP, "int32"), [(0,) * 3, (128,) * 3, (255,) * 3]),
    "integers of 8 bits": (numbers([[0, 9, 255]], "int32"), [(0,) * 3, (9,) * 3, (255,) * 3]),
    "integers": (numbers([[-500, 0, 500]], "int32"), [(0,) * 3, (128,) * 3, (255,) * 3]),
    "floats to 1": (numbers([[0, 0.5, 1]], "float32"), [(0,) * 3, (128,) * 3, (255,) * 3]),
    "floats to 255": (numbers([[0, 9, 200]], "float32"), [(0,) * 3, (9,) * 3, (200,) * 3]),
    "one float": (numbers([[-3, -3]], "float32"), [(0,) * 3, (0,) * 3]),
    "ink": (encoded(Image.new("CMYK", (1, 1), (0, 255, 255, 0)), "TIFF"), [(255, 0, 0)]),
    "ink in JPEG": (encoded(Image.new("CMYK", (1, 1), (0, 255, 255, 0)), "JPEG"), [(255, 0, 0)]),
    "a palette": (palette(), [(1, 2, 3)]),
    "a clear colour": (palette(transparency=0), [(1, 2, 3, 0)]),
    "a palette with alpha": (palette(transparency=b"\x80"), [(1, 2, 3, 128)]),
    "a clear colour in GIF": (palette(name="GIF", transparency=0), [(1, 2, 3, 0)]),
    "grey with alpha": (encoded(Image.new("LA", (1, 1), (9, 8))), [(9, 9, 9, 8)]),
    "clear grey": (encoded(Image.new("L", (1, 1), 7), transparency=7), [(7, 7, 7, 0)]),
    "clear red": (encoded(Image.new("RGB", (1, 1), "red"), transparency=(255, 0, 0)), None),
    "16 bits": (raw_png(16, 2, b"\xff\xff\x01\x01\0\0"), [(255, 1, 0)]),
    "16 bits with alpha": (raw_png(16, 6, b"\xff\xff\x01\x01\0\0\x80\x80"), [(255, 1, 0, 128)]),
    "clear grey of 1 bit": (
        raw_png(1, 0, b"\x40", (b"tRNS", b"\0\1"), width=2),
        [(0, 0, 0, 255), (255, 255, 255, 0)],
    ),
    "clear grey of 2 bits": (
        raw_png(2, 0, b"\x1b", (b"tRNS", b"\0\1"), width=4),
        [(0, 0, 0, 255), (85, 85, 85, 0), (170, 170, 170, 255), (255, 255, 255, 255)],
    ),
    "clear grey of 4 bits": (
        raw_png(4, 0, b"\xf0", (b"tRNS", b"\0\x0f"), width=2),
        [(255, 255, 255, 0), (0, 0, 0, 255)],
    ),
    "clear grey of 16 bits": (
        raw_png(16, 0, b"\0\0\x80\0\x80\1", (b"tRNS", b"\x80\0"), width=3),
        [(0, 0, 0, 255), (128, 128, 128, 0), (128, 128, 128, 255)],
    ),
    "clear colour of 16 bits": (
        raw_png(16, 2, b"\xff\xff\x80\0\0\1" + bytes(6), (b"tRNS", b"\xff\xff\x80\0\0\1"), width=2),
        [(255, 128, 0, 0), (0, 0, 0, 255)],
    ),
    "floats to 1 in PFM": (
        b"Pf\n3 1\n-1.0\n" + numpy.array([0, 0.5, 1], dtype="<f4").tobytes(),
        [(0,) * 3, (128,) * 3, (255,) * 3],
    ),
    "an animation in GIF": (animation("GIF"), [(1, 2, 3)]),
    "an animation in WebP": (animation("WEBP"), [(1, 2, 3)]),
    "an animation in PNG": (animation("PNG"), [(1, 2, 3)]),
}
TRANSPARENT_RED = [(255, 0, 0, 0)]


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_of_every_kind_is_rgb_or_rgba(name):
    data, pixels = PICTURES[name]
    pixels = pixels or TRANSPARENT_RED
    picture = image_helpers.open_image(data)
    assert type(picture) is Image.Image
    assert picture.mode == ("RGBA" if len(pixels[0]) == 4 else "RGB")
    array = image_helpers.to_array(data)
    assert (array.dtype, array.shape) == (numpy.uint8, (1, len(pixels), len(pixels[0])))
    assert array[0].tolist() == [list(pixel) for pixel in pixels]
    array[0, 0, 0] = 1


@pytest.mark.parametrize(("mode", "is_kept"), [("RGB", True), ("L", False), ("CMYK", False)])
def test_a_colour_profile_stays_where_it_fits(mode, is_kept):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = encoded(Image.new(mode, (2, 2)), "JPEG", icc_profile=profile)
    assert ("icc_profile" in image_helpers.open_image(picture).info) is is_kept


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_a_picture_is_upright(name):
    landscape = Image.new("RGB", (30, 20), "black")
    landscape.paste("white", (0, 0, 15, 20))
    upright = image_helpers.open_image(encoded(landscape, name, exif=TURNED))
    assert upright.size == (20, 30)
    assert upright.getpixel((10, 3))[0] > 200 > 50 > upright.getpixel((10, 26))[0]
    assert upright.getexif().get(0x0112, 1) == 1
    broken = encoded(landscape, name, exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert image_helpers.open_image(broken).size == (30, 20)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_upright_whatever_else_is_broken_in_its_notes(orientation):
    corners = Image.new("RGB", (32, 16), "black")
    corners.paste("white", (0, 0, 16, 8))
    # A fraction of 0/0, as cameras write for what they do not know, which Pillow cannot write.
    description = struct.pack(">HHII", 0x010E, 5, 1, 38)
    turn = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    notes = b"MM\0*\0\0\0\x08\0\2" + description + turn + bytes(12)
    upright = image_helpers.open_image(encoded(corners, "JPEG", exif=b"Exif\0\0" + notes))
    plain = Image.Exif()
    plain[0x0112] = orientation
    usual = image_helpers.open_image(encoded(corners, "JPEG", exif=plain))
    assert upright.size == ((32, 16) if orientation < 5 else (16, 32))
    assert upright.tobytes() == usual.tobytes()
    again = image_helpers.open_image(encoded(upright, exif=upright.info.get("exif", b"")))
    assert again.tobytes() == upright.tobytes()


@pytest.mark.parametrize(
    "name", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "PPM", "JPEG2000", "ICO"]
)
def test_a_truncated_picture_is_detected(name):
    data = encoded(NOISE, name)
    assert image_helpers.open_image(data).mode == "RGB"
    for part in (2, 4, 64):
        with pytest.raises(ValueError, match="^expected a (whole )?picture"):
            image_helpers.open_image(data[: len(data) // part])
    with pytest.raises(ValueError, match="its values are infinite or no numbers"):
        image_helpers.open_image(numbers([[numpy.nan, 1]], "float32"))


def test_the_older_helper_is_as_it_was():
    jpeg = image_helpers.make_image_rgb_jpeg(encoded(Image.new("RGBA", (3, 2), "red")))
    assert (Image.open(io.BytesIO(jpeg)).format, Image.open(io.BytesIO(jpeg)).mode) == (
        "JPEG",
        "RGB",
    )
