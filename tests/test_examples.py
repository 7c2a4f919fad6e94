"""Each example model answers a real request correctly, run as a person runs it from a command line.

They need an interpreter with ai_integration and the examples' requirements installed, and the Rust
examples built:

* `TEST_EXAMPLES_PYTHON`: that interpreter; this one when unset.
* `TEST_TARGET_DIR`: where the built Rust examples are; `target/release` when unset.
"""

import json
import os
import subprocess
import sys
import urllib.parse
import urllib.request
import wave
from pathlib import Path

import documented
import pytest
from environments import python_from
from support import in_background, serve

pytestmark = pytest.mark.examples

REPOSITORY = Path(__file__).resolve().parent.parent
EXAMPLES = REPOSITORY / "examples"
TRITON = REPOSITORY / "tests" / "clients" / "triton.txt"
RECEIPT = EXAMPLES / "ocr" / "receipt.png"
TIME_LIMIT = 120  # seconds

# Runs with the examples' interpreter, since only there is a library that decodes pictures.
LOOK = """
import json, sys
from PIL import Image, ImageChops, ImageStat
pictures = [Image.open(path) for path in sys.argv[1:]]
seen = [{"format": picture.format, "size": picture.size} for picture in pictures]
pixels = [picture.convert("RGB") for picture in pictures]
if len(pixels) == 2 and pixels[0].size == pixels[1].size:
    difference = ImageStat.Stat(ImageChops.difference(*pixels)).mean
    seen[1]["difference"] = sum(difference) / 3
print(json.dumps(seen))
"""

TURN = """
import sys
from PIL import Image
exif = Image.Exif()
exif[0x0112] = 6  # "turn me clockwise to see me upright", as phones write it
Image.open(sys.argv[1]).convert("RGB").rotate(90, expand=True).save(sys.argv[2], exif=exif)
"""


@pytest.fixture(scope="session")
def python():
    """The interpreter of an environment in which the examples are installed."""
    return os.environ.get("TEST_EXAMPLES_PYTHON", sys.executable)


@pytest.fixture(scope="session")
def sample(python):
    """Gives the path of a sample picture of scikit-image, read beside the package's code."""
    script = "import importlib.util; print(importlib.util.find_spec('skimage').origin)"
    origin = run([python, "-c", script]).stdout.decode().strip()

    def path(name):
        picture = Path(origin).parent / "data" / name
        assert picture.is_file(), f"{picture} is missing; see examples/requirements-test.txt"
        return picture

    return path


@pytest.fixture(scope="session")
def binary():
    """Gives the path of a built Rust example."""
    folder = Path(os.environ.get("TEST_TARGET_DIR", REPOSITORY / "target/release"))

    def path(name):
        program = folder / name
        assert program.is_file(), f"{program} is missing; cargo build --release -p {name}"
        return program

    return path


def run(command, **options):
    # The tests' own variables are no settings of ai_integration, which refuses unknown ones.
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("AI_INTEGRATION_")
    }
    return subprocess.run(
        [str(part) for part in command],
        env={**inherited, "MODE": "command_line"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TIME_LIMIT,
        check=False,
        **options,
    )


def answer(command, **options):
    """The standard output of a run that succeeds."""
    done = run(command, **options)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode()


def refusal(command):
    """The message of a run in which the model gives a failed result."""
    done = run(command)
    message = done.stderr.decode(errors="replace")
    assert done.returncode == 1, message
    assert done.stdout == b""
    assert "Traceback" not in message
    return message


def entrypoint(name):
    return EXAMPLES / name / "entrypoint.py"


def look(python, *paths):
    return json.loads(answer([python, "-c", LOOK, *paths]))


PYTHON_EXAMPLES = ["embeddings", "ocr", "sentiment", "style_transfer", "text_generation"]


@pytest.mark.parametrize("name", PYTHON_EXAMPLES)
def test_check_passes_an_example_in_python(python, tmp_path, name):
    assert_checked([python, entrypoint(name)], python, tmp_path)


@pytest.mark.parametrize("name", ["face_detection", "language"])
def test_check_passes_an_example_in_rust(binary, python, tmp_path, name):
    assert_checked([binary(name)], python, tmp_path)


def assert_checked(program, python, folder):
    """Asserts that `ai-integration check` finds nothing wrong with a program."""
    command = [Path(python).parent / "ai-integration", "check", *program]
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=8 * TIME_LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for word in ("FAILED", "DOUBTFUL"):
        assert word not in done.stdout


def overlap(one, other):
    """Intersection over union of two boxes [x, y, width, height]."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    common = max(width, 0) * max(height, 0)
    return common / (one[2] * one[3] + other[2] * other[3] - common)


def without_spaces(text):
    """Text as the OCR example is compared: it sometimes loses a space."""
    return text.replace(" ", "")


class TestOcr:
    LINES = (
        "CORNER GROCERY",
        "12 Harbour Street",
        "Phone 555 0142",
        "2024-05-17 14:32",
        "Sourdough bread 4.20",
        "Whole milk 1.35",
        "Apples 2.98",
        "Green tea 7.49",
        "Dark chocolate 2.10",
        "TOTAL 18.12",
        "Cash 20.00",
        "Change 1.88",
        "Thank you for your visit!",
    )
    SIZE = (680, 810)

    def test_reads_a_receipt_line_by_line(self, python):
        read = json.loads(answer([python, entrypoint("ocr"), "--image", RECEIPT]))
        lines = [without_spaces(line) for line in read["text"].splitlines()]
        assert lines == [without_spaces(line) for line in self.LINES]

    def test_tritons_client_reads_a_receipt(self, python):
        page = EXAMPLES / "README.md"
        (block,) = [one for one in documented.blocks(page) if "tritonclient" in one.text]
        with serve(entrypoint("ocr"), python=python) as server:
            address = urllib.parse.urlsplit(server.url).netloc
            program = block.text.replace(documented.ADDRESS, address)
            client = python_from("clients-triton", TRITON)
            read = answer([client, "-c", program], cwd=EXAMPLES)
        lines = [without_spaces(line) for line in read.splitlines()]
        assert lines == [without_spaces(line) for line in self.LINES]

    def test_outlines_lie_where_the_text_is(self, python):
        pieces = json.loads(answer([python, entrypoint("ocr"), "--image", RECEIPT]))["pieces"]
        for piece in pieces:
            assert piece["score"] > 0.8
            assert len(piece["mask_vertices"]) == 4
            for x, y in piece["mask_vertices"]:
                assert 60 <= x <= self.SIZE[0] - 60
                assert 60 <= y <= self.SIZE[1] - 60
            across = [x for x, _ in piece["mask_vertices"]]
            down = [y for _, y in piece["mask_vertices"]]
            left, top, width, height = piece["bounding_box"]
            assert [left, top] == [min(across), min(down)]
            assert [left + width, top + height] == [max(across), max(down)]
        boxes = {without_spaces(piece["text"]): piece["bounding_box"] for piece in pieces}
        assert overlap(boxes["CORNERGROCERY"], [179, 90, 290, 50]) > 0.7
        assert overlap(boxes["18.12"], [464, 496, 100, 39]) > 0.6
        assert overlap(boxes["TOTAL"], [123, 514, 104, 40]) > 0.6

    def test_a_phone_photo_is_read_upright(self, python, tmp_path):
        photo = tmp_path / "photo.jpg"
        answer([python, "-c", TURN, RECEIPT, photo])
        assert look(python, photo)[0]["size"] == [self.SIZE[1], self.SIZE[0]]
        read = json.loads(answer([python, entrypoint("ocr"), "--image", photo]))
        assert "TOTAL 18.12" in read["text"]
        total = next(piece for piece in read["pieces"] if piece["text"] == "TOTAL")
        assert overlap(total["bounding_box"], [123, 514, 104, 40]) > 0.6

    def test_what_is_no_picture_is_refused(self, python, tmp_path):
        note = tmp_path / "note.png"
        note.write_text("not a picture")
        message = refusal([python, entrypoint("ocr"), "--image", note])
        assert "the image cannot be read: it is not a picture in a known format" in message

    def test_a_picture_that_is_cut_off_is_refused(self, python, tmp_path):
        cut = tmp_path / "cut.png"
        cut.write_bytes(RECEIPT.read_bytes()[:9000])
        assert "the image cannot be read: " in refusal([python, entrypoint("ocr"), "--image", cut])


@pytest.mark.parametrize(
    ("text", "label", "sign"),
    [
        ("The staff were wonderful and the food was delicious!", "positive", 1),
        ("The room was dirty and the service was terrible.", "negative", -1),
        ("The museum is at the end of the street.", "neutral", 0),
    ],
)
def test_sentiment_has_the_right_sign(python, text, label, sign):
    judged = json.loads(answer([python, entrypoint("sentiment"), "--text", text]))
    assert judged["label"] == label
    assert (judged["score"] > 0) - (judged["score"] < 0) == sign


class TestStyleTransfer:
    def repaint(self, python, photo, target, *options):
        command = [python, entrypoint("style_transfer"), "--image", photo, "--output", target]
        answer([*command, *options])
        before, after = look(python, photo, target)
        assert after["format"] == "JPEG"
        assert after["size"] == before["size"]
        return after["difference"]

    def test_a_built_in_style(self, python, sample, tmp_path):
        photo = sample("chelsea.png")
        assert self.repaint(python, photo, tmp_path / "default.jpg") > 20
        assert self.repaint(python, photo, tmp_path / "other.jpg", "--style", "11") > 20
        assert look(python, tmp_path / "default.jpg", tmp_path / "other.jpg")[1]["difference"] > 20

    def test_the_style_of_another_picture(self, python, sample, tmp_path):
        photo, painting = sample("chelsea.png"), sample("coffee.png")
        options = ["--style_image", painting]
        assert self.repaint(python, photo, tmp_path / "painted.jpg", *options) > 10

    def test_strength_goes_down_to_none(self, python, sample, tmp_path):
        photo = sample("chelsea.png")
        assert self.repaint(python, photo, tmp_path / "same.jpg", "--strength", "0") < 3

    def test_an_unknown_style_is_a_usage_error(self, python, sample, tmp_path):
        command = [python, entrypoint("style_transfer"), "--image", sample("chelsea.png")]
        done = run([*command, "--style", "26", "--output", tmp_path / "none.jpg"])
        assert done.returncode == 2
        assert not (tmp_path / "none.jpg").exists()

    def test_what_is_no_picture_is_refused_by_its_name(self, python, sample, tmp_path):
        note = tmp_path / "note.png"
        note.write_text("not a picture")
        command = [python, entrypoint("style_transfer"), "--image", sample("chelsea.png")]
        message = refusal([*command, "--style_image", note, "--output", tmp_path / "none.jpg"])
        assert "the style_image cannot be read" in message


def voice(path, rate=16000, channels=1):
    """Writes a second of silence, two seconds of vowels by a small synthesizer, and silence."""
    numpy = pytest.importorskip("numpy")
    formants = [(700, 1220), (300, 2300), (320, 800), (530, 1840), (570, 840)]
    time = numpy.arange(2 * 16000) / 16000
    pitch = 120 + 25 * numpy.sin(2 * numpy.pi * 1.3 * time)
    sound = numpy.diff(numpy.floor(numpy.cumsum(pitch) / 16000), prepend=0)
    for formant in range(2):
        passed, last, before = numpy.zeros(len(time)), 0.0, 0.0
        for index, value in enumerate(sound):
            frequency = formants[index // 3200 % 5][formant]
            pull = 2 * 0.984 * numpy.cos(2 * numpy.pi * frequency / 16000)
            last, before = 0.016 * value + pull * last - 0.984**2 * before, last
            passed[index] = last
        sound = passed
    sound *= numpy.clip(1.5 * numpy.sin(numpy.pi * (time % 0.2) / 0.2), 0, 1)
    sound = numpy.pad(0.6 * sound / abs(sound).max(), 16000)
    at = numpy.arange(0, len(sound), 16000 / rate)
    sound = numpy.interp(at, numpy.arange(len(sound)), sound) * 32767
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes(numpy.repeat(sound, channels).astype("<i2").tobytes())
    return path


class TestFunctions:
    """The models of docs/compared-with-gradio.md."""

    CUT = "import sys; from PIL import Image; Image.open(sys.argv[1]).crop((150, 80, 500, 150))"

    def ask(self, python, name, *flags):
        return json.loads(answer([python, EXAMPLES / "functions" / (name + ".py"), *flags]))

    def test_labels_have_their_probabilities(self, python, tmp_path):
        for turn, label in [(0, "upright"), (180, "upside down")]:
            line = tmp_path / ("%d.png" % turn)
            turned = "%s.rotate(%d).save(sys.argv[2])" % (self.CUT, turn)
            answer([python, "-c", turned, RECEIPT, line])
            odds = self.ask(python, "labels", "--line", line)
            assert set(odds) == {"upright", "upside down"}
            assert odds[label] > 0.99
            assert abs(sum(odds.values()) - 1) < 1e-5

    def test_the_face_of_an_astronaut_is_found(self, python, sample):
        (face,) = self.ask(python, "faces", "--photo", sample("astronaut.png"))
        assert overlap(face["box"], [173, 68, 99, 99]) > 0.7
        assert self.ask(python, "faces", "--photo", sample("coffee.png")) == []

    @pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (44100, 2), (8000, 1)])
    def test_speech_is_found_between_silences(self, python, tmp_path, rate, channels):
        recording = voice(tmp_path / "voice.wav", rate, channels)
        found = self.ask(python, "speech", "--recording", recording)
        assert found
        assert all(0.9 < start < end < 3.2 for start, end in found)
        assert sum(end - start for start, end in found) > 1

    def test_a_sentiment_has_its_sign(self, python):
        for text, is_good in [("The food was delicious!", True), ("A terrible room.", False)]:
            scores = self.ask(python, "sentiment", "--text", text)
            assert (scores["compound"] > 0) is is_good

    @pytest.mark.parametrize(
        ("name", "inputs"),
        [
            ("labels", {"line": "image"}),
            ("faces", {"photo": "image"}),
            ("speech", {"recording": "audio"}),
            ("sentiment", {"text": "text"}),
        ],
    )
    def test_each_passes_its_self_test(self, python, name, inputs):
        program = EXAMPLES / "functions" / (name + ".py")
        done = subprocess.run(
            [python, program],
            env={**os.environ, "MODE": "test_model_integration"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIME_LIMIT,
            check=False,
        )
        assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
        assert "with %s..." % ", ".join(inputs) in done.stdout.decode()


class TestTextGeneration:
    QUESTION = "What is the capital of France?"

    def test_knows_the_capital_of_france(self, python):
        assert "Paris" in answer([python, entrypoint("text_generation"), "--prompt", self.QUESTION])

    def test_the_result_ends_at_max_tokens(self, python):
        command = [python, entrypoint("text_generation"), "--prompt", "Tell me a long story."]
        short = answer([*command, "--max_tokens", "5"]).strip()
        assert short
        long = answer([*command, "--max_tokens", "40"]).strip()
        assert long.startswith(short)
        assert len(long) > len(short)

    def test_a_seed_makes_a_result_repeatable(self, python):
        command = [python, entrypoint("text_generation"), "--prompt", "Name an animal."]
        options = ["--temperature", "1.5", "--max_tokens", "12"]
        first, again, other = [
            answer([*command, *options, "--seed", seed]) for seed in ("1", "1", "2")
        ]
        assert first == again
        assert first != other

    def test_a_prompt_continues_the_conversation_before_it(self, python):
        question = {"role": "user", "content": self.QUESTION}
        history = json.dumps([question, {"role": "assistant", "content": "It is Paris."}])
        command = [python, entrypoint("text_generation"), "--prompt", "And of Germany?"]
        assert "Berlin" in answer([*command, "--history", history])

    @pytest.mark.parametrize(
        ("history", "words"),
        [
            ("{}", "history is not a list of messages"),
            ('["a"]', "All non-assistant messages must contain 'content'"),
        ],
    )
    def test_a_history_that_is_no_conversation_is_refused(self, python, history, words):
        command = [python, entrypoint("text_generation"), "--prompt", "And of Germany?"]
        assert words in refusal([*command, "--history", history])

    def test_a_prompt_that_is_too_long_is_refused(self, python):
        command = [python, entrypoint("text_generation"), "--prompt", "word " * 3000]
        assert "exceeds the available context size" in refusal(command)

    def test_sixteen_clients_read_their_texts_at_the_same_time(self, python):
        countries = ["France", "Germany", "Italy", "Japan"] * 4
        # The number of the client that got each chunk, in the order of arrival.
        order = []

        def ask(server, client):
            prompt = f"What is the capital of {countries[client]}?"
            body = urllib.parse.urlencode({"prompt": prompt}).encode()
            with urllib.request.urlopen(server.url + "/infer", body, TIME_LIMIT) as response:
                chunks = []
                while chunk := response.read1():
                    order.append(client)
                    chunks.append(chunk)
            return b"".join(chunks)

        with serve(entrypoint("text_generation"), command=[python]) as server:
            alone = [ask(server, client) for client in range(4)]
            assert b"Paris" in alone[0]
            order.clear()
            asking = [in_background(ask, server, client) for client in range(16)]
            assert [result(TIME_LIMIT) for result in asking] == alone * 4
        first, last = {}, {}
        for place, client in enumerate(order):
            first.setdefault(client, place)
            last[client] = place
        shared = [c for c in range(16) if set(order[first[c] : last[c]]) > {c}]
        assert len(shared) >= 8, order


class TestEmbeddings:
    # The example at the head of the page of sentence-transformers, with the scores there.
    TEXTS = (
        "The weather is lovely today.",
        "It's so sunny outside!",
        "He drove to the stadium.",
    )
    SCORES = {(0, 1): 0.6660, (0, 2): 0.1046, (1, 2): 0.1411}

    def test_texts_are_as_alike_as_the_authors_of_the_model_say(self, python):
        with serve(entrypoint("embeddings"), command=[python]) as server:
            assert server.get("/schema").json()["tasks"] == ["embedding"]
            # Together, so that they may share a batch, in which short texts are filled up.
            asking = [in_background(server.post, text=text) for text in self.TEXTS]
            vectors = [result(TIME_LIMIT).json() for result in asking]
        assert [len(vector) for vector in vectors] == [384] * 3
        assert dot(vectors[0], vectors[0]) == pytest.approx(1, abs=1e-5)
        for (one, other), score in self.SCORES.items():
            assert dot(vectors[one], vectors[other]) == pytest.approx(score, abs=0.001)

    def test_a_long_text_is_read_up_to_its_256th_token(self, python):
        command = [python, entrypoint("embeddings"), "--text"]
        # Two of the tokens are marks at the ends.
        short, whole, long = [
            json.loads(answer([*command, "word " * count])) for count in (253, 254, 2000)
        ]
        assert dot(whole, long) == pytest.approx(1, abs=1e-5)
        assert short != whole

    def test_an_empty_text_has_a_vector(self, python):
        assert len(json.loads(answer([python, entrypoint("embeddings"), "--text", ""]))) == 384


def dot(one, other):
    return sum(a * b for a, b in zip(one, other, strict=True))


class TestFaceDetection:
    FACE = (173, 68, 99, 99)

    def test_finds_the_astronauts_face(self, binary, sample):
        command = [binary("face_detection"), "--image", sample("astronaut.png")]
        faces = json.loads(answer(command))["faces"]
        assert len(faces) == 1
        assert overlap(faces[0]["bounding_box"], self.FACE) > 0.5
        assert faces[0]["score"] > 5

    def test_a_phone_photo_is_searched_upright(self, binary, python, sample, tmp_path):
        photo = tmp_path / "photo.jpg"
        answer([python, "-c", TURN, sample("astronaut.png"), photo])
        faces = json.loads(answer([binary("face_detection"), "--image", photo]))["faces"]
        assert overlap(faces[0]["bounding_box"], self.FACE) > 0.5

    def test_finds_none_where_there_is_none(self, binary, sample):
        command = [binary("face_detection"), "--image", sample("coffee.png")]
        assert json.loads(answer(command)) == {"faces": []}

    def test_what_is_no_picture_is_refused(self, binary, tmp_path):
        note = tmp_path / "note.png"
        note.write_text("not a picture")
        message = refusal([binary("face_detection"), "--image", note])
        assert "the image cannot be read" in message


@pytest.mark.parametrize(
    ("text", "code", "name"),
    [
        ("The weather is lovely today and we went for a long walk.", "eng", "English"),
        ("Der Zug nach München fährt heute leider nicht pünktlich ab.", "deu", "German"),
        ("La biblioteca abre todos los días a las nueve de la mañana.", "spa", "Spanish"),
    ],
)
def test_language_is_recognised(binary, text, code, name):
    found = json.loads(answer([binary("language"), "--text", text]))
    assert (found["language"], found["name"]) == (code, name)
    assert found["confidence"] > 0.5


def test_language_of_a_text_without_letters_is_refused(binary):
    assert "no letters" in refusal([binary("language"), "--text", "1234"])
