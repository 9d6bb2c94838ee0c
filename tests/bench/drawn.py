"""A generator without a server: the DCGAN in this process, and what is asked of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from generators import digiface_dcgan
from generators.weights import DCGAN_DIGIFACE, ensure, read
from streams.core.faces import Pixels
from streams.core.gallery import Identity
from streams.events import DEFAULT_MODEL
from streams.ports import Prompt
from streams.tools.demo_requests import STRENGTHS

#: Seeds of samples begin here: no reference and no calibration face has one of them.
FIRST_SEED = 1_000_000
#: One of so many samples shows somebody else than was asked for.
WRONG_ONE_OF = 16


@dataclass(frozen=True)
class Asked:
    """One sample: who is asked for, and what the generator is given."""

    identity: str
    prompt: Prompt

    @property
    def key(self) -> str:
        """A sample id: no two samples have one seed."""
        return f"{self.prompt.seed:032x}"


class DrawingGenerator:
    """Implements ``ports.Generator`` with the network that Triton serves."""

    def __init__(self, cache_dir: Path) -> None:
        """Load the network; its weights are fetched where they are missing."""
        ensure(DCGAN_DIGIFACE, cache_dir)
        self._network = digiface_dcgan.load(read(DCGAN_DIGIFACE, cache_dir))

    async def version(self, model: str) -> str:
        return "1"

    async def conditioning_length(self, model: str) -> int:
        return self._network.conditioning_length

    async def generate(self, model: str, version: str, prompts: Sequence[Prompt]) -> list[Pixels]:
        anchors = np.array([prompt.conditioning for prompt in prompts], dtype=np.float32)
        strengths = np.array([prompt.strength for prompt in prompts], dtype=np.float32)
        return list(self._network.sample([prompt.seed for prompt in prompts], anchors, strengths))


def asked_of(people: Sequence[Identity], count: int) -> Iterator[Asked]:
    """Ask for everybody in turn, at each of the demonstration's strengths in turn."""
    for number in range(count):
        turn, person = divmod(number, len(people))
        shown = people[(person + 1) % len(people)] if number % WRONG_ONE_OF == WRONG_ONE_OF - 1 else people[person]
        strength = STRENGTHS[(turn + person) % len(STRENGTHS)]
        yield Asked(people[person].identity, Prompt(FIRST_SEED + number, shown.conditioning[DEFAULT_MODEL], strength))
