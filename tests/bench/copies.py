"""How far apart copies and different pictures are, by the perceptual hash, through the networks of a worker.

``python -m tests.bench.copies`` writes ``tests/bench/results/copies.json``; it needs no server. Pictures are faces of
the DigiFace DCGAN, 64 x 64: of people who do not exist, and coarse, which makes landmarks and so hashes worse than on
photographs.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from generators import digiface_dcgan
from generators.weights import DCGAN_DIGIFACE, ensure, read
from streams.adapters.faces.engine import FaceEngine
from streams.adapters.images.decode import encode_png
from streams.core.faces import Pixels, Sighting, Undecodable
from streams.core.imprints import Imprints
from streams.core.policy import Limits
from streams.settings import Settings, read_settings
from tests.bench.edits import SEVERAL, SINGLE, edited
from tests.bench.stage import BATCH

Bits = npt.NDArray[np.intp]

#: How far two pictures of one anchor have wandered from it.
STRENGTHS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
#: From here on two pictures of one anchor count as different pictures of one person.
DIFFERENT_FROM = 0.7
#: Seeds of people begin here: nobody else in this repository is drawn from them.
FIRST_PERSON = 50_000

COPY, NEAR_COPY = Limits.model_fields["copy_bits"].default, Limits.model_fields["near_copy_bits"].default


@dataclass
class Studio:
    """Draws pictures of people who do not exist, and makes their imprints."""

    settings: Settings

    @cached_property
    def engine(self) -> FaceEngine:
        return FaceEngine.load(self.settings)

    @cached_property
    def _network(self) -> digiface_dcgan.DigifaceDcgan:
        ensure(DCGAN_DIGIFACE, self.settings.cache_dir)
        return digiface_dcgan.load(read(DCGAN_DIGIFACE, self.settings.cache_dir))

    def drawn(self, people: Sequence[int], strength: float, take: int = 0) -> list[Pixels]:
        """Return a picture of each person, so far from the anchor; another ``take`` wanders elsewhere."""
        anchors = np.array([digiface_dcgan.anchor(person) for person in people], dtype=np.float32)
        seeds = [1_000_000 * (take + 1) + person for person in people]
        made: list[Pixels] = []
        for start in range(0, len(people), 64):
            part = slice(start, start + 64)
            strengths = np.full(len(people[part]), strength, np.float32)
            made += list(self._network.sample(seeds[part], anchors[part], strengths))
        return made

    def imprints(self, pictures: Sequence[Pixels]) -> list[Imprints]:
        """Return the imprints of each picture and of its mirror image."""
        encoded = [encode_png(one) for one in pictures]
        found = [
            one
            for start in range(0, len(encoded), BATCH)
            for one in self.engine.imprint_originals(encoded[start : start + BATCH])
        ]
        return [one for one in found if not isinstance(one, Undecodable)]

    def people(self, count: int) -> list[int]:
        """Return people whose picture shows one face, as enrolment demands it."""
        drawn = list(range(FIRST_PERSON, FIRST_PERSON + count + count // 4 + 8))
        pictures = [encode_png(one) for one in self.drawn(drawn, 0.0)]
        seen = [
            one
            for start in range(0, len(pictures), BATCH)
            for one in self.engine.examine(pictures[start : start + BATCH])
        ]
        usable = [who for who, one in zip(drawn, seen, strict=True) if isinstance(one, Sighting) and one.faces == 1]
        return usable[:count]


def bits(sample: Imprints, original: Imprints) -> int:
    """Return by how many bits a sample, of which only the upright imprints count, differs from an original."""
    return min(int((one != other).sum()) for one in sample[::2] for other in original)


def planted(studio: Studio, people: Sequence[int]) -> dict[str, Bits]:
    """Return for each edit how far the edited pictures are from their originals."""
    pictures = studio.drawn(people, 0.0)
    originals = studio.imprints(pictures)
    return {
        name: _between(studio.imprints([edited(one, edit) for one in pictures]), originals)
        for name, edit in (SINGLE | SEVERAL).items()
    }


def ladder(studio: Studio, people: Sequence[int]) -> dict[float, Bits]:
    """Return for each strength how far two pictures of one person are from each other."""
    return {
        strength: _between(*(studio.imprints(studio.drawn(people, strength, take)) for take in (0, 1)))
        for strength in STRENGTHS
    }


def strangers(studio: Studio, people: Sequence[int]) -> Bits:
    """Return how far the pictures of every two people are from each other."""
    imprints = studio.imprints(studio.drawn(people, 0.0))
    return np.array([bits(one, other) for one, other in combinations(imprints, 2)])


def _between(samples: Sequence[Imprints], originals: Sequence[Imprints]) -> Bits:
    return np.array([bits(sample, original) for sample, original in zip(samples, originals, strict=True)])


def row(distances: Bits) -> dict[str, Any]:
    """Return what is told of some distances."""
    return {
        "pairs": len(distances),
        "within 31 bits": round(float((distances <= COPY).mean()), 3),
        "within 60 bits": round(float((distances <= NEAR_COPY).mean()), 3),
        "least": int(distances.min()),
        "median": int(np.median(distances)),
        "95 %": int(np.percentile(distances, 95)),
    }


def measure(studio: Studio, people: int) -> dict[str, Any]:
    """Return every table, and what was expected beside what came."""
    who = studio.people(people)
    copies, apart, others = planted(studio, who), ladder(studio, who), strangers(studio, who)
    single = np.concatenate([copies[name] for name in SINGLE])
    same_person = np.concatenate([apart[strength] for strength in STRENGTHS if strength >= DIFFERENT_FROM])
    different = np.concatenate([others, same_person])
    return {
        "descriptor": studio.engine.descriptor.fingerprint,
        "people": len(who),
        "expected and got": {
            "planted copies within 60 bits": {"expected": ">= 0.95", "got": row(single)["within 60 bits"]},
            "different pictures within 60 bits": {
                "expected": "0 of 300 and more",
                "got": f"{int((different <= NEAR_COPY).sum())} of {len(different)}",
            },
        },
        "planted copies, one edit": row(single),
        "planted copies": {name: row(distances) for name, distances in copies.items()},
        "two pictures of one person, by strength": {str(at): row(distances) for at, distances in apart.items()},
        "different pictures of one person": row(same_person),
        "different people": row(others),
    }


def main() -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=150)
    parser.add_argument("--into", type=Path, default=Path(__file__).parent / "results" / "copies.json")
    arguments = parser.parse_args()
    text = json.dumps(measure(Studio(read_settings()), arguments.people), indent=2) + "\n"
    arguments.into.parent.mkdir(parents=True, exist_ok=True)
    arguments.into.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
