import os

import faultmodel
from mosec import Server, Worker


class Model(Worker):
    def __init__(self):
        faultmodel.set_up()

    def deserialize(self, data):
        return super().deserialize(data) if data.startswith(b"{") else data

    def forward(self, data):
        if isinstance(data, dict):
            return faultmodel.answer(data["text"])
        return faultmodel.look(data)


if __name__ == "__main__":
    server = Server()
    server.append_worker(Model, num=int(os.environ["WORKERS"]))
    server.run()
