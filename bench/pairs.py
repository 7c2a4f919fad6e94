"""Measures two running servers in turn: if the machine is slower for a while, it is so for both."""

import statistics

import load
import process

# The warm-up of each server, in seconds.
WARM_UP = 2


def measure(first, second, work, count, seconds):
    """Returns the figures of both servers for each pair of turns."""
    for running in (first, second):
        load.warm_up(running, work, WARM_UP)
    found = []
    for pair in range(count):
        turns = [(first, second), (second, first)]
        figures = {}
        for running, other in turns if pair % 2 else reversed(turns):
            # The other server's processes do not count as this one's orphans.
            with process.own_child(other.process.pid):
                figures[running] = load.measure(running, work, seconds)
        found.append((figures[first], figures[second]))
    return found


def ratios(found, figure):
    """Returns the ratio of a figure, first server to second, for each pair."""
    return [first[figure] / second[figure] for first, second in found]


def median(values):
    """The median of values that are about normal, and its standard error.

    The error is estimated from the quartiles, which ignore turns that other programs disturbed.
    """
    lower, middle, upper = statistics.quantiles(values, n=4)
    return middle, 1.25 * (upper - lower) / 1.349 / len(values) ** 0.5
