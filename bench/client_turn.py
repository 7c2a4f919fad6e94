"""One turn of the Python client: threads that send a picture for some seconds, each as often as it
can, and check every result. Prints the requests per second."""

import sys
import threading
import time
from pathlib import Path

from ai_integration import Client

# Seconds of warm-up, which are not counted.
WARM_UP = 0.2


def main():
    address, path, seconds, threads = sys.argv[1:]
    picture = Path(path).read_bytes()
    right = {"size": len(picture), "first": picture[0], "last": picture[-1]}
    client = Client(address)
    begin = time.perf_counter() + WARM_UP
    end = begin + float(seconds)
    counts = []

    def ask():
        count = 0
        while time.perf_counter() < end:
            result = client.predict(image=picture)
            assert result == right, result
            count += time.perf_counter() >= begin
        counts.append(count)

    askers = [threading.Thread(target=ask) for _ in range(int(threads))]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert len(counts) == len(askers), "a thread failed"
    print(sum(counts) / (time.perf_counter() - begin))


if __name__ == "__main__":
    main()
