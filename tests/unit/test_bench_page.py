"""What the bench counts and writes: the arithmetic of a network, and the page that nobody edits."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from streams.errors import BadInput
from tests.bench.arithmetic import multiply_adds
from tests.bench.expected import FIGURES
from tests.bench.page import markdown, publish, require_whole
from tests.bench.suite import PARTS

DOCS = Path(__file__).parents[2] / "docs"


def test_multiply_adds_are_those_counted_by_hand(tmp_path: Path):
    kernel = numpy_helper.from_array(np.zeros((8, 1, 3, 3), np.float32), "kernel")  # 2 groups of 1 channel
    matrix = numpy_helper.from_array(np.zeros((8, 5), np.float32), "matrix")
    nodes = [
        helper.make_node("Conv", ["pixels", "kernel"], ["seen"], group=2, strides=[2, 2]),
        helper.make_node("GlobalAveragePool", ["seen"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "matrix"], ["out"]),
    ]
    many = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["images", 2, "height", "width"])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["images", 5])
    model = helper.make_model(helper.make_graph(nodes, "tiny", [many], [out], [kernel, matrix]))
    onnx.save(model, tmp_path / "tiny.onnx")

    # 3 images; 9 x 7 pixels leave 4 x 3 places; 9 products each of one channel, 8 channels out; then 8 x 5.
    assert multiply_adds(tmp_path / "tiny.onnx", (3, 2, 9, 7)) == 3 * (4 * 3 * 8 * 9 + 8 * 5)


@pytest.mark.parametrize("numbers", list(DOCS.glob("performance.json")))
def test_the_page_is_what_the_bench_wrote(numbers: Path):
    result = json.loads(numbers.read_text())

    assert numbers.with_name("PERFORMANCE.md").read_text() == markdown(result)
    assert {name for name, figure in FIGURES.items() if figure.part in result["parts"]} <= set(result)


@pytest.mark.parametrize(("quick", "parts"), [(True, PARTS), (False, PARTS[1:])])
def test_a_run_that_was_not_whole_is_not_published(quick: bool, parts: tuple[str, ...], tmp_path: Path):
    with pytest.raises(BadInput, match="leave --quick and --only out"):
        publish({"quick": quick, "parts": dict.fromkeys(parts)}, tmp_path)

    require_whole(False, PARTS)
    assert list(tmp_path.iterdir()) == []
