"""Two servers that run all the time, measured in turn, so that a machine that is slower for a while
is slower for both.
"""

import statistics

import load
import process

# Seconds for which each is warmed up.
WARM_UP = 2


def measure(first, second, work, count, seconds):
    """Gives the figures of both for each pair of turns."""
    for running in (first, second):
        load.warm_up(running, work, WARM_UP)
    found = []
    for pair in range(count):
        turns = [(first, second), (second, first)]
        figures = {}
        for running, other in turns if pair % 2 else reversed(turns):
            # What the other one uses is not its own.
            with process.own_child(other.process.pid):
                figures[running] = load.measure(running, work, seconds)
        found.append((figures[first], figures[second]))
    return found


def ratios(found, figure):
    """One figure of the first server by that of the second one, for each pair."""
    return [first[figure] / second[figure] for first, second in found]


def median(values):
    """The median of values that are about normal, and its standard error.

    It comes from the quartiles: a turn in which something else had the machine says nothing of it.
    """
    lower, middle, upper = statistics.quantiles(values, n=4)
    return middle, 1.25 * (upper - lower) / 1.349 / len(values) ** 0.5
