"""Several things measured in turns: what disturbs the machine for a while disturbs them all, and ratios stay true."""

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from statistics import median
from typing import Any

from tests.bench.machine import Others
from tests.bench.rates import summary

Work = Callable[[], Awaitable[tuple[float, float]]]
"""Does a round of one thing; returns how many it did, and the seconds that this took."""

#: One round of one thing lasts at least so many seconds.
ROUND_SECONDS = 0.5


async def in_turns(works: Mapping[str, Work], rounds: int) -> dict[str, dict[str, Any]]:
    """Return what each came to.

    That is its rate per second, as the median, the extremes and the rounds; how many a second of one core does, which
    hardly changes while other programs are busy; and how many cores these took in each round.

    A first round, to warm up, is not counted. Every other one runs backwards: nobody always follows the same one.
    """
    rates: dict[str, list[float]] = defaultdict(list)
    of_a_core: dict[str, list[float]] = defaultdict(list)
    others: dict[str, list[float]] = defaultdict(list)
    for work in works.values():
        await work()
    for number in range(rounds):
        for name in list(works) if number % 2 == 0 else reversed(list(works)):
            await asyncio.sleep(0)  # most of these never wait: here the bench can be told to stop
            busy = Others()
            done, seconds = await works[name]()
            of_a_core[name].append(done / busy.own_seconds())
            others[name].append(round(busy.cores(), 2))
            rates[name].append(done / seconds)
    return {
        name: summary(rates[name])
        | {"per_core_second": round(median(of_a_core[name]), 3), "others_cores": others[name]}
        for name in works
    }


def repeated(run: Callable[[], object], many: float) -> Work:
    """Return a round of something that blocks, each run of which does ``many``; it is run now, to see how long."""
    run()
    began = time.perf_counter()
    run()
    times = max(1, math.ceil(ROUND_SECONDS / (time.perf_counter() - began)))

    async def work() -> tuple[float, float]:
        began = time.perf_counter()
        for _ in range(times):
            run()
        return many * times, time.perf_counter() - began

    return work
