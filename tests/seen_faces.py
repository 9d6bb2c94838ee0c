"""What an examiner saw in files that nobody needs to draw."""

from pathlib import Path

import numpy as np

from streams.core.faces import Face
from streams.core.similarity import unit
from streams.testing.examiner import STUB_SPACE
from streams.tools.rates.acquire import Seen
from streams.tools.rates.labels import Labelled

SPACE = STUB_SPACE.fingerprint


def face(*vector: float, faces: int = 1) -> Seen:
    padded = np.zeros(8, np.float32)
    padded[: len(vector)] = vector
    return Seen(Face(unit(padded), (0, 0, 100, 100), (), 1.0, 100.0), faces)


#: Whom each file shows: two of anna, two of bert, one of nobody that can be found, and one that is not there.
SEEN = {
    Path("a1"): face(1, 0.1),
    Path("a2"): face(1, 0.2),
    Path("b1"): face(0.1, 1),
    Path("b2"): face(0.2, 1, faces=2),
    Path("empty"): Seen(why="no face was found"),
    Path("gone"): Seen(why="cannot be read: No such file or directory", missing=True),
}


def people(count: int, each: int, spread: float, seed: int = 0) -> tuple[list[Labelled], dict[Path, Seen]]:
    random = np.random.default_rng(seed)
    images, seen = [], {}
    for person in range(count):
        centre = random.normal(size=8)
        for number in range(each):
            path = Path(f"{person}/{number}")
            images.append(Labelled(path, f"person-{person}"))
            seen[path] = face(*(centre + spread * random.normal(size=8)))
    return images, seen
