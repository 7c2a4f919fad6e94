import asyncio
import os
import signal

import benchmodel
import ray
from ray import serve
from ray.serve.schema import LoggingConfig

WORK = os.environ["WORK"]


class Model:
    async def __call__(self, request):
        if WORK == "image":
            return benchmodel.look(await request.body())
        text = (await request.json())["text"]
        if WORK == "batch":
            return await self.batch(text)
        if WORK == "wait":
            return await benchmodel.wait(text)
        return benchmodel.compute(text) if WORK == "compute" else benchmodel.echo(text)

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.005)
    async def batch(self, texts):
        # In a thread, so that the server accepts requests meanwhile.
        return await asyncio.to_thread(benchmodel.batch, texts)


# A driver that simply ends leaves Ray's processes to end on their own, some seconds later.
signal.signal(signal.SIGTERM, lambda *_: exit())
ray.init(include_dashboard=False, configure_logging=False, log_to_driver=False)
serve.start(
    http_options={"host": "127.0.0.1", "port": int(os.environ["PORT"])},
    logging_config=LoggingConfig(enable_access_log=False, log_level="WARNING"),
)
deployment = serve.deployment(
    Model,
    num_replicas=int(os.environ["WORKERS"]),
    max_ongoing_requests=128,
)
serve.run(deployment.bind(), route_prefix="/")
signal.pause()
