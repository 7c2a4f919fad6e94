import os

import benchmodel
from mosec import Server, Worker


class Echo(Worker):
    def forward(self, data):
        return benchmodel.echo(data["text"])


class Look(Worker):
    def deserialize(self, data):
        return data  # The raw body.

    def forward(self, data):
        return benchmodel.look(data)


class Compute(Worker):
    def forward(self, data):
        return benchmodel.compute(data["text"])


class Batch(Worker):
    def forward(self, data):
        return benchmodel.batch([item["text"] for item in data])


if __name__ == "__main__":
    server = Server()
    work = os.environ["WORK"]
    if work == "batch":
        server.append_worker(Batch, max_batch_size=32, max_wait_time=5)
    else:
        worker = {"text": Echo, "image": Look, "compute": Compute}[work]
        server.append_worker(worker, num=int(os.environ["WORKERS"]))
    server.run()
