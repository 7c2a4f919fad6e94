import os

import faultmodel
import litserve


class Model(litserve.LitAPI):
    def setup(self, device):
        faultmodel.set_up()

    def decode_request(self, request):
        return request["image"].file.read() if "image" in request else request["text"]

    def predict(self, value):
        return faultmodel.answer(value) if isinstance(value, str) else faultmodel.look(value)

    def encode_response(self, answer):
        return answer


if __name__ == "__main__":
    limit = {"timeout": float(os.environ["TIME_LIMIT"])} if "TIME_LIMIT" in os.environ else {}
    server = litserve.LitServer(
        Model(),
        accelerator="cpu",
        workers_per_device=int(os.environ["WORKERS"]),
        restart_workers=True,
        **limit,
    )
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )
