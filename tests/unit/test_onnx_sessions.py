"""What onnxruntime is to run on it runs on, or the worker stops: it leaves out what it cannot load without an error."""

import pytest

from streams.adapters.engines.onnx_sessions import refuse_without
from streams.errors import Unready

GPU = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]


def test_a_network_that_fell_back_to_the_processor_is_refused_with_the_remedy():
    with pytest.raises(
        Unready,
        match=r"expected onnxruntime with TensorrtExecutionProvider, CUDAExecutionProvider, got one with"
        r" CPUExecutionProvider: mend it",
    ):
        refuse_without(GPU, ["CPUExecutionProvider"], "mend it")


def test_what_is_given_beside_what_was_wanted_does_not_matter():
    refuse_without(["CUDAExecutionProvider"], GPU, "mend it")
