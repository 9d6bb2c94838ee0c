"""A model for a real Triton that doubles numbers: it loads in no time."""

from pathlib import Path

_CONFIG = """
name: "double"
backend: "python"
max_batch_size: 4
input [{ name: "IN", data_type: TYPE_FP32, dims: [2] }]
output [{ name: "OUT", data_type: TYPE_FP32, dims: [2] }]
instance_group [{ kind: KIND_CPU, count: 1 }]
"""

_MODEL = """
import os
import streams.topics
import triton_python_backend_utils as backend

class TritonPythonModel:
    def initialize(self, arguments):
        assert os.environ["LIKENESS_CACHE_DIR"] and os.environ["OMP_NUM_THREADS"] == "1"

    def execute(self, requests):
        arrays = [backend.get_input_tensor_by_name(request, "IN").as_numpy() for request in requests]
        return [backend.InferenceResponse([backend.Tensor("OUT", array * 2)]) for array in arrays]
"""


def lay_models(folder: Path) -> Path:
    """Write the model into a repository of its own, and return that."""
    version = folder / "double" / "1"
    version.mkdir(parents=True)
    (version / "model.py").write_text(_MODEL)
    (version.parent / "config.pbtxt").write_text(_CONFIG)
    return folder
