"""FaceNet in 8-bit integers: made once from the exported network, with a card that states how far it may be off."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streams.adapters import int8_quantise, onnx_models
from streams.adapters.drawn_faces import Drawn, draw
from streams.adapters.face_networks import EmbedFast, FaceNetworks
from streams.adapters.int8_error import SAFETY, Deviation, deviation
from streams.adapters.onnx_sessions import network
from streams.cards import ModelCard, read_card, write_card
from streams.core.similarity import unit
from streams.errors import WeightsUnusable
from streams.settings import Settings
from streams.wheels import Report, one_at_a_time, sha256_of, silent

Floats = npt.NDArray[np.float32]

FILE = "embed.int8.onnx"

#: The quantised operators exist for the processor.
PROVIDERS = ("CPUExecutionProvider",)

#: Raised with every change of how the network is made or measured: older folders are made again.
_EXPORT = 1

#: Whose faces the ranges are read off, and on whose the error is measured: how many people, and the first one's number.
_CALIBRATION, _HELD_OUT = (40, 50_000), (300, 90_000)
#: Ranges are read off so many faces.
_CALIBRATED = 160
#: Entries of the card that are read back.
_STATED, _LEAST_COSINE = "similarity error times length, stated", "cosine, least"

#: Faces are embedded so many at a time.
_BATCH = 16


@dataclass(frozen=True)
class Int8:
    """The checked file, and what its card states."""

    file: Path
    scaled_error: float
    """The most by which a similarity may differ from the one in 32-bit floats, times the length of the vector."""
    least_cosine: float
    """Of a face's two embeddings."""


def folder_of(settings: Settings) -> Path:
    """Return where the network of these settings belongs in the cache: beside the one that it is made from."""
    exported = onnx_models.folder_of(settings)
    return exported.with_name(f"{exported.name}-int8-{_EXPORT}")


def ensure(settings: Settings, exact: FaceNetworks, report: Report = silent) -> Int8:
    """Return the checked network, which is made where it is missing; that takes onnx and minutes.

    Args:
        settings: Which embedder, and where the cache is.
        exact: The same networks in 32-bit floats.
        report: Takes lines of progress.

    Raises:
        Unready: If the file is missing, and onnx or something that draws faces too.
        WeightsUnusable: If the file is not the one that its card describes, or cannot be written.
    """
    folder = folder_of(settings)
    if not _complete(folder, settings):
        with one_at_a_time(folder, report):
            if not _complete(folder, settings):
                _make(settings, exact, folder, report)
    return check(settings)


def check(settings: Settings) -> Int8:
    """Hold the file against its card, and return what the card states.

    Raises:
        WeightsUnusable: If it is missing, altered or made from another network.
    """
    folder = folder_of(settings)
    file, card = folder / FILE, read_card(folder)
    got = sha256_of(file) if file.is_file() else "no file"
    if card is None or card.weights_sha256 != got or not _complete(folder, settings):
        raise WeightsUnusable(
            f"expected {file} as its card.json says, made from the present {onnx_models.EMBED}, got {got}; delete the"
            f" folder {folder}, it is made again where LIKENESS_PRECISION asks for it"
        )
    stated = card.conversion
    return Int8(file, float(stated[_STATED]), float(stated[_LEAST_COSINE]))


def load(file: Path, settings: Settings) -> EmbedFast:
    """Return the network of a file, ready to embed."""
    run = network(file, threads=settings.threads, providers=PROVIDERS)

    def embed(faces: Floats) -> tuple[Floats, Floats]:
        embeddings, *_, lengths = run(np.ascontiguousarray(faces.transpose(0, 3, 1, 2)))
        return embeddings, lengths.reshape(-1)

    return embed


def _complete(folder: Path, settings: Settings) -> bool:
    card, source = read_card(folder), read_card(onnx_models.folder_of(settings))
    made_from = source.conversion.get(onnx_models.EMBED) if source else None
    return (folder / FILE).is_file() and card is not None and card.source_sha256 == made_from


def _make(settings: Settings, exact: FaceNetworks, folder: Path, report: Report) -> None:
    source = onnx_models.folder_of(settings) / onnx_models.EMBED
    report(f"making {FILE} for LIKENESS_PRECISION={settings.precision}; this takes minutes, once")
    calibration, held_out = (
        draw(exact, settings.cache_dir, people=people, first=first, report=report)
        for people, first in (_CALIBRATION, _HELD_OUT)
    )
    try:
        with tempfile.TemporaryDirectory(prefix=".making-", dir=folder) as work:
            part = Path(work) / FILE
            faces = exact.normalised(calibration.crops[:_CALIBRATED]).transpose(0, 3, 1, 2)
            quantiser = int8_quantise.quantise(source, faces, part)
            measured = _measured(exact, load(part, settings), held_out)
            made = _Made(sha256_of(source), sha256_of(part), quantiser, calibration.source, held_out.source, measured)
            part.chmod(0o644)  # one user may make what another one's process reads
            os.replace(part, folder / FILE)
            write_card(folder, _card(folder, made))
    except OSError as error:
        raise WeightsUnusable(f"expected to write {folder / FILE}, got {error}; free space there") from error
    report(f"{FILE} is ready in {folder}: of a median face, similarities may be {made.median_error:.4f} off")


def _measured(exact: FaceNetworks, fast: EmbedFast, held_out: Drawn) -> Deviation:
    one, other, lengths = [], [], []
    for start in range(0, len(held_out.crops), _BATCH):
        faces = exact.normalised(held_out.crops[start : start + _BATCH])
        embeddings, some = fast(faces)
        one += [unit(embedding) for embedding in exact.embed(faces)]
        other += [unit(embedding) for embedding in embeddings]
        lengths.append(some)
    return deviation(np.stack(one), np.stack(other), np.concatenate(lengths), held_out.people)


@dataclass(frozen=True)
class _Made:
    """What the card tells of how the file was made."""

    source_sha256: str
    sha256: str
    quantiser: str
    calibrated_on: str
    measured_on: str
    measured: Deviation

    @property
    def median_error(self) -> float:
        return self.measured.bound / self.measured.median_length


def _card(folder: Path, made: _Made) -> ModelCard:
    measured = made.measured
    return ModelCard(
        name=folder.name,
        summary="FaceNet for onnxruntime in 8-bit integers: the first of two looks. What it cannot decide is embedded"
        " again in 32-bit floats.",
        source=f"{onnx_models.EMBED} of {folder.name.rpartition('-int8-')[0]}",
        source_sha256=made.source_sha256,
        weights_sha256=made.sha256,
        trained_on="nothing more than its source; the ranges of its activations were read off the calibration faces",
        licence="as its source",
        limits=(
            f"The stated error is the largest of {measured.faces} held-out faces against {measured.centroids}"
            f" centroids, times {SAFETY}. No proof: on faces unlike these it may be larger.",
            "Never used for references: they are enrolled in 32-bit floats.",
            "Processors without instructions for 8-bit integers are slow with it, and may saturate; a check at the"
            " start refuses the second.",
        ),
        conversion={
            "quantiser": made.quantiser,
            "calibrated on": f"the first {_CALIBRATED} of {made.calibrated_on}",
            "measured on": made.measured_on,
            _STATED: measured.bound,
            "similarity error times length, largest": round(measured.largest_scaled_error, 4),
            "similarity error, stated, at the median length": round(made.median_error, 4),
            "similarity error, largest": round(measured.largest_error, 4),
            "similarity error, 99.9 %": round(measured.p999_error, 4),
            "similarity error, mean": round(measured.mean_error, 4),
            _LEAST_COSINE: round(measured.least_cosine, 4),
            "cosine, median": round(measured.median_cosine, 5),
        },
    )
