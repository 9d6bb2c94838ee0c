"""Turns a network of 32-bit floats into one of 8-bit integers, by onnxruntime's own quantiser. Takes minutes, once."""

import io
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np

from streams.adapters.engines.networks import Floats
from streams.adapters.engines.onnx_models import INPUT
from streams.errors import Unready

#: Ranges of activations leave out so much at either end, in percent: nearer to the floats than the whole range.
PERCENTILE = 99.999

#: Faces whose activations are held at a time: some 100 MB each. So many must be given, or a multiple.
HELD, BATCH = 16, 8

#: The first convolutions stay in floats, as the last layer does: a twentieth of the work, and of the whole network's
#: error they make more than half.
FIRST_IN_FLOATS = 2

METHOD = (
    f"static, QDQ, activations uint8, weights int8 by channel, percentile {PERCENTILE}; the first {FIRST_IN_FLOATS}"
    " convolutions and the last layer in floats"
)


def quantise(source: Path, faces: Floats, target: Path) -> str:
    """Write the network of ``source`` in integers, and say what did it.

    Args:
        source: An ONNX file of one input.
        faces: What the network takes, to read the ranges of its activations off: float32 (N, 3, 160, 160), with N a
            multiple of ``HELD``.
        target: The file to write.

    Raises:
        Unready: If onnx is missing, which the quantiser needs.
    """
    try:
        import onnx
        import onnxruntime
        from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError as error:
        raise Unready(
            f"expected onnxruntime's quantiser and onnx, got {error}; run `pip install 'likeness-qc[faces]'`, bring the"
            " folder from a machine that has them, or set LIKENESS_PRECISION=fp32"
        ) from error
    # It prints what it does, and standard output may be somebody's JSON.
    with tempfile.TemporaryDirectory(prefix=".int8-", dir=target.parent) as work, redirect_stdout(io.StringIO()):
        prepared = Path(work) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared))
        quantize_static(
            str(prepared),
            str(target),
            _Batches(faces),
            quant_format=QuantFormat.QDQ,
            # Unsigned times signed is what the processors' own instructions multiply.
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            calibrate_method=CalibrationMethod.Percentile,
            nodes_to_exclude=_in_floats(onnx.load(prepared)),
            extra_options={
                "CalibPercentile": PERCENTILE,
                "CalibStridedMinMax": HELD,  # whatever the method: so many are read, then forgotten
                "ActivationSymmetric": False,
                "WeightSymmetric": True,
            },
        )
    return f"onnxruntime {onnxruntime.__version__}: {METHOD}"


def _in_floats(network: Any) -> list[str]:
    named: dict[str, list[str]] = {"Conv": [], "Gemm": []}
    for node in network.graph.node:
        named.setdefault(node.op_type, []).append(node.name)
    return named["Conv"][:FIRST_IN_FLOATS] + named["Gemm"]


class _Batches:
    """Hands out faces batch by batch, from a range that the quantiser sets."""

    def __init__(self, faces: Floats) -> None:
        self._faces = faces
        self.set_range(0, len(faces))

    def __len__(self) -> int:
        return len(self._faces)

    def set_range(self, start_index: int, end_index: int) -> None:
        self._batches = iter(np.split(self._faces[start_index:end_index], max(1, (end_index - start_index) // BATCH)))

    def get_next(self) -> dict[str, Any] | None:
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: np.ascontiguousarray(batch)}
