"""Synthetic identities: people who do not exist, drawn from a generator's latent space, for trying things out."""

import asyncio
from collections.abc import AsyncIterator, Callable

import numpy as np

from streams.core.faces import Embedding
from streams.core.gallery import Origin, Reference, reference_id
from streams.core.similarity import similarity
from streams.errors import BadInput
from streams.ports import Prompt, Services
from streams.tools.enrol import only_face, summarise

#: No two anchors may be as similar as this: strangers among real people hardly ever are.
ANCHOR_LIMIT = 0.35
#: References wander this far from their anchor, at least and at most.
NEAREST, FARTHEST = 0.05, 0.15
#: Anchors are drawn and looked at so many at a time.
DRAWN = 16
#: After so many anchors without enough different people, the generator has no more of them.
MOST_DRAWN = 2000

_EVIDENCE = "synthetic: shows nobody"


async def enrol_synthetic(
    count: int,
    services: Services,
    *,
    model: str,
    seed: int = 0,
    references: int = 6,
    report: Callable[[str], None] = lambda _: None,
) -> list[str]:
    """Enrol ``count`` synthetic identities with consent, and return their names: ``synthetic-01`` and on.

    Raises:
        BadInput: If the generator's faces are too alike to make so many identities.
    """
    version = await services.generator.version(model)
    names: list[str] = []
    async for anchor in _different_people(count, services, model, version, seed):
        name = f"synthetic-{len(names) + 1:02d}"
        found = await _references_of(name, anchor, services, model, version, references)
        identity = summarise(name, found, conditioning={model: anchor})
        await services.consent.grant(name, evidence=_EVIDENCE, at=services.now(), expires=None)
        await services.gallery.enrol(identity, found)
        names.append(name)
        report(name)
    return names


async def _different_people(
    count: int, services: Services, model: str, version: str, seed: int
) -> AsyncIterator[tuple[float, ...]]:
    """Draw anchors, and yield those that show one face unlike all before it."""
    length = await services.generator.conditioning_length(model)
    chosen: list[Embedding] = []
    for start in range(0, MOST_DRAWN, DRAWN):
        anchors = [_anchor(seed + start + place, length) for place in range(DRAWN)]
        pixels = await services.generator.generate(model, version, [Prompt(0, anchor, 0.0) for anchor in anchors])
        refs = await asyncio.gather(*(services.images.put_pixels(picture) for picture in pixels))
        encoded = await asyncio.gather(*(services.images.get(ref) for ref in refs))
        for anchor, seen in zip(anchors, await services.examiner.examine(encoded), strict=True):
            face = only_face(seen)
            if isinstance(face, str) or any(similarity(face.embedding, one) >= ANCHOR_LIMIT for one in chosen):
                continue
            chosen.append(face.embedding)
            yield anchor
            if len(chosen) == count:
                return
    raise BadInput(
        f"among {MOST_DRAWN} faces of {model} only {len(chosen)} differ by enough: ask for fewer than {count}"
    )


async def _references_of(
    name: str, anchor: tuple[float, ...], services: Services, model: str, version: str, wanted: int
) -> list[Reference]:
    """Make references around an anchor until there are enough that show one face."""
    references: dict[str, Reference] = {}
    seed = 0
    while len(references) < wanted:
        strengths = np.linspace(NEAREST, FARTHEST, wanted)
        prompts = [Prompt(seed + place, anchor, float(strength)) for place, strength in enumerate(strengths)]
        seed += wanted
        pixels = await services.generator.generate(model, version, prompts)
        refs = await asyncio.gather(*(services.images.put_pixels(picture) for picture in pixels))
        encoded = await asyncio.gather(*(services.images.get(ref) for ref in refs))
        for ref, seen in zip(refs, await services.examiner.examine(encoded), strict=True):
            face = only_face(seen)
            if not isinstance(face, str):
                key = reference_id(name, ref.sha256)
                references[key] = Reference(key, name, Origin.SYNTHETIC, ref.sha256, face.embedding)
        if seed > 20 * wanted:
            raise BadInput(f"hardly any face is found around the anchor of {name}: {model} does not make faces")
    return list(references.values())[:wanted]


def _anchor(seed: int, length: int) -> tuple[float, ...]:
    """Draw z0 ~ N(0, I). A stream of its own keeps it apart from the noise that a sample's seed draws."""
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
    return tuple(generator.standard_normal(length).astype(np.float32).tolist())
