"""Every part of the bench, one after the other, and the figures that come of them."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from streams.errors import LikenessError
from streams.settings import Settings
from streams.wheels import Report
from tests.bench import road
from tests.bench.configurations import Configuration
from tests.bench.engines import engines
from tests.bench.exactness import exactness
from tests.bench.expected import FIGURES
from tests.bench.references import LITE, SERVERS, references
from tests.bench.regate import regate_part
from tests.bench.standing import Stage, standing
from tests.bench.step import step
from tests.bench.two_workers import two_workers

Result = dict[str, Any]

#: The parts by name, in the order in which they run. The last two share one road, which the first of them leaves empty.
PARTS = ("engines", "step", "exactness", "references", "regate", "workers", "road")


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rounds: int
    batches: tuple[int, ...]
    references: tuple[int, ...]
    servers: tuple[str, ...]
    judged_exactly: int
    """Samples that are judged three ways."""
    of_road: int
    """Samples a round of the whole road; of one worker or two, as many."""
    regated: int
    """Recorded samples that are judged again as they were measured."""


FULL = Size(5, (1, 8, 16, 32), (1_000, 10_000, 100_000), SERVERS, 1000, 1280, 1_000_000)
QUICK = Size(3, (1, 16), (1_000, 10_000), (LITE,), 160, 128, 100_000)


async def measure(
    settings: Settings, configurations: Sequence[Configuration], parts: Sequence[str], size: Size, report: Report
) -> Result:
    """Run the parts; one that cannot be measured here is ``None``, and ``missing`` says why."""
    missing: dict[str, str] = {}

    async def tried(name: str, part: Callable[[], Awaitable[Result]]) -> Result | None:
        report(f"— {name}")
        try:
            return await part()
        except (LikenessError, ValueError) as error:
            missing[name] = str(error)
            report(f"{name}: {error}")
            return None

    rounds, told = size.rounds, {"report": report}
    at_hand: dict[str, Callable[[], Awaitable[Result]]] = {
        "engines": partial(engines, settings, configurations, rounds=rounds, batches=size.batches, **told),
        "step": partial(step, settings, configurations, rounds=rounds, **told),
        "exactness": partial(exactness, settings, configurations, samples=size.judged_exactly, report=report),
        "references": partial(references, settings, rounds=rounds, sizes=size.references, servers=size.servers, **told),
        "regate": partial(regate_part, settings, rounds=rounds, rows=size.regated, report=report),
    }
    done = {name: await tried(name, at_hand[name]) for name in at_hand if name in parts}
    on_the_road: dict[str, Callable[[Stage], Awaitable[Result]]] = {
        "workers": partial(two_workers, samples=size.of_road, rounds=rounds, report=report),
        "road": partial(road.measure, samples=size.of_road, rounds=rounds),
    }
    if wanted := [name for name in on_the_road if name in parts]:
        done |= dict.fromkeys(wanted)
        async with AsyncExitStack() as stack:
            stage = await _standing(settings, stack, missing, wanted)
            if stage is not None:
                for name in wanted:
                    done[name] = await tried(name, partial(on_the_road[name], stage))
    return figures(done, missing) | {"parts": done}


async def _standing(
    settings: Settings, stack: AsyncExitStack, missing: dict[str, str], wanted: Sequence[str]
) -> Stage | None:
    try:
        return await stack.enter_async_context(standing(settings))
    except LikenessError as error:
        missing.update(dict.fromkeys(wanted, str(error)))
        return None


def figures(done: dict[str, Result | None], missing: dict[str, str]) -> Result:
    """Return the figures by name; None for one that was not measured, and in ``reasons`` why."""
    found: Result = {}
    reasons: dict[str, str] = {}
    for name, figure in FIGURES.items():
        part = done.get(figure.part)
        found[name] = None if part is None else figure.read(part)
        if part is None:
            reasons[name] = missing.get(figure.part, f"{figure.part} was not asked for")
        elif found[name] is None:
            reasons[name] = part["missing"][figure.needs]
    return {**found, "reasons": reasons}
