"""Both networks in onnxruntime: the same numbers as torch's to the fifth digit, in half the time, without torch."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from streams.adapters import mtcnn, onnx_models
from streams.adapters.detector import FACTOR, THRESHOLDS
from streams.adapters.face_networks import FaceNetworks
from streams.adapters.facenet_weights import published
from streams.adapters.onnx_sessions import network
from streams.core.faces import Pixels
from streams.settings import Settings
from streams.wheels import Report, silent

Floats = npt.NDArray[np.float32]


def load(settings: Settings, report: Report = silent) -> FaceNetworks:
    """Load what the settings name; the first time the networks are exported, which takes torch.

    Raises:
        BadInput, Unready, WeightsUnusable: As ``onnx_models.ensure`` says.
        Unready: Also if onnxruntime has not what it is to run on.
    """
    providers = settings.providers.split(",")
    folder = onnx_models.ensure(settings, report)
    propose, refine, output, embedder = (
        network(folder / name, threads=settings.threads, providers=providers) for name in onnx_models.FILES
    )
    stages = mtcnn.Networks(propose, refine, output)

    def detect(images: Sequence[Pixels], smallest: int) -> list[tuple[Floats, Floats, Floats]]:
        return mtcnn.detect(images, stages, smallest=smallest, thresholds=THRESHOLDS, factor=FACTOR)

    def embed(faces: Floats) -> Floats:
        return embedder(np.ascontiguousarray(faces.transpose(0, 3, 1, 2)))[0]

    def landmarks(faces: Floats) -> Floats:
        return mtcnn.landmarks(faces, output)

    return FaceNetworks(detect, embed, landmarks, published(settings))
