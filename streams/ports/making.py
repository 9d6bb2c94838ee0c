"""How samples are made: what one is made from, and the served models that make it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from streams.core.faces import Pixels


@dataclass(frozen=True)
class Prompt:
    """What one sample is made from."""

    seed: int
    conditioning: tuple[float, ...]
    """What the identity was enrolled with for this model; empty where that is nothing."""
    strength: float
    centroid: tuple[float, ...] = ()
    """The identity's centroid in the gallery: what a model that learned to show anybody is conditioned on."""
    frame: bytes | None = None
    """An encoded source frame, whose pose and light the sample takes; only some models can."""


class Generator(Protocol):
    """Served models that make faces."""

    async def version(self, model: str) -> str:
        """Return the version that the server would use now. Raises GeneratorRejected for a model it has not.

        What is missing for seconds, as in a redeploy, is waited for.
        """

    async def conditioning_length(self, model: str) -> int:
        """Return how many values the conditioning of this model has. Raises GeneratorRejected as ``version`` does."""

    async def generate(self, model: str, version: str, prompts: Sequence[Prompt]) -> list[Pixels]:
        """Make an image of each of the first prompts, in order: at least one, and as many as the model takes at once.

        Whoever wants more asks for the rest: what is made can be kept before the rest may fail.

        Raises:
            GeneratorRejected: If one of these is refused, or fails where other prompts do not; then none is made.
            VersionRetired: If the server has the model, and no longer in this version.
        """
