"""The requests that the servers get, and the checks of their responses."""

import random
import struct
import zlib
from dataclasses import dataclass, field


def png(side):
    """Returns a PNG of noise, about `3 * side * side` bytes long: some servers decode pictures.

    The noise is the same each time.
    """
    noise = random.Random(1)
    rows = b"".join(b"\0" + noise.randbytes(3 * side) for _ in range(side))

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows, 0))
        + chunk(b"IEND", b"")
    )


TEXT = ("The quick brown fox jumps over the lazy dog. " * 3)[:100]
IMAGE = png(577)
# The two forms of the Open Inference Protocol.
REST, GRPC = "rest", "grpc"


@dataclass(frozen=True)
class Work:
    """One row of load: `model` is what the model program does, one of those in `benchmodel`.

    The faults have a program of their own, and texts of their own.
    """

    name: str
    title: str
    model: str
    clients: int
    workers: int = 1
    text: str = TEXT
    image: bytes = field(default=IMAGE, repr=False)
    # Sends the image as base64 in JSON.
    is_base64: bool = False
    # Sends the input as a tensor of the Open Inference Protocol, over REST or gRPC.
    tensors: str | None = None
    # The clients send one request each at the same time, and wait for all responses, in rounds.
    in_rounds: bool = False
    # The chunks of a response that is a stream, and True if each one has the time of its sending.
    chunks: int = 0
    is_timed: bool = False
    # Sends the text as a message of OpenAI's chat completions; the chunks are its tokens.
    is_chat: bool = False

    @property
    def sends_image(self):
        return self.model == "image"

    @property
    def right_answer(self):
        if self.sends_image:
            return {"size": len(self.image), "first": self.image[0], "last": self.image[-1]}
        return self.chunks or {"text": self.text}

    @property
    def newline(self):
        """Returns the end of each chunk of the model, as it is in a response."""
        return rb"\n" if self.is_chat else b"\n"

    @property
    def rate(self):
        """Returns the name of the figure that counts what the server has done."""
        return "chunks_per_second" if self.chunks else "requests_per_second"


WORKS = [
    Work("text-1", "100-byte text echo, 1 client", "text", 1),
    Work("text-16", "100-byte text echo, 16 clients", "text", 16),
    Work(
        "oip-text-16", "100-byte text as a tensor over REST, 16 clients", "text", 16, tensors=REST
    ),
    Work(
        "grpc-text-16", "100-byte text as a tensor over gRPC, 16 clients", "text", 16, tensors=GRPC
    ),
    Work("image-16", "1 MB image, 16 clients", "image", 16),
    Work("oip-image-16", "1 MB image as a tensor over REST, 16 clients", "image", 16, tensors=REST),
    Work("base64-2", "1 MB image as base64 in JSON, 2 clients", "image", 2, is_base64=True),
    Work("compute-1", "5 ms of computing, 1 worker, 16 clients", "compute", 16),
    Work("compute-2", "5 ms of computing, 2 workers, 16 clients", "compute", 16, workers=2),
    Work("batch-1", "10 ms per batch of up to 32, 1 client", "batch", 1),
    Work("batch-64", "10 ms per batch of up to 32, 64 clients", "batch", 64),
    Work("wait-64", "100 ms of waiting in an async function, 64 clients", "wait", 64),
    Work("loop-8", "8 requests at once, 500 ms of waiting on a thread", "loop", 8, in_rounds=True),
    Work("stream-64", "streams of 200 chunks, 64 clients", "stream", 64, chunks=200),
    Work(
        *("pace-64", "streams of 50 chunks a second, 64 clients", "pace", 64),
        chunks=50,
        is_timed=True,
    ),
    Work(
        *("chat-16", "OpenAI's chat streams of 200 tokens, 16 clients", "chat", 16),
        chunks=200,
        is_chat=True,
    ),
    Work(
        *(
            "chat-pace-16",
            "OpenAI's chat streams of 50 tokens a second, 16 clients",
            "chat-pace",
            16,
        ),
        chunks=50,
        is_timed=True,
        is_chat=True,
    ),
]
