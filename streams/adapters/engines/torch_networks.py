"""Both networks in torch, by facenet-pytorch: the reference that every other engine is held against."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from streams.adapters.engines.networks import FaceNetworks
from streams.adapters.engines.onnx_models import with_all_outputs
from streams.adapters.facenet import mtcnn
from streams.adapters.facenet.detector import FACTOR, THRESHOLDS
from streams.adapters.facenet.head import head_of_network
from streams.adapters.facenet.weights import load_embedder
from streams.core.faces import Pixels
from streams.errors import Unready
from streams.settings import Settings
from streams.wheels import Report, silent

Floats = npt.NDArray[np.float32]
_Detected = tuple[Floats, Floats, Floats]


def load(settings: Settings, report: Report = silent) -> FaceNetworks:
    """Load what the settings name; blocks, for minutes where the weights have to be fetched.

    Raises:
        BadInput, Unready, WeightsUnusable: As ``load_embedder`` says.
    """
    # OpenMP reads this once, when torch is first imported. Its threads wait for each other by spinning unless
    # told to sleep: beside other busy processes, as on one machine, that took nine tenths of the speed.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    network, what = load_embedder(settings, report)
    import torch

    torch.set_num_threads(settings.threads)
    # Convolutions on the CPU are a third faster with channels last.
    network = network.to(memory_format=torch.channels_last)
    whole = with_all_outputs(network).eval()

    def embed(faces: Floats) -> tuple[Floats, Floats]:
        batch = torch.from_numpy(faces).permute(0, 3, 1, 2)  # (N, 3, S, S), channels last in memory
        with torch.inference_mode():
            embeddings, features, _length = whole(batch)
        return embeddings.numpy(), features.numpy()

    detector, head = Mtcnn(), head_of_network(network)
    return FaceNetworks(
        detector.detect, lambda faces: embed(faces)[0], detector.landmarks, what, embed_whole=embed, head=head
    )


class Mtcnn:
    """facenet-pytorch's MTCNN, with what it raises on odd images turned into "none"."""

    def __init__(self) -> None:
        """Load the three networks, which come with facenet-pytorch."""
        try:
            from facenet_pytorch import MTCNN
        except ImportError as error:
            raise Unready(
                f"expected facenet-pytorch to find faces, got {error}; run `pip install 'likeness-qc[faces]'`"
            ) from error
        self._mtcnn: Any = MTCNN(thresholds=list(THRESHOLDS), factor=FACTOR, select_largest=True)

    def detect(self, images: Sequence[Pixels], smallest: int) -> list[_Detected]:
        """See ``detector.Detect``."""
        self._mtcnn.min_face_size = smallest
        try:
            boxes, probabilities, points = self._mtcnn.detect(np.stack(images), landmarks=True)
        except (RuntimeError, ValueError, IndexError) as error:
            if "memory" in str(error):
                raise
            # facenet-pytorch trips over candidates that lie outside an image. Alone, only that image has no face.
            none = _detected(None, None, None)
            return [none] if len(images) == 1 else [self.detect([image], smallest)[0] for image in images]
        return [_detected(*one) for one in zip(boxes, probabilities, points, strict=True)]

    def landmarks(self, faces: Floats) -> Floats:
        """See ``landmarks.Landmarks``."""
        import torch

        def output(values: Floats) -> list[Floats]:
            with torch.inference_mode():
                return [one.numpy() for one in self._mtcnn.onet(torch.from_numpy(values))]

        return mtcnn.landmarks(faces, output)


def _detected(boxes: Any, probabilities: Any, points: Any) -> _Detected:
    """Return arrays, of numbers: facenet-pytorch's may be of objects, or None where nothing was found."""
    if boxes is None:
        return np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32)
    return (
        np.asarray(boxes, dtype=np.float32).reshape(-1, 4),
        np.asarray(probabilities, dtype=np.float32).reshape(-1),
        np.asarray(points, dtype=np.float32).reshape(-1, 5, 2),
    )
