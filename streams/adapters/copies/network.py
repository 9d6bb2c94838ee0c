"""Copies by a network that its user brings, such as SSCD (Pizzi et al., 2022): an ONNX or a TorchScript file.

The network takes RGB pictures (N, 3, S, S), with ImageNet's mean and deviation, and returns one vector each. S is what
an ONNX file says, else 320: SSCD's authors squeeze whole pictures to that.
"""

import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from streams.adapters.copies.descriptor import Views
from streams.adapters.engines.onnx_sessions import open_session
from streams.core.faces import Pixels
from streams.core.imprints import Descriptor, Imprint, Imprints, Measure
from streams.core.similarity import unit
from streams.errors import BadInput, Unready, WeightsUnusable
from streams.settings import Settings
from streams.wheels import sha256_of

Floats = npt.NDArray[np.float32]
Run = Callable[[Floats], Floats]
"""Takes (N, 3, S, S), returns (N, d)."""

#: Side of the picture where the file does not say it, in pixels.
SIDE = 320
#: ImageNet's, of pixels in [0, 1].
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class CopyNetwork:
    """Implements ``CopyDescriptor``."""

    def __init__(self, run: Run, what: Descriptor, side: int) -> None:
        """Take a loaded network; ``load`` makes one."""
        self._run = run
        self._side = side
        self.what = what

    @classmethod
    def load(cls, file: Path, settings: Settings) -> Self:
        """Load the network and try it.

        Raises:
            BadInput: If the file is missing or no such network.
            Unready: If onnxruntime, or for TorchScript torch, is not installed.
        """
        run, side = _onnx(file, settings) if file.suffix == ".onnx" else (_torchscript(file), SIDE)
        try:
            tried = run(np.zeros((1, 3, side, side), np.float32))
        except (RuntimeError, AttributeError) as error:
            raise _refused(file, str(error)) from error
        if tried.ndim != 2 or len(tried) != 1:
            raise _refused(file, f"one that returns {tried.shape} of one picture, expected (1, d)")
        what = Descriptor(
            name=re.sub(r"\W", "-", file.name.partition(".")[0], flags=re.ASCII),
            weights=sha256_of(file),
            dimension=tried.shape[1],
            measure=Measure.COSINE,
            views=f"whole picture, {side} x {side}, Pillow bilinear, ImageNet's mean and deviation",
        )
        return cls(run, what, side)

    def views(self, picture: Pixels, portrait: Pixels | None) -> Views:
        """Return the whole picture, squeezed to what the network takes."""
        squeezed = Image.fromarray(picture).resize((self._side, self._side), Image.Resampling.BILINEAR)
        return (np.array(squeezed, dtype=np.uint8),)

    def imprints(self, pictures: Sequence[Views], *, mirrored: bool = False) -> list[Imprints]:
        """Return a vector of unit length, float32 (d,), for each view; a network without an answer gives none."""
        return [tuple(each for view in views for each in self._imprints(view, mirrored)) for views in pictures]

    def _imprints(self, view: Pixels, mirrored: bool) -> list[Imprint]:
        both = np.stack([view, view[:, ::-1]] if mirrored else [view]).astype(np.float32) / 255
        values = ((both - _MEAN) / _DEVIATION).astype(np.float32).transpose(0, 3, 1, 2)
        return [unit(one) for one in self._run(np.ascontiguousarray(values)) if np.isfinite(one).all() and one.any()]


def _onnx(file: Path, settings: Settings) -> tuple[Run, int]:
    """Return what runs an ONNX file, and the side of the pictures that it takes."""
    try:
        session = open_session(file, threads=settings.threads, providers=settings.providers.split(","))
    except WeightsUnusable as error:
        raise _refused(file, str(error.__cause__)) from error
    entries = session.get_inputs()
    shape = entries[0].shape
    if len(entries) != 1 or len(shape) != 4:
        raise _refused(file, f"one that takes {[entry.shape for entry in entries]}")

    from onnxruntime.capi import onnxruntime_pybind11_state as says

    def run(values: Floats) -> Floats:
        try:
            # One at a time: a network that was exported for one picture takes no more.
            return np.concatenate([session.run(None, {entries[0].name: one[None]})[0] for one in values])
        except (says.Fail, says.InvalidArgument, says.RuntimeException) as error:
            raise RuntimeError(str(error)) from error

    return run, shape[2] if isinstance(shape[2], int) else SIDE


def _torchscript(file: Path) -> Run:
    try:
        import torch
    except ImportError as error:
        raise Unready(
            f"expected torch to run {file}, got {error}; run `pip install torch`, or bring the network as ONNX"
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch would rather have another format; people have this
            module = torch.jit.load(str(file), map_location="cpu").eval()  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError) as error:
        raise _refused(file, str(error)) from error

    def run(values: Floats) -> Floats:
        with torch.inference_mode():
            vectors: Floats = module(torch.from_numpy(values)).numpy()
        return vectors

    return run


def _refused(file: Path, got: str) -> BadInput:
    return BadInput(
        f"expected an ONNX or TorchScript network of pictures (N, 3, S, S) in {file}, got"
        f" {' '.join(got.split())[:300]}: correct LIKENESS_COPY_DESCRIPTOR"
    )
