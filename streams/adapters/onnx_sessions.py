"""Networks that onnxruntime runs: a file in, a function from an array to arrays out."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from streams.errors import Unready, WeightsUnusable

Floats = npt.NDArray[np.float32]


def open_session(file: Path, *, threads: int, providers: Sequence[str]) -> Any:
    """Load a network; return onnxruntime's session of it.

    Args:
        file: An ONNX file.
        threads: Compute threads of this network.
        providers: What it runs on, the best first, as onnxruntime names them.

    Raises:
        Unready: If onnxruntime is missing, or has none of the providers.
        WeightsUnusable: If the file is no network.
    """
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as says
    except ImportError as error:
        raise Unready(
            f"expected onnxruntime to examine images, got {error}; run `pip install 'likeness-qc[engine]'`"
        ) from error
    missing = sorted(set(providers) - set(onnxruntime.get_available_providers()))
    if missing:
        has = ", ".join(onnxruntime.get_available_providers())
        raise Unready(
            f"expected onnxruntime with {', '.join(missing)}, got one with {has}: install the build of onnxruntime"
            " that has it, or correct LIKENESS_PROVIDERS"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    # Several networks have threads each: those that wait by spinning take the cores from those that work.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors; its warnings are about optimisations
    try:
        session: Any = onnxruntime.InferenceSession(str(file), options, providers=list(providers))
    except (says.Fail, says.InvalidGraph, says.InvalidProtobuf, says.NoSuchFile, says.NotImplemented) as error:
        raise WeightsUnusable(f"expected an ONNX network in {file}, got {error}; delete {file.parent}") from error
    return session


def network(file: Path, *, threads: int, providers: Sequence[str]) -> Callable[[Floats], list[Floats]]:
    """Load a network of one input, as ``open_session`` does; return what gives its outputs, in their order."""
    session = open_session(file, threads=threads, providers=providers)
    (entry,) = session.get_inputs()

    def run(values: Floats) -> list[Floats]:
        outputs: list[Floats] = session.run(None, {entry.name: values})
        return outputs

    return run
