"""FaceNet in bfloat16, by OpenVINO: the exported network as it is, and a card that states how far it may be off."""

from pathlib import Path

from streams.adapters.engines import onnx_models
from streams.adapters.engines.networks import EmbedFast, FaceNetworks, FastEmbedder
from streams.adapters.engines.openvino_sessions import mixed_network, refuse_without_bf16, release
from streams.adapters.precision.error import Deviation, as_stated, measured
from streams.cards import ModelCard, read_card, write_card
from streams.errors import WeightsUnusable
from streams.settings import Settings
from streams.wheels import Report, one_at_a_time, sha256_of, silent

#: Raised with every change of how the network is run or measured: older cards are written again.
_VERSION = 1


def folder_of(settings: Settings) -> Path:
    """Return where the card of these settings belongs in the cache: beside the network that it tells of."""
    exported = onnx_models.folder_of(settings)
    return exported.with_name(f"{exported.name}-bf16-{_VERSION}")


def load(settings: Settings, exact: FaceNetworks, report: Report = silent) -> FastEmbedder:
    """Load the network; the first time with a release of OpenVINO its error is measured, which takes a minute.

    Args:
        settings: Which embedder, and where the cache is.
        exact: The same networks in 32-bit floats.
        report: Takes lines of progress.

    Raises:
        Unready: If the processor has no instructions for bfloat16, or OpenVINO is missing; if the card is missing, and
            something that draws faces too.
        WeightsUnusable: If the network or its card cannot be used, or the card cannot be written.
    """
    refuse_without_bf16()
    file = onnx_models.ensure(settings, report) / onnx_models.EMBED
    embed = onnx_models.as_embedder(mixed_network(file, threads=settings.threads))
    if _stated(settings) is None:
        with one_at_a_time(folder_of(settings), report):
            if _stated(settings) is None:
                _measure(settings, exact, embed, report)
    return as_stated("bf16", embed, check(settings))


def check(settings: Settings) -> ModelCard:
    """Return the card.

    Raises:
        Unready: If OpenVINO is missing.
        WeightsUnusable: If there is none for the present network and release of OpenVINO.
    """
    card = _stated(settings)
    if card is None:
        raise WeightsUnusable(
            f"expected a card in {folder_of(settings)} of {onnx_models.EMBED} in {_engine()}, got none: run `likeness"
            " weights fetch` with LIKENESS_PRECISION=bf16, or bring the folder from a machine that has it"
        )
    return card


def _stated(settings: Settings) -> ModelCard | None:
    """Return the card, if there is one of the present network and release."""
    card, source = read_card(folder_of(settings)), read_card(onnx_models.folder_of(settings))
    present = card and source and card.weights_sha256 == source.conversion.get(onnx_models.EMBED)
    return card if card and present and card.conversion.get("engine") == _engine() else None


def _engine() -> str:
    return f"OpenVINO {release()}"


def _measure(settings: Settings, exact: FaceNetworks, embed: EmbedFast, report: Report) -> None:
    folder = folder_of(settings)
    report(f"measuring how far off bfloat16 is, for LIKENESS_PRECISION={settings.precision}; this takes a minute, once")
    deviation, faces = measured(settings, exact, embed, report)
    sha256 = sha256_of(onnx_models.folder_of(settings) / onnx_models.EMBED)
    try:
        write_card(folder, _card(folder.name, sha256, faces, deviation))
    except OSError as error:
        raise WeightsUnusable(f"expected to write a card in {folder}, got {error}; free space there") from error
    report(f"bfloat16 is ready: of a median face, similarities may be {deviation.median_error:.4f} off")


def _card(name: str, sha256: str, faces: str, deviation: Deviation) -> ModelCard:
    return ModelCard(
        name=name,
        summary="FaceNet in bfloat16 but for its layers up to the first pooling: the first of two looks. What it cannot"
        " decide is embedded again in 32-bit floats.",
        source=f"{onnx_models.EMBED} of {name.rpartition('-bf16-')[0]}, as it is",
        source_sha256=sha256,
        weights_sha256=sha256,
        trained_on="nothing more than its source",
        licence="as its source",
        limits=(deviation.limit, "Never used for references: they are enrolled in 32-bit floats."),
        conversion={"engine": _engine(), "measured on": faces, **deviation.entries},
    )
