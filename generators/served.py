"""The trained families as they are served: sampled over Triton, as whoever asks for a face samples them."""

import asyncio
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from generators import serve
from generators.checkpoint import META
from streams.adapters.images.decode import encode_png
from streams.adapters.triton.generator import TritonGenerator
from streams.embedded import triton
from streams.embedded.server import Server
from streams.ports import Prompt
from streams.settings import Settings
from streams.shipped import shipped

#: The models that serve the families that are trained here.
MODELS = ("face_encoder_decoder", "face_identity_gan", "face_diffusion")


class ServedSampler:
    """A served model, as a network is: what is asked goes through the server."""

    conditioning_length = 128

    def __init__(self, runner: asyncio.Runner, generator: TritonGenerator, model: str) -> None:
        """Take the newest version that is ready."""
        self._runner, self._generator, self._model = runner, generator, model
        self.version = runner.run(generator.version(model))

    @property
    def weights(self) -> Path:
        """The folder of the version's weights, of the models that are shipped."""
        return shipped("triton_models") / self._model / self.version

    def sample(
        self, seeds: Sequence[int], conditioning: npt.NDArray[np.float32], strength: npt.NDArray[np.float32]
    ) -> serve.Images:
        """Make one image a row."""
        return self._made(seeds, conditioning, strength, [None] * len(seeds))

    def _made(
        self,
        seeds: Sequence[int],
        conditioning: npt.NDArray[np.float32],
        strength: npt.NDArray[np.float32],
        frames: Sequence[bytes | None],
    ) -> serve.Images:
        rows = zip(seeds, conditioning.tolist(), strength.tolist(), frames, strict=True)
        prompts = [Prompt(seed, (), how_far, tuple(centroid), frame) for seed, centroid, how_far, frame in rows]
        return np.stack(self._runner.run(self._all(prompts)))

    async def _all(self, prompts: Sequence[Prompt]) -> list[serve.Images]:
        made: list[serve.Images] = []
        while rest := prompts[len(made) :]:
            made += await self._generator.generate(self._model, self.version, rest)
        return made


class ServedFrameSampler(ServedSampler):
    """A served model that puts identities into source frames."""

    takes_frames: Literal[True] = True

    def sample(
        self,
        seeds: Sequence[int],
        conditioning: npt.NDArray[np.float32],
        strength: npt.NDArray[np.float32],
        frames: serve.Images | None = None,
    ) -> serve.Images:
        """Make one image a row, of as many frames where there are some."""
        encoded = [None] * len(seeds) if frames is None else [encode_png(frame) for frame in frames]
        return self._made(seeds, conditioning, strength, encoded)


def shipped_weights() -> dict[str, Path]:
    """Return the folder of the first weights that are shipped of each family, by its name."""
    return {_family(model): shipped("triton_models") / model / "1" for model in MODELS}


@contextmanager
def samplers(settings: Settings) -> Iterator[dict[str, ServedSampler]]:
    """Yield a sampler of each family by its name, on the server that the settings name, or on one of their own.

    Raises:
        DependencyUnavailable: If that server does not answer.
        PartFailed, Unready: If one of their own does not start.
    """
    with asyncio.Runner() as runner, _address(settings, runner) as address:
        generator = TritonGenerator(address, timeout_seconds=max(settings.call_timeout_seconds, 60))
        runner.run(generator.open())
        try:
            yield {_family(model): _sampler(runner, generator, model) for model in MODELS}
        finally:
            runner.run(generator.close())


def _sampler(runner: asyncio.Runner, generator: TritonGenerator, model: str) -> ServedSampler:
    kind = ServedFrameSampler if _family(model) == "encoder_decoder" else ServedSampler
    return kind(runner, generator, model)


def _family(model: str) -> str:
    """Return the family of a shipped model, as its first weights say."""
    return str(json.loads((shipped("triton_models") / model / "1" / META).read_bytes())["family"])


@contextmanager
def _address(settings: Settings, runner: asyncio.Runner) -> Iterator[str]:
    if settings.triton:
        yield settings.triton
        return
    with own_server(settings, runner, MODELS) as address:
        yield address


@contextmanager
def own_server(settings: Settings, runner: asyncio.Runner, models: Sequence[str]) -> Iterator[str]:
    """Start a server of some of the shipped models, yield its address, and stop it.

    Raises:
        PartFailed, Unready: If it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="likeness-triton-") as name:
        folder = Path(name)
        plan = triton.plan(folder, settings.cache_dir, shipped("triton_models"), models)
        server = Server(
            "triton",
            partial(triton.prepare, plan),
            partial(triton.start, plan, folder / "triton.log"),
            partial(triton.answers, plan.address),
            [plan.port],
            triton.REMEDY,
        )
        try:
            runner.run(server.start())
            yield plan.address
        finally:
            runner.run(server.stop())
            triton.clean(plan)
