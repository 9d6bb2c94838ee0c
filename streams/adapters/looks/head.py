"""FaceNet's last layer, read from its converted weights: to repeat it alone, without torch."""

import numpy as np

from streams.adapters.facenet.weights import FILE
from streams.core.explain.stability import Head, stability
from streams.core.faces import Face
from streams.settings import Settings

#: Of the batch normalisation behind the layer, as the network was trained.
_EPSILON = 1e-3
#: By how much an embedding may differ from what the layer makes of the features; more, and it is another network's.
_OFF = 0.01


def load_head(settings: Settings) -> Head | None:
    """Return the last layer; None of networks that were brought as a file, and where only an export of one is kept."""
    file = settings.cache_dir / "weights" / settings.embedder / FILE
    if settings.embedder != "facenet-128" or not file.is_file():
        return None
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as tensors:
            names = (
                "last_linear.weight",
                "last_bn.weight",
                "last_bn.bias",
                "last_bn.running_mean",
                "last_bn.running_var",
            )
            linear, scale, shift, mean, variance = (np.asarray(tensors.get_tensor(name)) for name in names)
    except (OSError, SafetensorError):
        return None  # evidence alone rests on it; whoever embeds with these weights is told
    scale = scale / np.sqrt(variance + _EPSILON)
    return Head(np.asarray(linear * scale[:, None], np.float32), np.asarray(shift - mean * scale, np.float32))


def stability_of(face: Face, head: Head | None) -> float | None:
    """Return how stable a face's embedding is; None where its features, or the layer that made it, are not known."""
    if head is None or face.features is None or face.features.shape != head.weights.shape[1:]:
        return None
    if float(np.abs(head.directions(face.features[np.newaxis])[0] - face.embedding).max()) > _OFF:
        return None
    return stability(face.features, head)
