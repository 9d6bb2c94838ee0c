"""How much arithmetic a network is, counted from its file: the multiply-adds of its convolutions and products."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import shape_inference

from streams.adapters.engines import onnx_models
from streams.adapters.engines.onnx_sessions import network
from streams.adapters.facenet import mtcnn
from streams.adapters.facenet.detector import FACTOR, THRESHOLDS, Detector
from streams.core.faces import Pixels

Floats = npt.NDArray[np.float32]

#: Operations of one multiply-add, as processors' peaks are counted.
OPERATIONS = 2


@cache
def multiply_adds(file: Path, shape: tuple[int, ...]) -> int:
    """Return the multiply-adds of one run of a network of 32-bit floats.

    What costs next to nothing beside them, such as activations, pooling and normalisation, is not counted.

    Args:
        file: An ONNX file of one input.
        shape: Of the input, (N, C, H, W).
    """
    model = onnx.load(str(file))
    (entry,) = (one for one in model.graph.input if one.name == onnx_models.INPUT)
    for dimension, size in zip(entry.type.tensor_type.shape.dim, shape, strict=True):
        dimension.dim_value = size
    del model.graph.value_info[:]
    graph = shape_inference.infer_shapes(model, strict_mode=True).graph
    shapes = {one.name: _shape(one) for one in (*graph.value_info, *graph.input, *graph.output)}
    shapes |= {one.name: tuple(one.dims) for one in graph.initializer}
    return sum(_of_node(node, shapes) for node in graph.node)


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(dimension.dim_value for dimension in value.type.tensor_type.shape.dim)


def _of_node(node: Any, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Return the multiply-adds behind one node: for each value that comes out, as many as values go into it."""
    if node.op_type == "Conv":
        _, *kernel = shapes[node.input[1]]  # (out, in / groups, height, width)
        return prod(shapes[node.output[0]]) * prod(kernel)
    if node.op_type in ("Gemm", "MatMul"):
        return prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]
    return 0


@dataclass(frozen=True)
class Detection:
    """What finding faces takes, in a look at some images."""

    operations: int
    """Of the three networks; a multiply-add is two."""
    network_seconds: float
    """In the networks."""
    seconds: float
    """In all."""


def detection(images: Sequence[Pixels], folder: Path, rounds: int) -> Detection:
    """Find the faces in these images, in one thread of onnxruntime, and count what it takes: of the rounds, the median.

    What MTCNN takes depends on what the images show.

    Args:
        images: Seen together where they have one size.
        folder: With the three networks.
        rounds: How often, after a first time that is not counted.
    """
    spent: list[int] = []
    seconds: list[float] = []

    def counted(name: str) -> mtcnn.Network:
        run = network(folder / name, threads=1, providers=["CPUExecutionProvider"])

        def stage(values: Floats) -> Sequence[Floats]:
            spent.append(len(values) * multiply_adds(folder / name, (1, *values.shape[1:])))
            began = time.perf_counter()
            outputs = run(values)
            seconds.append(time.perf_counter() - began)
            return outputs

        return stage

    stages = mtcnn.Networks(counted(onnx_models.PROPOSE), counted(onnx_models.REFINE), counted(onnx_models.OUTPUT))

    def detect(some: Sequence[Pixels], smallest: int) -> Sequence[tuple[Floats, Floats, Floats]]:
        return mtcnn.detect(some, stages, smallest=smallest, thresholds=THRESHOLDS, factor=FACTOR)

    found = []
    for _ in range(rounds + 1):  # the first one counts every shape, which takes long
        spent.clear()
        seconds.clear()
        began = time.perf_counter()
        Detector(detect).find(images)
        found.append(Detection(OPERATIONS * sum(spent), sum(seconds), time.perf_counter() - began))
    return sorted(found[1:], key=lambda one: one.seconds)[rounds // 2]
