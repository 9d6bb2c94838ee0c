"""The tensors of a served generator: what each model must take and give."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from tritonclient.grpc import InferInput

from streams.core.faces import Pixels
from streams.ports import Prompt

#: Every generator's tensors: name -> (data type, shape with the batch first; -1 is any size).
INPUTS: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "seed": ("INT64", (-1, 1)),
    "conditioning": ("FP32", (-1, -1)),
    "strength": ("FP32", (-1, 1)),
}
#: A source frame, of models that can take one: channels last, a fixed size, and a request may leave it out.
FRAME = "frame"
OUTPUTS: Mapping[str, tuple[str, tuple[int, ...]]] = {"image": ("UINT8", (-1, -1, -1, 3))}
#: The parameter of a model's configuration that says how many values its conditioning has.
LENGTH = "conditioning_length"
#: The parameter that says what a conditioning is; without it, what the identity was enrolled with for the model.
CONDITIONED_ON = "conditioned_on"
#: Its value where that is the identity's centroid, of whoever is enrolled.
CENTROID = "centroid"


def inputs(prompts: Sequence[Prompt], frames: Sequence[Pixels] = ()) -> list[InferInput]:
    """Return the tensors of prompts whose conditionings are equally long, and of as many frames or none."""
    columns: dict[str, npt.NDArray[Any]] = {
        "seed": np.array([[prompt.seed] for prompt in prompts], dtype=np.int64),
        "conditioning": np.array([prompt.conditioning for prompt in prompts], dtype=np.float32),
        "strength": np.array([[prompt.strength] for prompt in prompts], dtype=np.float32),
    }
    types = {name: dtype for name, (dtype, _) in INPUTS.items()}
    if frames:
        columns[FRAME], types[FRAME] = np.stack(frames), "UINT8"
    tensors = []
    for name, values in columns.items():
        tensor = InferInput(name, list(values.shape), types[name])
        tensor.set_data_from_numpy(values)
        tensors.append(tensor)
    return tensors


def frame_size(served: Sequence[Any]) -> tuple[int, int] | None:
    """Return height and width of the source frames that a model takes; None where it takes none."""
    for tensor in served:
        if (tensor.name, tensor.datatype) != (FRAME, "UINT8") or len(tensor.shape) != 4:
            continue
        _, height, width, channels = map(int, tensor.shape)
        if channels == 3 and height > 0 and width > 0:
            return height, width
    return None


def differences(side: str, expected: Mapping[str, tuple[str, tuple[int, ...]]], served: Sequence[Any]) -> Iterator[str]:
    """Say how a model's tensors differ from the contract; a fixed size where any will do is no difference."""
    found = {tensor.name: (tensor.datatype, tuple(tensor.shape)) for tensor in served}
    if found.keys() != expected.keys():
        yield f"expected {side}s {', '.join(sorted(expected))}, got {', '.join(sorted(found)) or 'none'}"
        return
    for name, (dtype, shape) in expected.items():
        got_dtype, got_shape = found[name]
        fits = len(shape) == len(got_shape) and all(
            want in (-1, got) for want, got in zip(shape, got_shape, strict=True)
        )
        if dtype != got_dtype or not fits:
            yield f"expected {side} {name} {dtype} {list(shape)}, got {got_dtype} {list(got_shape)}"
