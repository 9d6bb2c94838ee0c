"""What it costs that the law in control is not known, but estimated from the first scores of a stream."""

from collections.abc import Callable, Iterator, Mapping
from itertools import chain, islice, repeat
from statistics import fmean
from typing import Any

import numpy as np

from streams.core.drift.chart import Observation
from streams.core.drift.fold import Control
from streams.core.drift.limits import cusum_limit
from streams.core.drift.run_length import cusum_arl
from tests.bench.drift.known import ONSET
from tests.bench.drift.pool import IN_CONTROL, Scores
from tests.bench.drift.promise import Law
from tests.bench.drift.streams import EACH, calibrated, charted, drawn, plan_of

#: Calibration scores.
SIZES = (50, 200, 1000)
#: A drift that is not found within so many windows counts as found in the next one.
LONGEST_DELAY = 500


def estimated(
    pools: Mapping[float, Scores], arl: float, rung: float, streams: int, seed: int, report: Callable[[str], None]
) -> dict[str, Any]:
    """Return a row for each size of calibration; each stream has a calibration of its own.

    Args:
        pools: Scores by strength.
        arl: Windows between false alarms, for which both limits are set.
        rung: The strength to which streams with a drift go after ``ONSET`` windows.
        streams: How many in control, and with a drift.
        seed: The same seed gives the same rows.
        report: Takes lines of progress.
    """
    rows = {}
    for size in SIZES:
        rows[str(size)] = _row(pools, arl, rung, streams, size, seed)
        report(f"{size} calibration scores: {rows[str(size)]}")
    return rows


def _row(pools: Mapping[float, Scores], arl: float, rung: float, streams: int, size: int, seed: int) -> dict[str, Any]:
    well, plan = pools[IN_CONTROL], plan_of(arl, size)
    limits = {"plain": cusum_limit(arl, k=plan.k), "set": plan.cusum_limit}
    kept: dict[str, list[bool]] = {name: [] for name in limits}
    early: dict[str, list[bool]] = {name: [] for name in limits}
    delays: dict[str, list[int]] = {name: [] for name in limits}
    for number in range(streams):
        rng = np.random.default_rng([seed, size, number])
        calibration = calibrated(rng.choice(well, size))
        law = Law.of(well, calibration, EACH)
        control = Control(plan, calibration)
        in_control = drawn(repeat(well), rng)
        course = chain(repeat(well, ONSET), repeat(pools[rung]))
        spoken = _first_above(limits, in_control, control, round(arl))
        found = _first_above(limits, drawn(course, rng), control, ONSET + LONGEST_DELAY)
        for name, limit in limits.items():
            runs = cusum_arl(limit, k=plan.k, mean=-law.mean, sd=law.sd)
            # Beyond what numbers are exact for, a run length comes out as anything.
            kept[name].append(not 0 < runs < arl)
            early[name].append(spoken[name] <= arl)
            delays[name] += [found[name] - ONSET] if found[name] > ONSET else []
    return {
        name: {
            "limit": round(limits[name], 2),
            "keep_the_promise": round(fmean(kept[name]), 3),
            "speak_within_it": round(fmean(early[name]), 3),
            "delay": round(fmean(delays[name]), 2),
            "delay_of_nine_in_ten": int(np.quantile(delays[name], 0.9, method="higher")),
        }
        for name in limits
    }


def _first_above(
    limits: Mapping[str, float], windows: Iterator[list[Observation]], control: Control, longest: int
) -> dict[str, int]:
    """Return after how many windows the chart is above each limit first; one more than ``longest`` where it is not."""
    first = dict.fromkeys(limits, longest + 1)
    for length, (point, _) in enumerate(islice(charted(windows, control), longest), start=1):
        value = point.standings["fall"].value
        for name, limit in limits.items():
            if value > limit and first[name] > longest:
                first[name] = length
        if max(first.values()) <= longest:
            break
    return first
