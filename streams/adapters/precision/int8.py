"""FaceNet in 8-bit integers: made once from the exported network, with a card that states how far it may be off."""

import os
import tempfile
from pathlib import Path

from streams.adapters.engines import onnx_models
from streams.adapters.engines.networks import EmbedFast, FaceNetworks, FastEmbedder
from streams.adapters.engines.onnx_sessions import network
from streams.adapters.precision import quantise as int8_quantise
from streams.adapters.precision.error import Deviation, as_stated, measured
from streams.adapters.precision.sample_faces import draw
from streams.cards import ModelCard, read_card, write_card
from streams.errors import WeightsUnusable
from streams.settings import Settings
from streams.wheels import Report, one_at_a_time, sha256_of, silent

FILE = "embed.int8.onnx"

#: The quantised operators exist for the processor.
PROVIDERS = ("CPUExecutionProvider",)

#: Raised with every change of how the network is made or measured: older folders are made again.
_EXPORT = 1

#: Whose faces the ranges are read off: how many people, and the first one's number.
_PEOPLE, _FIRST = 40, 50_000
#: Ranges are read off so many faces.
_CALIBRATED = 160


def folder_of(settings: Settings) -> Path:
    """Return where the network of these settings belongs in the cache: beside the one that it is made from."""
    exported = onnx_models.folder_of(settings)
    return exported.with_name(f"{exported.name}-int8-{_EXPORT}")


def load(settings: Settings, exact: FaceNetworks, report: Report = silent) -> FastEmbedder:
    """Load the checked network, which is made where it is missing; that takes onnx and minutes.

    Args:
        settings: Which embedder, and where the cache is.
        exact: The same networks in 32-bit floats.
        report: Takes lines of progress.

    Raises:
        Unready: If the file is missing, and onnx or something that draws faces too; or onnxruntime.
        WeightsUnusable: If the file is not the one that its card describes, or cannot be written.
    """
    onnx_models.ensure(settings, report)
    folder = folder_of(settings)
    if not _complete(settings):
        with one_at_a_time(folder, report):
            if not _complete(settings):
                _make(settings, exact, folder, report)
    return as_stated("int8", _embedder(folder / FILE, settings), check(settings))


def check(settings: Settings) -> ModelCard:
    """Hold the file against its card, which is returned.

    Raises:
        WeightsUnusable: If the file is missing, altered or made from another network.
    """
    folder = folder_of(settings)
    file, card = folder / FILE, read_card(folder)
    got = sha256_of(file) if file.is_file() else "no file"
    if card is None or card.weights_sha256 != got or not _complete(settings):
        raise WeightsUnusable(
            f"expected {file} as its card.json says, made from the present {onnx_models.EMBED}, got {got}; delete the"
            f" folder {folder}, and `likeness weights fetch` with LIKENESS_PRECISION=int8 makes it again"
        )
    return card


def _embedder(file: Path, settings: Settings) -> EmbedFast:
    return onnx_models.as_embedder(network(file, threads=settings.threads, providers=PROVIDERS))


def _complete(settings: Settings) -> bool:
    folder = folder_of(settings)
    card, source = read_card(folder), read_card(onnx_models.folder_of(settings))
    made_from = source.conversion.get(onnx_models.EMBED) if source else None
    return (folder / FILE).is_file() and card is not None and card.source_sha256 == made_from


def _make(settings: Settings, exact: FaceNetworks, folder: Path, report: Report) -> None:
    source = onnx_models.folder_of(settings) / onnx_models.EMBED
    report(f"making {FILE} for LIKENESS_PRECISION={settings.precision}; this takes minutes, once")
    calibration = draw(exact, settings.cache_dir, people=_PEOPLE, first=_FIRST, report=report)
    try:
        with tempfile.TemporaryDirectory(prefix=".making-", dir=folder) as work:
            part = Path(work) / FILE
            faces = exact.normalised(calibration.crops[:_CALIBRATED]).transpose(0, 3, 1, 2)
            origin = {
                "quantiser": int8_quantise.quantise(source, faces, part),
                "calibrated on": f"the first {_CALIBRATED} of {calibration.source}",
            }
            deviation, origin["measured on"] = measured(settings, exact, _embedder(part, settings), report)
            card = _card(folder.name, sha256_of(source), sha256_of(part), origin, deviation)
            part.chmod(0o644)  # one user may make what another one's process reads
            os.replace(part, folder / FILE)
            write_card(folder, card)
    except OSError as error:
        raise WeightsUnusable(f"expected to write {folder / FILE}, got {error}; free space there") from error
    report(f"{FILE} is ready in {folder}: of a median face, similarities may be {deviation.median_error:.4f} off")


def _card(name: str, source: str, made: str, origin: dict[str, str], deviation: Deviation) -> ModelCard:
    return ModelCard(
        name=name,
        summary="FaceNet for onnxruntime in 8-bit integers: the first of two looks. What it cannot decide is embedded"
        " again in 32-bit floats.",
        source=f"{onnx_models.EMBED} of {name.rpartition('-int8-')[0]}",
        source_sha256=source,
        weights_sha256=made,
        trained_on="nothing more than its source; the ranges of its activations were read off the calibration faces",
        licence="as its source",
        limits=(
            deviation.limit,
            "Never used for references: they are enrolled in 32-bit floats.",
            "Processors without instructions for 8-bit integers are slow with it, and may saturate; a check at the"
            " start refuses the second.",
        ),
        conversion={**origin, **deviation.entries},
    )
