"""What 8-bit integers change, in short: on fewer samples than ``tests.bench.precision`` takes, and it says how many."""

from typing import Any

from streams.settings import Settings
from streams.wheels import Report
from tests.bench.precision import compare, peopled


async def exactness(settings: Settings, samples: int, report: Report) -> dict[str, Any]:
    """Judge samples in 32-bit floats, through the cascade and in integers alone; count what differs.

    Raises:
        BadInput, Unready, WeightsUnusable: If the engine has no network in integers, or none can be made.
    """
    async with peopled(settings) as services:
        flips = await compare(services, samples, report)
    return {
        **flips.summary(),
        "flips_per_10k": round(10_000 * len(flips.changed) / flips.judged, 2),
        "cosine_min": round(min(flips.cosines), 4),
    }
