import os

import benchmodel
import litserve


class Text(litserve.LitAPI):
    work = staticmethod(benchmodel.echo)

    def setup(self, device):
        pass

    def decode_request(self, request):
        return request["text"]

    def predict(self, text):
        return self.work(text)

    def encode_response(self, answer):
        return answer


class Compute(Text):
    work = staticmethod(benchmodel.compute)


class Batch(Text):
    work = staticmethod(benchmodel.batch)

    def batch(self, inputs):
        return list(inputs)

    def unbatch(self, output):
        return output


class Image(Text):
    work = staticmethod(benchmodel.look)

    def decode_request(self, request):
        return request["image"].file.read()


class Wait(litserve.LitAPI):
    def setup(self, device):
        pass

    async def decode_request(self, request):
        return request["text"]

    async def predict(self, text):
        return await benchmodel.wait(text)

    async def encode_response(self, answer):
        return answer


class Stream(Wait):
    work = staticmethod(benchmodel.stream)

    async def predict(self, text):
        async for chunk in self.work(text):
            yield chunk

    async def encode_response(self, chunks):
        async for chunk in chunks:
            yield chunk


class Pace(Stream):
    work = staticmethod(benchmodel.pace)


class Chat(litserve.LitAPI):
    work = staticmethod(benchmodel.stream)

    def setup(self, device):
        pass

    async def predict(self, request):
        async for chunk in self.work(request.messages[-1].content):
            yield chunk


class PacedChat(Chat):
    work = staticmethod(benchmodel.pace)


if __name__ == "__main__":
    work = os.environ["WORK"]
    if work == "batch":
        api = Batch(max_batch_size=32, batch_timeout=0.005)
    elif work == "wait":
        api = Wait(enable_async=True)
    elif work in ("stream", "pace"):
        api = {"stream": Stream, "pace": Pace}[work](enable_async=True, stream=True)
    elif work in ("chat", "chat-pace"):
        api = {"chat": Chat, "chat-pace": PacedChat}[work](
            enable_async=True, spec=litserve.OpenAISpec()
        )
    else:
        api = {"text": Text, "image": Image, "compute": Compute}[work]()
    server = litserve.LitServer(
        api,
        accelerator="cpu",
        workers_per_device=int(os.environ["WORKERS"]),
        fast_queue=True,  # For more than a hundred requests a second, its documentation says.
    )
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        num_api_servers=1,
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )
