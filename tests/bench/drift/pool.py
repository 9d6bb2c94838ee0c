"""Scored samples by the thousand, computed once: what streams with a known law are drawn from.

One synthetic person is asked of the DCGAN at each strength, ever farther from who it should be, and every image goes
through a worker's own examiner. What is kept is the similarity alone, in the charts' units.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt

from generators.weights import DCGAN_DIGIFACE
from streams.adapters.faces.engine import embedding_space
from streams.adapters.images.decode import encode_png
from streams.core.drift.chart import NO_FACE, PER_SIMILARITY
from streams.core.faces import Examined, Sighting
from streams.core.gallery import Identity
from streams.core.similarity import similarity
from streams.errors import Unready
from streams.events import DEFAULT_MODEL
from streams.ports import Prompt, Services
from streams.settings import Settings
from streams.tools.synthetic import FARTHEST, NEAREST
from streams.wheels import Report
from tests.bench.stage import peopled

#: How far samples wander from whom they should show, where all is well.
IN_CONTROL = 0.10
#: What a drift takes them to, one after the other.
RUNGS = (0.11, 0.12, 0.15, 0.20)
#: Of each strength.
SCORES = 5000
#: Of fewer nothing is measured.
FEWEST = 500
#: Seeds begin here, a range for each strength: nothing else in this repository is drawn from them.
_FIRST_SEED, _SEEDS_EACH = 70_000_000, 100_000

_BATCH, _BATCHES_A_FILE = 32, 20

Scores = npt.NDArray[np.int64]


async def filled(settings: Settings, report: Report, scores: int = SCORES) -> dict[float, Scores]:
    """Return so many scores of each strength, computing those that the cache has not; broken off, it goes on there.

    Raises:
        LikenessError: If the networks cannot be had.
    """
    found = {strength: _read(_file(settings, strength)) for strength in (IN_CONTROL, *RUNGS)}
    async with AsyncExitStack() as stack:
        services: Services | None = None
        for strength, known in found.items():
            if len(known) >= scores:
                continue
            services = services or await stack.enter_async_context(peopled(settings, 1, report))
            found[strength] = await _extended(known, strength, scores, services, _file(settings, strength), report)
    return {strength: np.asarray(known[:scores]) for strength, known in found.items()}


def at_hand(settings: Settings) -> dict[float, Scores]:
    """Return what the cache has of each strength, where that is ``FEWEST`` scores at least."""
    found = {strength: _read(_file(settings, strength)) for strength in (IN_CONTROL, *RUNGS)}
    return {strength: np.asarray(known) for strength, known in found.items() if len(known) >= FEWEST}


def lacking(pools: Mapping[float, Scores]) -> list[str]:
    """Return the strengths of which there are fewer scores than the published tables rest on."""
    return [f"{one:.2f}" for one in (IN_CONTROL, *RUNGS) if len(pools.get(one, ())) < SCORES]


async def _extended(
    known: list[int], strength: float, wanted: int, services: Services, file: Path, report: Report
) -> list[int]:
    person = next(iter((await services.gallery.identities(await services.gallery.names())).values()))
    scores = list(known)
    while len(scores) < wanted:
        until = min(wanted, len(scores) + _BATCH * _BATCHES_A_FILE)
        while len(scores) < until:
            scores += await _scored(person, strength, len(scores), services)
        _write(file, scores)
        report(f"strength {strength:.2f}: {min(len(scores), wanted)} of {wanted} samples scored")
    return scores


async def _scored(person: Identity, strength: float, place: int, services: Services) -> list[int]:
    first = _FIRST_SEED + round(strength * 1000) * _SEEDS_EACH + place
    anchor = person.conditioning[DEFAULT_MODEL]
    prompts = [Prompt(seed, anchor, strength) for seed in range(first, first + _BATCH)]
    pixels = await services.generator.generate(DEFAULT_MODEL, "1", prompts)
    return [_score(seen, person) for seen in await services.examiner.examine([encode_png(one) for one in pixels])]


def _score(seen: Examined, person: Identity) -> int:
    """Return what ``streams.core.drift.chart.observe`` makes of a verdict on this image."""
    if not isinstance(seen, Sighting):
        raise Unready(f"expected an image that can be decoded, got one that cannot: {seen.detail}")
    if seen.largest is None:
        return NO_FACE
    return round(similarity(seen.largest.embedding, person.centroid) * PER_SIMILARITY)


def _file(settings: Settings, strength: float) -> Path:
    """Return where the scores lie: another generator, embedding space, engine or person lies elsewhere."""
    depends = {
        "generator": DCGAN_DIGIFACE.tensors_sha256,
        "space": embedding_space(settings).fingerprint,
        "engine": settings.engine,
        "references": [NEAREST, FARTHEST],
        "strength": strength,
        "seeds": [_FIRST_SEED, _SEEDS_EACH],
    }
    name = hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:16]
    return settings.cache_dir / "drift" / f"{name}.json"


def _read(file: Path) -> list[int]:
    found: list[int] = json.loads(file.read_text()) if file.exists() else []
    return found


def _write(file: Path, scores: Sequence[int]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_suffix(".part")
    beside.write_text(json.dumps(scores))
    beside.replace(file)
