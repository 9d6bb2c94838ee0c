"""What every served model does: many requests in, one batch through the network, one answer a request.

The model files of Triton hold a few lines over this. Triton's own module exists only inside its server, so it is
handed in, and all that decides anything here runs without it.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from generators import weights
from streams.errors import BadInput, WeightsUnusable
from streams.settings import Settings

Images = npt.NDArray[np.uint8]
"""Shape (B, H, W, 3), RGB."""


@dataclass(frozen=True)
class Tensor:
    """One tensor of the serving contract, without the batch dimension; -1 is any size."""

    name: str
    dtype: str
    dims: tuple[int, ...]


#: The contract of every family: each model's ``config.pbtxt`` and the client are held against it by a test.
INPUTS = (
    Tensor("seed", "INT64", (1,)),
    Tensor("conditioning", "FP32", (-1,)),
    Tensor("strength", "FP32", (1,)),
)
OUTPUTS = (Tensor("image", "UINT8", (-1, -1, 3)),)

#: A source frame, of families that can take one; a request may leave it out.
FRAME = Tensor("frame", "UINT8", (64, 64, 3))

#: The parameter of a model's configuration that tells clients how many values its conditioning has.
LENGTH = "conditioning_length"

#: The largest value of a conditioning, either sign. Far beyond what any family uses, and far from overflow.
LARGEST = 100.0


class Sampler(Protocol):
    """A family's network, ready to sample."""

    @property
    def conditioning_length(self) -> int:
        """Values of one conditioning."""

    def sample(
        self, seeds: Sequence[int], conditioning: npt.NDArray[np.float32], strength: npt.NDArray[np.float32]
    ) -> Images:
        """Make one image a row."""


@runtime_checkable
class FrameSampler(Protocol):
    """A network that can put an identity into a source frame."""

    takes_frames: Literal[True]

    def sample(
        self,
        seeds: Sequence[int],
        conditioning: npt.NDArray[np.float32],
        strength: npt.NDArray[np.float32],
        frames: Images | None = None,
    ) -> Images:
        """Make one image a row, of as many frames where there are some."""


@dataclass(frozen=True, eq=False)
class Asked:
    """One request: B samples."""

    seed: npt.NDArray[np.int64]
    """Shape (B, 1)."""
    conditioning: npt.NDArray[np.float32]
    """Shape (B, length)."""
    strength: npt.NDArray[np.float32]
    """Shape (B, 1)."""
    frame: Images | None = None
    """Source frames, shape (B, 64, 64, 3); None without."""


@dataclass(frozen=True)
class Refused:
    """The answer to a request that asks for what cannot be made."""

    why: str


def complaint(asked: Asked, length: int) -> str | None:
    """Return what is wrong with a request for a model with conditionings of ``length`` values, None if nothing."""
    if asked.conditioning.shape[-1] != length:
        return f"expected a conditioning of {length} values, got {asked.conditioning.shape[-1]}"
    # Written so that NaN fails.
    if not (np.abs(asked.conditioning) <= LARGEST).all():
        return f"expected conditioning values within -{LARGEST:g} and {LARGEST:g}, got NaN or beyond"
    if not ((asked.strength >= 0) & (asked.strength <= 1)).all():
        return f"expected a strength in [0, 1], got {asked.strength.ravel().tolist()}"
    if (asked.seed < 0).any():
        return f"expected a seed of 0 and up, got {int(asked.seed.min())}"
    return None


def answer(sampler: Sampler, requests: Sequence[Asked]) -> list[Images | Refused]:
    """Answer requests in order; a refused one does not touch the others.

    They go through the network at once, those with a source frame apart from those without.
    """
    complaints = [complaint(asked, sampler.conditioning_length) for asked in requests]
    good = [asked for asked, wrong in zip(requests, complaints, strict=True) if wrong is None]
    with_frames = [asked for asked in good if asked.frame is not None]
    without = [asked for asked in good if asked.frame is None]
    framed, unframed = (iter(_sample(sampler, some) if some else []) for some in (with_frames, without))
    return [
        Refused(wrong) if wrong is not None else next(framed if asked.frame is not None else unframed)
        for asked, wrong in zip(requests, complaints, strict=True)
    ]


def _sample(sampler: Sampler, requests: Sequence[Asked]) -> list[Images]:
    frames = [asked.frame for asked in requests if asked.frame is not None]
    images = sampler.sample(
        np.concatenate([asked.seed for asked in requests]).ravel().tolist(),
        np.concatenate([asked.conditioning for asked in requests]),
        np.concatenate([asked.strength for asked in requests]).ravel(),
        # Only a network that can take frames is sent some: its configuration declares the tensor, and others' do not.
        **({"frames": np.concatenate(frames)} if frames else {}),
    )
    ends = np.cumsum([len(asked.seed) for asked in requests])
    return np.split(images, ends[:-1])


def device_of(kind: str, device_id: str) -> str:
    """Return torch's name of the device on which Triton placed an instance.

    >>> device_of("GPU", "1"), device_of("CPU", "0")
    ('cuda:1', 'cpu')
    """
    return f"cuda:{device_id}" if kind.endswith("GPU") else "cpu"


def load(arguments: dict[str, str]) -> Sampler:
    """Load the family that a model's configuration names, on its instance's device, and run it once.

    Args:
        arguments: What Triton gives to ``initialize``.

    Raises:
        BadInput: If the configuration names no family that is known, or another conditioning length than it has.
        WeightsUnusable: If the weights are not beside the model, or of a published network not in the cache, or are
            other ones. A server downloads nothing.
    """
    import torch

    threads = os.environ.get("OMP_NUM_THREADS", "")
    if threads.isdecimal():
        torch.set_num_threads(int(threads))
    config = json.loads(arguments["model_config"])
    family = _family(config)
    device = device_of(arguments["model_instance_kind"], arguments["model_instance_device_id"])
    sampler = _sampler(family, Path(arguments["model_repository"]) / arguments["model_version"], device)
    if (told := parameter(config, LENGTH)) != str(sampler.conditioning_length):
        raise BadInput(
            f"expected the parameter `{LENGTH}` in config.pbtxt to be {sampler.conditioning_length}, got {told!r}"
        )
    # The first pass is the slow one: it must not be somebody's request.
    nothing = np.zeros((1, sampler.conditioning_length), dtype=np.float32)
    sampler.sample([0], nothing, np.zeros(1, dtype=np.float32))
    return sampler


def _family(config: dict[str, Any]) -> str:
    family = parameter(config, "family")
    if family not in FAMILIES:
        raise BadInput(
            f"expected the parameter `family` in config.pbtxt to be one of {', '.join(FAMILIES)}, got {family!r}"
        )
    return family


def parameter(config: dict[str, Any], name: str) -> str:
    """Return a parameter of a model's configuration, "" where there is none."""
    return str(config.get("parameters", {}).get(name, {}).get("string_value", ""))


#: The published network, whose weights are in the cache.
_PUBLISHED = "digiface_dcgan"

#: What the parameter ``family`` of a model's configuration may name. The weights of those that are trained here lie
#: beside ``model.py``, as ``likeness families export`` writes them: each version of a model has its own.
FAMILIES = (_PUBLISHED, "encoder_decoder", "gan", "diffusion")


def _sampler(family: str, version: Path, device: str) -> Sampler:
    if family == _PUBLISHED:
        from generators import digiface_dcgan

        return digiface_dcgan.load(weights.read(weights.DCGAN_DIGIFACE, Settings().cache_dir), device)
    from generators.learners import trained

    found = trained(version, device)
    if found.meta.family != family:
        raise WeightsUnusable(f"expected weights of the family {family} in {version}, got those of {found.meta.family}")
    return found.sampler


def respond(triton: Any, sampler: Sampler, requests: Sequence[Any]) -> list[Any]:
    """Turn Triton's requests into one call of ``answer`` and its answers into Triton's responses.

    Args:
        triton: The module ``triton_python_backend_utils``.
        sampler: What ``load`` returned.
        requests: What Triton gives to ``execute``.
    """
    made = answer(sampler, [_asked(triton, request) for request in requests])
    return [response(triton, OUTPUTS[0], one) for one in made]


def _asked(triton: Any, request: Any) -> Asked:
    seed, conditioning, strength = (
        triton.get_input_tensor_by_name(request, tensor.name).as_numpy() for tensor in INPUTS
    )
    frame = triton.get_input_tensor_by_name(request, FRAME.name)
    return Asked(seed, conditioning, strength, None if frame is None else frame.as_numpy())


def response(triton: Any, output: Tensor, made: npt.NDArray[Any] | Refused) -> Any:
    """Return an answer as Triton takes it: the one tensor, or the refusal."""
    if isinstance(made, Refused):
        error = triton.TritonError(made.why, triton.TritonError.INVALID_ARG)
        return triton.InferenceResponse(error=error)
    return triton.InferenceResponse([triton.Tensor(output.name, made)])
