"""Each work as a runner of its own; coglet takes the name of one from the environment.

They are asynchronous, since a request that finds every slot taken is refused with status 409, and
only an asynchronous runner has more slots than one.
"""

import asyncio

import benchmodel
import cog


class Text(cog.BaseRunner):
    @cog.concurrent(max=128)
    async def run(self, text: str) -> dict:
        return benchmodel.echo(text)


class Image(cog.BaseRunner):
    @cog.concurrent(max=128)
    async def run(self, image: cog.Path) -> dict:
        return benchmodel.look(image.read_bytes())


class Compute(cog.BaseRunner):
    @cog.concurrent(max=128)
    async def run(self, text: str) -> dict:
        return benchmodel.compute(text)


class Wait(cog.BaseRunner):
    @cog.concurrent(max=128)
    async def run(self, text: str) -> dict:
        return await benchmodel.wait(text)


class Batch(cog.BaseRunner):
    @cog.concurrent(max=128)
    async def run(self, text: str) -> dict:
        # In a thread, or else coglet responds to nobody before all received requests are done.
        return (await asyncio.to_thread(benchmodel.batch, [text]))[0]
