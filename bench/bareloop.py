"""A floor: the model's batch of one, called in a loop by a plain Python program.

Prints what `load.measure` gives, as JSON. Needs `bench/model` in `PYTHONPATH`.
"""

import json
import statistics
import sys
import time

import benchmodel


def main(seconds):
    times = []
    start = now = time.perf_counter()
    processor = time.process_time()
    while now < start + seconds:
        before = now
        benchmodel.batch(["x" * 100])
        now = time.perf_counter()
        times.append(now - before)
    cuts = statistics.quantiles(times, n=100)
    figures = {
        "requests_per_second": len(times) / (now - start),
        "p50_ms": cuts[49] * 1000,
        "p99_ms": cuts[98] * 1000,
        "cpu_per_1000": (time.process_time() - processor) / len(times) * 1000,
        "errors": 0,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(float(sys.argv[1]))
