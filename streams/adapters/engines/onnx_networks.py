"""Both networks as exported, in onnxruntime or in OpenVINO: the same numbers as torch's to the fifth digit.

In half of torch's time, and without torch.
"""

from collections.abc import Sequence
from functools import partial

from streams.adapters.engines import onnx_models, onnx_sessions, openvino_sessions
from streams.adapters.engines.networks import FaceNetworks, Floats
from streams.adapters.facenet import mtcnn
from streams.adapters.facenet.detector import FACTOR, THRESHOLDS
from streams.adapters.facenet.head import read_head
from streams.adapters.facenet.weights import published
from streams.core.faces import Pixels
from streams.settings import Settings
from streams.wheels import Report, silent


def load(settings: Settings, report: Report = silent) -> FaceNetworks:
    """Load what the settings name; the first time the networks are exported, which takes torch.

    Raises:
        BadInput, Unready, WeightsUnusable: As ``onnx_models.ensure`` says.
        Unready: Also if the engine is missing, or has not what it is to run on.
    """
    folder = onnx_models.ensure(settings, report)
    if settings.engine == "openvino":
        network = partial(openvino_sessions.network, threads=settings.threads)
    else:
        providers = settings.providers.split(",")
        network = partial(onnx_sessions.network, threads=settings.threads, providers=providers)
    propose, refine, output, embed = (network(folder / name) for name in onnx_models.FILES)
    stages, whole = mtcnn.Networks(propose, refine, output), onnx_models.as_whole_embedder(embed)

    def detect(images: Sequence[Pixels], smallest: int) -> list[tuple[Floats, Floats, Floats]]:
        return mtcnn.detect(images, stages, smallest=smallest, thresholds=THRESHOLDS, factor=FACTOR)

    def landmarks(faces: Floats) -> Floats:
        return mtcnn.landmarks(faces, output)

    head = read_head(folder / onnx_models.HEAD)
    return FaceNetworks(
        detect, lambda faces: whole(faces)[0], landmarks, published(settings), embed_whole=whole, head=head
    )
