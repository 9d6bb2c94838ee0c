"""What the served FaceNet does: crops of faces from many requests in, one batch through the network, embeddings out."""

import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from generators.serve import Refused, Tensor, parameter, response
from streams.adapters.engines import onnx_models, onnx_networks
from streams.adapters.engines.networks import FaceNetworks
from streams.adapters.facenet.crops import SIDE
from streams.adapters.facenet.weights import published
from streams.core.faces import Pixels
from streams.core.similarity import unit
from streams.errors import BadInput
from streams.settings import Settings

Embeddings = npt.NDArray[np.float32]

#: The contract: ``config.pbtxt`` is held against it by a test. An embedding has as many values as the network gives.
INPUT = Tensor("crop", "UINT8", (SIDE, SIDE, 3))
OUTPUT = Tensor("embedding", "FP32", (128,))

#: The parameter of the configuration that says whose embeddings these are.
EMBEDDER = "embedder"


def load(arguments: dict[str, str]) -> FaceNetworks:
    """Load the exported networks that the settings name, and run the embedder once.

    Args:
        arguments: What Triton gives to ``initialize``.

    Raises:
        BadInput: If the configuration names another embedder than the settings, or declares another output than it has.
        Unready: If what runs the network is missing.
        WeightsUnusable: If the exported network is not in the cache, or is altered. A server downloads nothing.
    """
    config = json.loads(arguments["model_config"])
    settings = Settings()
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if threads.isdecimal():
        settings = settings.model_copy(update={"threads": int(threads)})
    what = published(settings)
    told = (parameter(config, EMBEDDER), *(tuple(map(int, output["dims"])) for output in config["output"]))
    if told != (what.name, (what.dimension,)):
        raise BadInput(
            f"expected the parameter `{EMBEDDER}` in config.pbtxt to be {what.name!r}, as LIKENESS_EMBEDDER says, and"
            f" one output of {what.dimension} values, got {told}: correct one or the other"
        )
    onnx_models.check(onnx_models.folder_of(settings))
    networks = onnx_networks.load(settings)
    # The first pass is the slow one: it must not be somebody's request.
    answer(networks, [np.zeros((1, SIDE, SIDE, 3), np.uint8)])
    return networks


def answer(networks: FaceNetworks, requests: Sequence[Pixels]) -> list[Embeddings | Refused]:
    """Embed the crops of all requests in one batch, and answer in order; a refused one does not touch the others.

    Args:
        networks: What ``load`` returned.
        requests: Crops of each, uint8 (B, 160, 160, 3).

    Returns:
        Unit vectors of each, float32 (B, d).
    """
    rows = networks.embed(networks.normalised(np.concatenate(requests)))
    ends = np.cumsum([len(crops) for crops in requests])
    return [_directed(part) for part in np.split(rows, ends[:-1])]


def respond(triton: Any, networks: FaceNetworks, requests: Sequence[Any]) -> list[Any]:
    """Turn Triton's requests into one call of ``answer`` and its answers into Triton's responses.

    Args:
        triton: The module ``triton_python_backend_utils``.
        networks: What ``load`` returned.
        requests: What Triton gives to ``execute``.
    """
    crops = [triton.get_input_tensor_by_name(request, INPUT.name).as_numpy() for request in requests]
    return [response(triton, OUTPUT, made) for made in answer(networks, crops)]


def _directed(rows: Embeddings) -> Embeddings | Refused:
    try:
        return np.stack([unit(row) for row in rows])
    except ValueError as error:
        return Refused(f"expected crops of faces: {error}")
