"""What the processor can do at most: the fastest arithmetic that a library gets out of it, in each precision.

Nothing but multiply-adds on values that lie in the nearest cache: large convolutions and products of matrices, in the
library that is known to come nearest to the processor's own limit (oneDNN, through torch).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.bench.arithmetic import OPERATIONS


@dataclass(frozen=True)
class Probe:
    """One piece of arithmetic that can be repeated."""

    precision: str
    """What is multiplied: fp32, bf16 or int8."""
    what: str
    operations: float
    """Of one run; a multiply-add is two."""
    run: Callable[[], object]

    @property
    def name(self) -> str:
        """How results call it."""
        return f"{self.precision} {self.what}"


#: A convolution of 3 x 3 on images of so many channels, rows and columns, and so many images.
_CHANNELS, _SIDE, _IMAGES = 256, 32, 8
#: The side of square matrices.
_MATRIX = 2048


def probes(threads: int) -> list[Probe]:
    """Return what is tried; the fastest of a precision is its peak.

    Args:
        threads: Compute threads, set for torch in this process.
    """
    import torch

    torch.set_num_threads(threads)
    return [*(_convolution(name) for name in ("fp32", "bf16")), *(_product(name) for name in ("fp32", "bf16", "int8"))]


def peaks_of(tried: Sequence[Probe], measured: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return what the fastest probe of each precision came to, in 10^9 operations a second: in all, and of one core."""
    peaks: dict[str, dict[str, Any]] = {}
    for one in tried:
        found = measured[one.name]
        of_a_core = round(found["per_core_second"] / 1e9, 1)
        if one.precision not in peaks or of_a_core > peaks[one.precision]["gflops_of_a_core"]:
            peaks[one.precision] = {
                "gflops": round(found["median"] / 1e9, 1),
                "gflops_of_a_core": of_a_core,
                "by": one.what,
                "others_cores": found["others_cores"],
            }
    return peaks


def _convolution(precision: str) -> Probe:
    import torch

    kind = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    layer = torch.nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1, bias=False).to(kind)
    layer = layer.to(memory_format=torch.channels_last)
    images = torch.randn(_IMAGES, _CHANNELS, _SIDE, _SIDE).to(kind).to(memory_format=torch.channels_last)

    def run() -> object:
        with torch.inference_mode():
            return layer(images)

    work = _CHANNELS * _CHANNELS * 9 * _SIDE * _SIDE * _IMAGES * OPERATIONS
    return Probe(precision, "convolution", work, run)


def _product(precision: str) -> Probe:
    import torch

    run: Callable[[], object]
    if precision == "int8":
        one, other = (torch.randint(-100, 100, (_MATRIX, _MATRIX), dtype=torch.int8) for _ in range(2))

        def run() -> object:
            return torch._int_mm(one, other)
    else:
        kind = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
        left, right = (torch.randn(_MATRIX, _MATRIX).to(kind) for _ in range(2))

        def run() -> object:
            with torch.inference_mode():
                return left @ right

    return Probe(precision, "matrix product", float(OPERATIONS) * _MATRIX**3, run)
