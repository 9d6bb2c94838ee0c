"""How much of the bare engine's speed is left on the whole road: both measured in one run, in turns."""

from collections.abc import Sequence
from statistics import mean
from typing import Any

from streams.cli.terminal.output import console
from streams.events import SampleGenerated
from streams.ports import Prompt, Services
from tests.bench.anatomy import BATCHES, anatomy
from tests.bench.drawn import Asked
from tests.bench.filling import Filled, fill
from tests.bench.measuring import Round, bare, road
from tests.bench.rates import engine_share, rate, ratio, summary
from tests.bench.stage import judged
from tests.bench.standing import Stage

#: On two cores of a Zen 4 server processor, in fp32 by onnxruntime: from what the networks take alone, and from a
#: prototype of the road in torch, which left 0.9 to 1.0 of its engine's 30 samples a second.
EXPECTED = {"road": "48", "bare": "52", "ratio": "0.93", "engine_share": "0.95"}


async def measure(stage: Stage, samples: int, rounds: int) -> dict[str, Any]:
    """Run bare, road, bare, road … bare; then take some batches apart."""
    settings, services, people = stage.settings, stage.services, stage.people
    filled = await fill(settings, services, people, samples, "round-1")
    again = await _looked_at_again(services, filled)

    async def alone() -> Round:
        return _told("bare", await bare(services, filled.images, again))

    bares, roads = [await alone()], list[Round]()
    for number in range(1, rounds + 1):
        name = f"round-{number}"
        if number > 1:
            filled = await fill(settings, services, people, samples, name)
        roads.append(_told("road", await road(settings, samples, name)))
        bares.append(await alone())
    apart = await fill(settings, services, people, min(samples, (BATCHES + 1) * settings.batch_size), "apart")
    of_road, of_bare = _summary(roads), _summary(bares)
    sizes = [batch.samples for one in roads for batch in one.batches]
    of_road |= {
        "unit": "verdicts/s",
        "mean_batch": round(mean(sizes), 2),
        "batch_ms": round(1000 * mean(sizes) / of_road["median"], 1),
        "engine_share": summary([engine_share(one.batches) for one in roads]),
    }
    return {
        "samples": samples,
        "rounds": rounds,
        "identities": len(people),
        "batch_size": settings.batch_size,
        "threads": settings.threads,
        "embedder": settings.embedder,
        "engine": settings.engine,
        "precision": settings.precision,
        "looked_at_again": round(again, 3),
        "ratio": ratio(of_road["rounds"], of_bare["rounds"]),
        "road": of_road,
        "bare": of_bare | {"unit": "samples/s"},
        "batch": await anatomy(settings, services, apart.messages),
        "expected": EXPECTED,
    }


async def _looked_at_again(services: Services, filled: Filled) -> float:
    """Return the part of the faces that a worker embeds twice."""
    samples = [SampleGenerated.model_validate_json(message.value or b"") for message in filled.messages]
    asked = [Asked(one.identity, Prompt(one.seed, (), one.strength)) for one in samples]
    seen = await judged(services, list(zip(asked, filled.images, strict=True)))
    return seen.again / max(1, seen.faces)


def _summary(rounds: Sequence[Round]) -> dict[str, Any]:
    others = [round(one.others_cores, 2) for one in rounds]
    return {**summary([rate(one.batches) for one in rounds]), "others_cores": others}


def _told(what: str, one: Round) -> Round:
    console.print(
        f"{what}: {rate(one.batches):.1f}/s in {len(one.batches)} batches; other programs took"
        f" {one.others_cores:.1f} cores",
        highlight=False,
    )
    return one
