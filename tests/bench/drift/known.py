"""What the charts do where the law in control is known: the chosen run length, and the delays of the table."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice, repeat
from statistics import fmean, stdev
from typing import Any

import numpy as np

from streams.core.drift.calibration import Calibration
from streams.core.drift.fold import Control
from tests.bench.drift.pool import IN_CONTROL, Scores
from tests.bench.drift.promise import Law, delay
from tests.bench.drift.streams import EACH, charted, drawn, known_plan_of, observed

#: Steps in control before a drift begins.
ONSET = 50
#: Steps for which a rising ladder stays on each rung.
STEPS_A_RUNG = 4
LADDER = "ladder"
#: A chart that runs for so many times what it should is broken.
_FAR_TOO_LONG = 100


@dataclass(frozen=True)
class Measured:
    """One row: what was promised, and what came."""

    promised: float
    measured: float
    se: float
    """Standard error of ``measured``."""
    streams: int

    @staticmethod
    def of(promised: float, lengths: list[int]) -> "Measured":
        """Return the row of these run lengths, in windows."""
        error = stdev(lengths) / math.sqrt(len(lengths))
        return Measured(round(promised, 2), round(fmean(lengths), 2), round(error, 3), len(lengths))


def known(
    pools: Mapping[float, Scores], arl: float, streams: int, seed: int, report: Callable[[str], None]
) -> dict[str, Any]:
    """Measure the run length in control and the delay of each drift, each on as many streams.

    Args:
        pools: Scores by strength; ``IN_CONTROL`` is the law in control.
        arl: Windows between false alarms, for which the limit is set.
        streams: How many. Of those with a drift, some speak before it; these count in no delay.
        seed: The same seed gives the same table.
        report: Takes lines of progress.
    """
    well = pools[IN_CONTROL]
    # All in one window: windows that are drawn from a known law vary as their samples say, and not by chance otherwise.
    plan, calibration = known_plan_of(arl, len(well)), Calibration.of(observed(-1, well), -1)
    control = Control(plan, calibration)
    laws = {strength: Law.of(scores, calibration, EACH) for strength, scores in pools.items()}
    longest = round(_FAR_TOO_LONG * arl)
    lengths = [_first(repeat(well), control, [seed, 0, number], longest) for number in range(streams)]
    in_control = Measured.of(arl, lengths)
    report(f"in control: {in_control.measured} windows of {arl:g}")
    delays = {}
    rungs = sorted(strength for strength in pools if strength != IN_CONTROL)
    for place, (name, path) in enumerate(_paths(rungs).items(), start=1):
        promised = delay(laws[IN_CONTROL], ONSET, [laws[one] for one in path], limit=plan.cusum_limit, k=plan.k)
        ends = [
            _first(_course(well, [pools[one] for one in path]), control, [seed, place, number], longest)
            for number in range(streams)
        ]
        delays[name] = Measured.of(promised, [end - ONSET for end in ends if end > ONSET])
        report(f"{name}: {delays[name].measured} windows of {promised:.2f}")
    return {
        "limit": round(plan.cusum_limit, 3),
        "in_control": asdict(in_control),
        "laws": {f"{strength:.2f}": [round(one.mean, 3), round(one.sd, 3)] for strength, one in laws.items()},
        "delays": {name: asdict(row) for name, row in delays.items()},
    }


def _paths(rungs: list[float]) -> dict[str, list[float]]:
    """Return each drift by name: the strength of each step; the last one stays."""
    return {f"{rung:.2f}": [rung] for rung in rungs} | {LADDER: [rung for rung in rungs for _ in range(STEPS_A_RUNG)]}


def _course(well: Scores, path: list[Scores]) -> Iterator[Scores]:
    yield from repeat(well, ONSET)
    yield from path
    yield from repeat(path[-1])


def _first(course: Iterator[Scores], control: Control, seed: list[int], longest: int) -> int:
    """Return after how many windows a stream's chart raises an alert."""
    windows = charted(drawn(course, np.random.default_rng(seed)), control)
    for length, (_, alert) in enumerate(islice(windows, longest), start=1):
        if alert is not None:
            return length
    raise AssertionError(f"expected an alert within {longest} windows, got none: the limit cannot be what it says")
