"""Faces of people who do not exist, the same on every machine: to calibrate with, and to measure on."""

from pathlib import Path

import numpy as np

from generators import digiface_dcgan
from generators.weights import DCGAN_DIGIFACE, ensure, read
from streams.core.faces import Pixels
from streams.wheels import Report, silent

#: How far the faces of one person wander from the anchor: from the anchor itself to hardly the same person.
STRENGTHS = (0.0, 0.2, 0.4, 0.6, 0.9)

#: Faces are made so many at a time.
_BATCH = 64


def draw(cache_dir: Path, people: int, first: int, report: Report = silent) -> tuple[str, Pixels]:
    """Return where the faces come from, and five faces a person, person by person: uint8 (5 · people, 64, 64, 3).

    Args:
        cache_dir: Where the generator's weights are kept, and put if they are not there.
        people: How many people, 1 and up.
        first: Seed of the first person; the next ones have the next seeds. Ranges that do not meet are other people.
        report: Takes lines of progress.

    Raises:
        WeightsUnusable: If the generator's weights cannot be had.
    """
    ensure(DCGAN_DIGIFACE, cache_dir, report)
    network = digiface_dcgan.load(read(DCGAN_DIGIFACE, cache_dir))
    asked = [(first + person, strength) for person in range(people) for strength in STRENGTHS]
    made = []
    for start in range(0, len(asked), _BATCH):
        part = asked[start : start + _BATCH]
        seeds = [len(STRENGTHS) * first + start + place for place in range(len(part))]
        anchors = np.array([digiface_dcgan.anchor(person) for person, _ in part], dtype=np.float32)
        strengths = np.array([strength for _, strength in part], dtype=np.float32)
        made.append(network.sample(seeds, anchors, strengths))
    wandered = ", ".join(map(str, STRENGTHS))
    source = f"{DCGAN_DIGIFACE.name}, strengths {wandered}, people {first} to {first + people - 1}"
    return source, np.concatenate(made)
