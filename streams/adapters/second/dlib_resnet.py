"""dlib's ResNet as the second verifier: another network, other training images and another alignment than FaceNet's.

Only the detector is shared: a face that it does not find, neither sees.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from streams.adapters.facenet.align import Points, similarity_transform, warped
from streams.adapters.facenet.detector import DETECTOR
from streams.cards import ModelCard, write_card
from streams.core.faces import Embedding, EmbeddingSpace, Pixels
from streams.core.similarity import unit
from streams.errors import Unready, WeightsUnusable
from streams.settings import Settings
from streams.wheels import PinnedSource, Report, fetch_member, one_at_a_time, sha256_of, silent

SOURCE = PinnedSource(
    "face-recognition-models", "0.3.0", "b79bd200a88c87c9a9d446c990ae71c5a626d1f3730174e6d570157ff1d896cf"
)
FILE = "dlib_face_recognition_resnet_model_v1.dat"
MEMBER = f"face_recognition_models-0.3.0/face_recognition_models/models/{FILE}"
FILE_SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
NAME = "dlib-resnet"

#: Side of the square that the network takes, in pixels.
SIDE = 150

#: Eyes, nose and mouth corners in that square of side 1. Measured: where MTCNN's points lie, in the median of 190
#: synthetic faces and evened out left to right, in the squares that dlib cuts out by landmarks of its own. Mated and
#: non-mated pairs of them lie 1.32 standard deviations apart with it, 1.26 with dlib's landmarks, which would be a
#: second file to fetch.
TEMPLATE: Points = np.array([[0.325, 0.320], [0.675, 0.320], [0.500, 0.553], [0.356, 0.732], [0.644, 0.732]])

SPACE = EmbeddingSpace(
    embedder=NAME,
    weights=FILE_SHA256,
    dimension=128,
    detector=DETECTOR,
    alignment=f"Umeyama of five landmarks to {TEMPLATE.tolist()}, {SIDE} x {SIDE}, bilinear",
    normalisation="dlib's own, unit length",
)


class DlibResnet:
    """Embeds faces once more. Used by one thread at a time."""

    space = SPACE

    def __init__(self, network: Any) -> None:
        """Take a loaded network; ``load`` makes one."""
        self._network = network

    @classmethod
    def load(cls, settings: Settings, report: Report = silent) -> Self:
        """Load the network; blocks, for a minute the first time, when 100 MB are fetched.

        Raises:
            Unready: If dlib is not installed.
            WeightsUnusable: If the weights cannot be had, or are altered.
        """
        try:
            import dlib
        except ImportError as error:
            raise Unready(
                f"expected dlib to run the second verifier, got {error}; run `pip install 'likeness-qc[second]'`, or"
                " unset LIKENESS_SECOND_EMBEDDER"
            ) from error
        file = weights(settings.cache_dir / "weights" / NAME, report)
        try:
            return cls(dlib.face_recognition_model_v1(str(file)))
        except RuntimeError as error:
            raise WeightsUnusable(f"expected dlib to read {file}, got {error}; delete that folder") from error

    def cut_out(self, picture: Pixels, landmarks: Sequence[tuple[float, float]]) -> Pixels | None:
        """Return the face upright, uint8 (150, 150, 3); None where its landmarks all lie in one place."""
        try:
            return warped(picture, similarity_transform(TEMPLATE * SIDE, np.array(landmarks, np.float64)), SIDE)
        except ValueError:
            return None

    def embed(self, faces: Sequence[Pixels]) -> list[Embedding | None]:
        """Return a vector of unit length, float32 (128,), for each face; None where it has no direction.

        dlib holds Python's lock while it computes: one face at a time lets an event loop have its turn in between.
        """
        return [_directed(self._network.compute_face_descriptor(face)) for face in faces]


def weights(folder: Path, report: Report = silent) -> Path:
    """Return the published file in the folder, where it is put if it is not there.

    Raises:
        WeightsUnusable: If it cannot be had, or is altered.
    """
    file = folder / FILE
    if not file.is_file():
        with one_at_a_time(folder, report):
            if not file.is_file():
                write_card(folder, _CARD)
                fetch_member(SOURCE, MEMBER, folder, report)
    check(folder)
    return file


def check(folder: Path) -> None:
    """Hold the file against its hash.

    Raises:
        WeightsUnusable: If it is missing or altered.
    """
    file = folder / FILE
    if not file.is_file():
        raise WeightsUnusable(f"expected weights in {file}, got no file: run `likeness weights fetch {NAME}`")
    if (got := sha256_of(file)) != FILE_SHA256:
        raise WeightsUnusable(f"expected {file} with sha256 {FILE_SHA256}, got {got}; delete the folder {folder}")


def _directed(vector: Any) -> Embedding | None:
    try:
        return unit(np.array(vector, dtype=np.float32))
    except ValueError:
        return None


_CARD = ModelCard(
    name=NAME,
    summary="Embeds a face as 128 numbers: the second verifier. A ResNet of 29 layers by Davis King, 2017.",
    source=f"{SOURCE.requirement}: {MEMBER}",
    source_sha256=SOURCE.sha256,
    weights_sha256=FILE_SHA256,
    trained_on="about 3 million images of 7,485 people: FaceScrub, VGG and images from the internet",
    licence="public domain (CC0)",
    limits=(
        "Similarities of strangers lie between 0.8 and 0.95: limits of another network mean nothing here.",
        "The people in its training images were not asked.",
        "Its error rates on groups of people were not published: measure them on images of your own.",
    ),
)
