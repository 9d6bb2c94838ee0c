"""A torch network as an ONNX file, by tracing it once."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from streams.replacing import replacing

if TYPE_CHECKING:
    import torch

#: The version of ONNX' operators: the newest that the exporter knows, and every supported runtime and Triton runs it.
OPSET = 17


def trace(
    network: "torch.nn.Module",
    examples: "Sequence[torch.Tensor]",
    axes: Mapping[str, Mapping[int, str]],
    file: Path,
) -> None:
    """Export a network, in the state of its use: batch norms are folded into the convolutions before them.

    Args:
        network: Takes the examples, and returns one tensor or a tuple of them.
        examples: One tensor for every input; their values do not matter.
        axes: By the names of all inputs, in order, and then of all outputs: which of its dimensions vary, and what
            each of them is called.
        file: Is there in the end whole or not at all.

    Raises:
        ImportError: If torch or onnx is missing.
        OSError: If it cannot be written.
    """
    import onnx  # noqa: F401 - torch's exporter needs it, and says so late
    import torch

    names = list(axes)
    with replacing(file) as part, warnings.catch_warnings(), torch.inference_mode():
        # The exporter that traces is deprecated; its successor needs a package more, and gains nothing here.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            tuple(examples),
            str(part),
            input_names=names[: len(examples)],
            output_names=names[len(examples) :],
            dynamic_axes={name: dict(dimensions) for name, dimensions in axes.items()},
            opset_version=OPSET,
            dynamo=False,
        )
