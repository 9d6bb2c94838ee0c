"""The four networks as ONNX files: exported once with torch, kept in the cache, run without it.

A folder belongs to one set of published weights, by their hash. It holds the three stages of MTCNN, FaceNet with three
outputs (the embedding, the 1792 values before the last layer, and the embedding's length before it was brought to 1),
that last layer by itself, and a card with the hash of every file. onnxruntime and OpenVINO read the same files.
"""

import hashlib
import importlib.metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from streams.adapters.engines.networks import EmbedFast, EmbedWhole, Floats, Run
from streams.adapters.engines.onnx_tracing import OPSET, trace
from streams.adapters.facenet.head import head_of_network, write_head
from streams.adapters.facenet.weights import FACENET_PYTORCH, Published, load_embedder, published
from streams.cards import ModelCard, read_card, write_card
from streams.errors import Unready, WeightsUnusable
from streams.settings import Settings
from streams.wheels import Report, one_at_a_time, sha256_of, silent

if TYPE_CHECKING:
    from torch import nn

PROPOSE, REFINE, OUTPUT, EMBED = FILES = ("propose.onnx", "refine.onnx", "output.onnx", "embed.onnx")

#: FaceNet's last layer.
HEAD = "head.npz"

#: What the card of a folder tells of.
KEPT = (*FILES, HEAD)

#: The one input of every network.
INPUT = "pixels"

#: Raised with every change of what is exported: older folders are made again.
_EXPORT = 3


def folder_of(settings: Settings) -> Path:
    """Return where the networks of these settings belong in the cache."""
    what = published(settings)
    return settings.cache_dir / "weights" / f"{what.name}-onnx-{_EXPORT}-{what.sha256[:12]}"


def ensure(settings: Settings, report: Report = silent) -> Path:
    """Return the folder with the checked files, which are made where they are missing; that takes torch and seconds.

    Raises:
        BadInput: If the settings contradict each other.
        Unready: If the files are missing, and torch or onnx too.
        WeightsUnusable: If the published weights cannot be had, or a file is not the one that the card describes.
    """
    folder = folder_of(settings)
    if not complete(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(folder, report):
            if not complete(folder):
                _export(settings, folder, report)
    check(folder)
    return folder


def check(folder: Path) -> None:
    """Hold the files against their card. Needs no torch.

    Raises:
        WeightsUnusable: If one is missing or altered.
    """
    card = read_card(folder)
    for name in KEPT:
        got = sha256_of(folder / name) if (folder / name).is_file() else "no file"
        if card is None or card.conversion.get(name) != got:
            raise WeightsUnusable(
                f"expected {folder / name} as its card.json says, got {got}; delete the folder {folder}, it is made"
                " again"
            )


def complete(folder: Path) -> bool:
    """Say whether every file is there; whether they are the right ones, ``check`` says."""
    return all((folder / name).is_file() for name in (*KEPT, "card.json"))


def as_embedder(run: Run) -> EmbedFast:
    """Return the embedder that a loaded ``EMBED`` is, in whatever numbers it computes."""

    def embed(faces: Floats) -> tuple[Floats, Floats]:
        embeddings, _features, lengths = run(np.ascontiguousarray(faces.transpose(0, 3, 1, 2)))
        return embeddings, lengths.reshape(-1)

    return embed


def as_whole_embedder(run: Run) -> EmbedWhole:
    """Return the embedder that a loaded ``EMBED`` is, with the features."""

    def embed(faces: Floats) -> tuple[Floats, Floats]:
        embeddings, features, _lengths = run(np.ascontiguousarray(faces.transpose(0, 3, 1, 2)))
        return embeddings, features

    return embed


def _export(settings: Settings, folder: Path, report: Report) -> None:
    try:
        import onnx  # noqa: F401 - torch's exporter needs it, and says so late
        import torch
        from facenet_pytorch import MTCNN
    except ImportError as error:
        raise Unready(
            f"expected exported networks in {folder}, or torch, facenet-pytorch and onnx to export them, got {error};"
            " run `pip install 'likeness-qc[faces]'`, or bring the folder from a machine that has it"
        ) from error
    network, what = load_embedder(settings, report)
    report(f"exporting MTCNN and {what.name} as ONNX")
    detector = MTCNN()
    for stage in (detector.pnet, detector.rnet, detector.onet):
        _with_prelu_in_parts(stage)
    many, height, width = {0: "images"}, {2: "height"}, {3: "width"}
    crops = {INPUT: many, "shift": many, "probability": many}
    frames = dict.fromkeys(crops, many | height | width)
    _write(detector.pnet, torch.zeros(2, 3, 40, 40), frames, folder / PROPOSE)
    _write(detector.rnet, torch.zeros(2, 3, 24, 24), crops, folder / REFINE)
    marked = {INPUT: many, "shift": many, "landmarks": many, "probability": many}
    _write(detector.onet, torch.zeros(2, 3, 48, 48), marked, folder / OUTPUT)
    embedded = dict.fromkeys((INPUT, "embedding", "features", "length"), many)
    _write(with_all_outputs(network), torch.zeros(2, 3, 160, 160), embedded, folder / EMBED)
    try:
        write_head(head_of_network(network), folder / HEAD)
    except OSError as error:
        raise WeightsUnusable(f"expected to write {folder / HEAD}, got {error}; free space there") from error
    write_card(folder, _card(what, folder, torch.__version__))
    report(f"the networks are ready in {folder}")


def _write(network: "nn.Module", example: Any, axes: dict[str, dict[int, str]], file: Path) -> None:
    try:
        trace(network, [example], axes, file)
    except OSError as error:
        raise WeightsUnusable(f"expected to write {file}, got {error}; free space there") from error


def _with_prelu_in_parts(stage: "nn.Module") -> None:
    """Replace each PReLU of a network by max(x, 0) - slope * max(-x, 0), which is the same number in every case.

    onnxruntime's own PReLU goes value by value and took half of the detector's time; OpenVINO puts the parts together
    again.
    """
    import torch

    class InParts(torch.nn.Module):
        def __init__(self, slopes: torch.Tensor) -> None:
            super().__init__()
            self.slopes = slopes

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            slopes = self.slopes.reshape(-1, *[1] * (values.dim() - 2))  # one a channel
            return torch.relu(values) - slopes * torch.relu(-values)

    for name, layer in stage.named_children():
        if isinstance(layer, torch.nn.PReLU):
            setattr(stage, name, InParts(layer.weight))


def with_all_outputs(network: Any) -> "nn.Module":
    """Return InceptionResnetV1 with two outputs more: the 1792 values before its last layer, (N, 1792), and the length.

    The length, (N, 1), is what the embedding was divided by.
    """
    import torch

    class WithAllOutputs(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            names = (
                "conv2d_1a conv2d_2a conv2d_2b maxpool_3a conv2d_3b conv2d_4a conv2d_4b repeat_1 mixed_6a repeat_2"
                " mixed_7a repeat_3 block8 avgpool_1a"
            )
            self.body = torch.nn.Sequential(*(getattr(network, name) for name in names.split()))
            self.head = torch.nn.Sequential(network.last_linear, network.last_bn)

        def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            features = self.body(pixels).flatten(1)
            vector = self.head(features)
            length = vector.norm(dim=1, keepdim=True)
            return vector / length.clamp_min(1e-12), features, length

    return WithAllOutputs()


def _card(what: Published, folder: Path, torch_version: str) -> ModelCard:
    hashes = {name: sha256_of(folder / name) for name in KEPT}
    together = hashlib.sha256("".join(f"{sha} {name}\n" for name, sha in hashes.items()).encode()).hexdigest()
    return ModelCard(
        name=folder.name,
        summary=f"MTCNN and {what.name} as ONNX, in 32-bit floats; an export, not another training.",
        source=f"{what.name}, and the MTCNN of facenet-pytorch {FACENET_PYTORCH}",
        source_sha256=what.sha256,
        weights_sha256=together,
        trained_on="what its sources were: see the card of the embedder",
        licence="as its sources: see the card of the embedder; facenet-pytorch is MIT",
        limits=("As the embedder's own.", "Numbers differ from torch's in the sixth digit."),
        conversion={
            "exporter": f"torch {torch_version}, onnx {importlib.metadata.version('onnx')}, operators {OPSET}",
            **hashes,
        },
    )
