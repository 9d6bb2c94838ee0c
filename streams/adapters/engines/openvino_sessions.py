"""Networks that OpenVINO runs on the processor: a file in, a function from an array to arrays out."""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from streams.adapters.engines.networks import Floats, Run
from streams.errors import Unready, WeightsUnusable

DEVICE = "CPU"


def network(file: Path, *, threads: int) -> Run:
    """Load a network of one input, in 32-bit floats; the function that is returned gives its outputs in their order.

    Args:
        file: An ONNX file.
        threads: Compute threads of this network.

    Raises:
        Unready: If OpenVINO is missing.
        WeightsUnusable: If the file is no network.
    """
    openvino = _openvino()
    core = openvino.Core()
    return _compiled(core, _read(core, file), threads=threads, numbers="f32")


def mixed_network(file: Path, *, threads: int) -> Run:
    """Load a network in bfloat16, but for its layers up to the first pooling, which stay in 32-bit floats.

    Of FaceNet these are three convolutions, an eighth of the work; in bfloat16 they make four fifths of the error.

    Args:
        file: An ONNX file of one input.
        threads: Compute threads of this network.

    Raises:
        Unready: If OpenVINO is missing, or the processor has no instructions for bfloat16.
        WeightsUnusable: If the file is no network, or one without a pooling.
    """
    openvino = _openvino()
    core = openvino.Core()
    refuse_without_bf16()
    # No mark keeps a single layer in 32-bit floats, so the network is cut in two.
    whole, rest = _read(core, file), _read(core, file)
    beginning = openvino.Model([_first_pooled(whole, file)], whole.get_parameters())
    seam = _first_pooled(rest, file)
    entry = openvino.op.Parameter(seam.get_element_type(), seam.get_partial_shape())
    for reader in seam.get_target_inputs():
        reader.replace_source_output(entry.output(0))
    begin = _compiled(core, beginning, threads=threads, numbers="f32")
    end = _compiled(core, openvino.Model(rest.get_results(), [entry]), threads=threads, numbers="bf16")
    return lambda values: end(begin(values)[0])


def refuse_without_bf16() -> None:
    """Refuse a processor that would only imitate bfloat16.

    Raises:
        Unready: If it has no instructions for it (AVX512-BF16, AMX), or OpenVINO is missing.
    """
    has = _openvino().Core().get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")
    if "BF16" not in has:
        raise Unready(
            "expected a processor with instructions for bfloat16 (AVX512-BF16 or AMX), got one on which OpenVINO"
            f" finds {', '.join(has)}; set LIKENESS_PRECISION=fp32 or int8"
        )


def release() -> str:
    """Return the release of OpenVINO.

    Raises:
        Unready: If it is missing.
    """
    return str(_openvino().__version__).partition("-")[0]


def _openvino() -> Any:
    # At its import, OpenVINO reports to its maker over the network unless this package is missing.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # importing it fails from now on
    try:
        import openvino
    except ImportError as error:
        raise Unready(f"expected OpenVINO, got {error}; run `pip install 'likeness-qc[openvino]'`") from error
    return openvino


def _read(core: Any, file: Path) -> Any:
    try:
        return core.read_model(file)
    except RuntimeError as error:
        said = " ".join(str(error).split())  # over many lines
        raise WeightsUnusable(f"expected an ONNX network in {file}, got {said}; delete {file.parent}") from error


def _first_pooled(model: Any, file: Path) -> Any:
    """Return the output of the first pooling."""
    for operation in model.get_ordered_ops():
        if operation.get_type_name() == "MaxPool":
            return operation.output(0)
    raise WeightsUnusable(f"expected a network with a pooling in {file}, got none; set LIKENESS_PRECISION=fp32")


def _compiled(core: Any, model: Any, *, threads: int, numbers: str) -> Run:
    request = core.compile_model(
        model,
        DEVICE,
        {
            # Named always: left to itself, OpenVINO takes bfloat16 wherever the processor has it.
            "INFERENCE_PRECISION_HINT": numbers,
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            # Several workers on one machine would all bind their threads to the same first cores.
            "ENABLE_CPU_PINNING": False,
            "ENABLE_HYPER_THREADING": True,  # or it takes fewer threads than it is told
        },
    ).create_infer_request()

    def run(values: Floats) -> list[Floats]:
        outputs = request.infer([np.ascontiguousarray(values)], share_inputs=True)
        return list(outputs.to_tuple())

    return run
