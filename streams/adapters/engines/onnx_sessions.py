"""Networks that onnxruntime runs: a file in, a function from an array to arrays out."""

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from streams.adapters.engines.networks import Floats, Run
from streams.errors import Unready, WeightsUnusable


def open_session(file: Path, *, threads: int, providers: Sequence[str]) -> Any:
    """Load a network; return onnxruntime's session of it.

    Args:
        file: An ONNX file.
        threads: Compute threads of this network.
        providers: What it runs on, the best first, as onnxruntime names them.

    Raises:
        Unready: If onnxruntime is missing, or cannot run on one of the providers.
        WeightsUnusable: If the file is no network.
    """
    # NVIDIA's libraries read it once. Without it their 32-bit floats have ten bits after the point (TF32), and the
    # reference precision would be none; TensorRT can be told in no other way.
    os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as says
    except ImportError as error:
        raise Unready(
            f"expected onnxruntime to examine images, got {error}; run `pip install 'likeness-qc[engine]'`"
        ) from error
    remedy = "install the build of onnxruntime that has it, or correct LIKENESS_PROVIDERS"
    refuse_without(providers, onnxruntime.get_available_providers(), remedy)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    # Several networks have threads each: those that wait by spinning take the cores from those that work.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors; its warnings are about optimisations
    try:
        session: Any = onnxruntime.InferenceSession(str(file), options, providers=list(providers))
    except (says.Fail, says.InvalidGraph, says.InvalidProtobuf, says.NoSuchFile, says.NotImplemented) as error:
        raise WeightsUnusable(f"expected an ONNX network in {file}, got {error}; delete {file.parent}") from error
    # A provider that was built in and finds no device, or not its libraries, is left out without an error.
    remedy = "give this process the device and its libraries, which onnxruntime's own lines above name, or correct"
    refuse_without(providers, session.get_providers(), f"{remedy} LIKENESS_PROVIDERS")
    return session


def network(file: Path, *, threads: int, providers: Sequence[str]) -> Run:
    """Load a network of one input, as ``open_session`` does; return what gives its outputs, in their order."""
    session = open_session(file, threads=threads, providers=providers)
    (entry,) = session.get_inputs()

    def run(values: Floats) -> list[Floats]:
        outputs: list[Floats] = session.run(None, {entry.name: values})
        return outputs

    return run


def refuse_without(wanted: Collection[str], given: Collection[str], remedy: str) -> None:
    """Refuse what onnxruntime gives where a wanted provider is not among it.

    Raises:
        Unready: With the remedy.
    """
    missing = [name for name in wanted if name not in given]
    if missing:
        raise Unready(f"expected onnxruntime with {', '.join(missing)}, got one with {', '.join(given)}: {remedy}")
