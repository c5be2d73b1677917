"""Times that can be compared on a machine that does other things as well: taken in turn, compared pair by pair."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Times:
    """Seconds of each round: by the clock, and of processor time summed over the cores."""

    clock: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)


def interleaved(work: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Times]:
    """Do each piece of work once to warm up, then all in turn, the order reversed from round to round.

    Args:
        work: functions by name.
        rounds: how often.
    """
    for call in work.values():
        call()
    times = {name: Times() for name in work}
    for number in range(rounds):
        for name in list(work)[:: 1 if number % 2 == 0 else -1]:
            clock, processor = time.perf_counter(), time.process_time()
            work[name]()
            times[name].clock.append(time.perf_counter() - clock)
            times[name].processor.append(time.process_time() - processor)
    return times


def comparison(slow: Times, fast: Times, scale: float = 1.0) -> dict:
    """Compare two pieces of work round by round.

    Args:
        slow: times of the one.
        fast: times of the other.
        scale: how often the slow one is needed where the fast one is needed once.

    Returns:
        The ratio slow / fast by the clock (median, lowest and highest round), that of processor time, and both times.
    """
    return {
        "ratio": spread([scale * a / b for a, b in zip(slow.clock, fast.clock, strict=True)]),
        "ratio_of_processor_time": spread([scale * a / b for a, b in zip(slow.processor, fast.processor, strict=True)]),
        "slow_s": spread(np.multiply(slow.clock, scale)),
        "fast_s": spread(fast.clock),
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median, lowest and highest value, and how many there are."""
    return {
        "median": float(np.median(values)),
        "low": float(np.min(values)),
        "high": float(np.max(values)),
        "rounds": len(values),
    }
