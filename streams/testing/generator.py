"""A generator that draws tiny pictures: the same prompt is the same picture, for ever."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from streams.core.faces import Pixels
from streams.errors import GeneratorRejected, VersionRetired
from streams.ports import Prompt
from streams.testing.images import DIMENSION, picture


class StubGenerator:
    """Implements ``ports.Generator``. Its conditioning is the embedding that the picture shows.

    Strength wanders from it as the served generators do: v·√(1 - s²) + s·ε, with ε a direction drawn from the seed.
    """

    def __init__(
        self,
        *,
        models: Mapping[str, str] | None = None,
        failures: Iterable[BaseException | None] = (),
        refuses: Callable[[Prompt], bool] = lambda prompt: False,
        at_once: int | None = None,
        keeps_old_versions: bool = True,
    ) -> None:
        """Script what goes wrong.

        Args:
            models: Version by name of the served models; one ``face_gan`` where nothing is said.
            failures: What the next calls of ``generate`` raise, in order; None = that call goes well.
            refuses: Which prompts are refused for what they ask.
            at_once: How many pictures one call makes at most; None = as many as are asked for.
            keeps_old_versions: Whether another version than that of ``models`` is served, too.
        """
        self.models = dict({"face_gan": "1"} if models is None else models)
        self._failures = iter(failures)
        self._refuses = refuses
        self._at_once = at_once
        self._keeps_old_versions = keeps_old_versions
        self.prompts: list[Prompt] = []
        """Every prompt that a picture was made for, in order."""

    async def version(self, model: str) -> str:
        if model not in self.models:
            raise GeneratorRejected(f"no model {model} is served; there are {', '.join(sorted(self.models))}")
        return self.models[model]

    async def conditioning_length(self, model: str) -> int:
        await self.version(model)
        return DIMENSION

    async def generate(self, model: str, version: str, prompts: Sequence[Prompt]) -> list[Pixels]:
        served = await self.version(model)
        if failure := next(self._failures, None):
            raise failure
        if version != served and not self._keeps_old_versions:
            raise VersionRetired(model, version, served)
        prompts = prompts[: self._at_once]
        for prompt in prompts:
            if len(prompt.conditioning) != DIMENSION or self._refuses(prompt):
                raise GeneratorRejected(f"the prompt with seed {prompt.seed} is refused")
        self.prompts += prompts
        return [_draw(prompt) for prompt in prompts]


def _draw(prompt: Prompt) -> Pixels:
    """Draw one picture; the last pixel tells apart what different seeds make of one identity without wandering."""
    noise = np.random.default_rng(prompt.seed).standard_normal(DIMENSION)
    direction = np.asarray(prompt.conditioning) / np.linalg.norm(prompt.conditioning)
    wandering = prompt.strength * noise / np.linalg.norm(noise)
    drawn = picture(np.asarray(direction * np.sqrt(1 - prompt.strength**2) + wandering, np.float32))
    drawn[1, -2] = np.frombuffer(prompt.seed.to_bytes(8, "big")[2:5], np.uint8)
    drawn[1, -1] = np.frombuffer(prompt.seed.to_bytes(8, "big")[5:], np.uint8)
    return drawn
