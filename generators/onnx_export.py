"""A family as a model folder for Triton's ONNX Runtime backend: its whole sampler in one file, without Python.

What a seed draws comes from numpy and cannot be in the file. So in place of seed and strength the network takes what
follows from them: noise (``latent.drawn``) and the identity that was wandered to (``latent.wander_on_sphere``).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from generators import checkpoint, latent
from generators.checkpoint import META
from generators.diffusion import DiffusionSampler
from generators.encoder_decoder import EncoderDecoderSampler
from generators.gan import GanSampler
from generators.layers import IDENTITY
from generators.learners import trained
from generators.learning import from_levels, levels
from generators.serve import FRAME, Sampler, Tensor
from streams.adapters.engines.onnx_sessions import open_session
from streams.adapters.engines.onnx_tracing import trace
from streams.core.faces import Pixels
from streams.errors import BadInput, Unready, WeightsUnusable

MODEL = "model.onnx"

OUTPUT = Tensor("image", "UINT8", (64, 64, 3))

#: Of the values that the exported network makes, the share that must be at most one level of 255 off.
AGREEMENT = 0.999

_EXAMPLES = {"FP32": torch.float32, "UINT8": torch.uint8, "BOOL": torch.bool}


def export(source: Path, into: Path, version: str = "1") -> None:
    """Write a model folder: ``config.pbtxt``, and the network with what is known of it under the version.

    The file is run before it is handed on.

    Args:
        source: A checkpoint, or the folder of a run.
        into: The folder, whose name is the model's.
        version: Of the model.

    Raises:
        BadInput: If the folder has this version already: requests may hang on it.
        Unready: If onnx or onnxruntime is missing.
        WeightsUnusable: If the checkpoint cannot be read, or the file does not make its pictures.
    """
    folder = into / version
    if folder.exists():
        raise BadInput(f"expected no version {version} of {into.name} yet, got {folder}: choose another folder")
    known = trained(source)
    network = _network(known.sampler)
    folder.mkdir(parents=True)
    _write(network, folder / MODEL)
    share = agreement(folder / MODEL, known.sampler)
    if share < AGREEMENT:
        (folder / MODEL).unlink()
        raise WeightsUnusable(
            f"expected the exported network to make {AGREEMENT:.1%} of all values as the family does, got {share:.2%}:"
            " take the releases of torch and onnx that requirements.lock names"
        )
    (folder / META).write_bytes((checkpoint.last(source) / META).read_bytes())
    (into / "config.pbtxt").write_text(_config(into.name, known.meta.family, network.inputs), encoding="utf-8")


def agreement(file: Path, sampler: Sampler) -> float:
    """Return the share of values that a network's file makes at most one level away from the sampler, in [0, 1].

    Of a family that takes source frames, the smaller one of those with frames and those without.
    """
    session = open_session(file, threads=torch.get_num_threads(), providers=["CPUExecutionProvider"])
    seeds, nought = range(8), np.zeros(8, dtype=np.float32)
    people = latent.wander_on_sphere(latent.drawn(seeds, IDENTITY), seeds, nought)
    given = {"drawn": latent.drawn(seeds, _network(sampler).values), "identity": people}

    def share(expected: Pixels, **frames: npt.NDArray[np.generic]) -> float:
        (made,) = session.run([OUTPUT.name], given | frames)
        return float((np.abs(made.astype(int) - expected) <= 1).mean())

    if not isinstance(sampler, EncoderDecoderSampler):
        return share(sampler.sample(seeds, people, nought))
    frames = np.random.default_rng(0).integers(0, 256, (8, *FRAME.dims), dtype=np.uint8)
    return min(
        share(sampler.sample(seeds, people, nought), frame=frames, framed=np.zeros((8, 1), dtype=bool)),
        share(sampler.sample(seeds, people, nought, frames), frame=frames, framed=np.ones((8, 1), dtype=bool)),
    )


class _Network(nn.Module):
    """A sampler from its noise on, as tensors in and tensors out."""

    values: int
    """Of the noise that one sample is drawn from."""

    @property
    def inputs(self) -> Sequence[Tensor]:
        """What it takes, in order."""
        return (Tensor("drawn", "FP32", (self.values,)), Tensor("identity", "FP32", (IDENTITY,)))


class _Gan(_Network):
    def __init__(self, sampler: GanSampler) -> None:
        super().__init__()
        self.network, self.values = sampler.network, sampler.network.config.latent

    def forward(self, drawn: torch.Tensor, identity: torch.Tensor) -> torch.Tensor:
        return _told(self.network(drawn, identity))


class _EncoderDecoder(_Network):
    def __init__(self, sampler: EncoderDecoderSampler) -> None:
        super().__init__()
        self.network, self.values = sampler.network, sampler.network.values
        self.register_buffer("root", sampler.network.root())

    @property
    def inputs(self) -> Sequence[Tensor]:
        return (*super().inputs, FRAME, Tensor("framed", "BOOL", (1,)))

    def forward(
        self, drawn: torch.Tensor, identity: torch.Tensor, frame: torch.Tensor, framed: torch.Tensor
    ) -> torch.Tensor:
        encoded, _ = self.network.encode(from_levels(frame))
        latents = torch.where(framed[:, :, None, None], encoded, self.network.placed(drawn, self.get_buffer("root")))
        return _told(self.network.decode(latents, identity))


class _Diffusion(_Network):
    """All steps of DDIM, one after another."""

    def __init__(self, sampler: DiffusionSampler) -> None:
        super().__init__()
        self.network, self.values = sampler.network, sampler.network.autoencoder.values
        self.images = sampler.images

    def forward(self, drawn: torch.Tensor, identity: torch.Tensor) -> torch.Tensor:
        return _told(self.images(drawn, identity))


def _told(images: torch.Tensor) -> torch.Tensor:
    """Return uint8 (B, 64, 64, 3), of a shape that the exporter knows: Triton wants the declared one and no other."""
    return levels(images).reshape(-1, *OUTPUT.dims)


def _network(sampler: Sampler) -> _Network:
    if isinstance(sampler, GanSampler):
        return _Gan(sampler)
    if isinstance(sampler, EncoderDecoderSampler):
        return _EncoderDecoder(sampler)
    if isinstance(sampler, DiffusionSampler):
        return _Diffusion(sampler)
    raise BadInput(f"expected a family that can be exported, got {type(sampler).__name__}")


def _write(network: _Network, file: Path) -> None:
    examples = [torch.zeros(2, *tensor.dims, dtype=_EXAMPLES[tensor.dtype]) for tensor in network.inputs]
    try:
        trace(network, examples, {tensor.name: {0: "samples"} for tensor in (*network.inputs, OUTPUT)}, file)
    except ImportError as error:
        raise Unready(f"expected onnx to export with, got {error}; run `pip install 'likeness-qc[faces]'`") from error


def _config(name: str, family: str, taken: Sequence[Tensor]) -> str:
    declared = ",\n".join(map(_declared, taken))
    return f"""\
# The family {family} for the ONNX Runtime backend. `drawn` is noise of N(0, 1) by the seed, `identity` a unit vector:
# `generators.latent` draws the one, and wanders to the other.
name: "{name}"
backend: "onnxruntime"
max_batch_size: 32

input [
{declared}
]
output [
{_declared(OUTPUT)}
]

dynamic_batching {{
  preferred_batch_size: [ 16, 32 ]
  max_queue_delay_microseconds: 2000
}}

# On every GPU that there is, and on the processor where there is none: name an instance_group to choose.
version_policy {{ latest {{ num_versions: 2 }} }}
parameters [ {{ key: "family" value: {{ string_value: "{family}" }} }} ]
"""


def _declared(tensor: Tensor) -> str:
    dims = ", ".join(map(str, tensor.dims))
    return f'  {{ name: "{tensor.name}" data_type: TYPE_{tensor.dtype} dims: [ {dims} ] }}'
