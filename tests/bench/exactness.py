"""What a fast first look changes, in short: on fewer samples than ``tests.bench.precision``, and it says how many."""

from collections.abc import Sequence
from typing import Any

from streams.errors import Unready, WeightsUnusable
from streams.settings import Settings
from streams.wheels import Report
from tests.bench.configurations import Configuration
from tests.bench.precision import compare, peopled


async def exactness(
    settings: Settings, configurations: Sequence[Configuration], *, samples: int, report: Report
) -> dict[str, Any]:
    """Judge samples in 32-bit floats, through the cascade and in the shorter numbers alone, in each such precision.

    Raises:
        Unready: If there is no shorter precision among the configurations, or none of them can be had.
    """
    of_each, missing = {}, dict[str, str]()
    for precision in dict.fromkeys(one.precision for one in configurations if one.precision != "fp32"):
        report(f"{precision}: {samples} samples")
        try:
            async with peopled(settings, precision=precision) as services:
                flips = await compare(services, samples, report)
        except (Unready, WeightsUnusable) as error:
            missing[precision] = str(error)
            continue
        of_each[precision] = flips.summary() | {
            "flips_per_10k": round(10_000 * len(flips.changed) / flips.judged, 2),
            "cosine_min": round(min(flips.cosines), 4),
        }
    if not of_each:
        raise Unready(f"expected a precision other than fp32 that can be had here, got none: {missing}")
    return {
        "flips_per_10k": max(one["flips_per_10k"] for one in of_each.values()),
        "cosine_min": min(one["cosine_min"] for one in of_each.values()),
        "samples": samples,
        "precisions": of_each,
        "missing": missing,
    }
