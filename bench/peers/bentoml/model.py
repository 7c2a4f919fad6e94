import os
from collections.abc import AsyncGenerator
from pathlib import Path

import benchmodel
import bentoml


@bentoml.service(
    workers=int(os.environ["WORKERS"]),
    traffic={"max_concurrency": 1024},
    logging={"access": {"enabled": False}},
)
class Model:
    @bentoml.api
    def text(self, text: str) -> dict:
        return benchmodel.echo(text)

    @bentoml.api
    def image(self, image: Path) -> dict:
        return benchmodel.look(image.read_bytes())

    @bentoml.api
    def compute(self, text: str) -> dict:
        return benchmodel.compute(text)

    # Its batches are lists that are put together from the lists in several requests.
    @bentoml.api(batchable=True, max_batch_size=32, max_latency_ms=1000)
    def batch(self, texts: list[str]) -> list[dict]:
        return benchmodel.batch(texts)

    @bentoml.api
    async def wait(self, text: str) -> dict:
        return await benchmodel.wait(text)

    @bentoml.api
    async def stream(self, text: str) -> AsyncGenerator[str, None]:
        async for chunk in benchmodel.stream(text):
            yield chunk

    @bentoml.api
    async def pace(self, text: str) -> AsyncGenerator[str, None]:
        async for chunk in benchmodel.pace(text):
            yield chunk
