"""A generator's new version takes over while requests flow: no verdict is lost, and each says who made its sample."""

import asyncio
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tritonclient.grpc import InferenceServerClient

from streams.client import Publisher
from streams.events import GenerationRequested
from streams.shipped import shipped
from tests.acceptance.conftest import Likeness, eventually
from tests.triton_server import POLLING, Server

MODEL = "face_identity_gan"

#: A version that signs its pictures in the first pixel, and waits while it is told to.
SIGNED = """
import time
from pathlib import Path

import triton_python_backend_utils as triton

from generators import serve


class Signed:
    def __init__(self, sampler, version):
        self.sampler, self.version = sampler, version
        self.conditioning_length = sampler.conditioning_length

    def sample(self, seeds, conditioning, strength):
        images = self.sampler.sample(seeds, conditioning, strength)
        images[:, 0, 0] = self.version
        return images


class TritonPythonModel:
    def initialize(self, args):
        version = args["model_version"]
        self.sampler = Signed(serve.load(args), int(version))
        folder = Path(args["model_repository"]).parents[1]
        self.hold, self.held = folder / f"hold-{version}", folder / f"held-{version}"

    def execute(self, requests):
        while self.hold.exists():
            self.held.touch()
            time.sleep(0.01)
        return serve.respond(triton, self.sampler, requests)
"""


@dataclass
class Rolling:
    """A server with a model whose versions come and go."""

    server: Server
    client: InferenceServerClient

    @property
    def folder(self) -> Path:
        return self.server.models.parent

    def add(self, version: int) -> None:
        """Put a version there as the operations manual says: whole, in one move."""
        aside = self.folder / "aside"
        shutil.copytree(shipped("triton_models") / MODEL / "1", aside)
        (aside / "model.py").write_text(SIGNED)
        aside.rename(self.server.models / MODEL / str(version))
        assert eventually(lambda: self.ready(version))

    def retire(self, version: int) -> None:
        (self.server.models / MODEL / str(version)).rename(self.folder / f"retired-{version}")
        assert eventually(lambda: not self.ready(version))

    def ready(self, version: int) -> bool:
        return bool(self.client.is_model_ready(MODEL, str(version), client_timeout=20))

    @contextmanager
    def held(self, version: int) -> Iterator[None]:
        """Keep a version at the next thing that it is asked for."""
        hold = self.folder / f"hold-{version}"
        hold.touch()
        try:
            yield
        finally:
            hold.unlink()

    def is_held(self, version: int) -> bool:
        return (self.folder / f"held-{version}").exists()


@pytest.fixture
def rolling(_real_parts: None, tmp_path: Path) -> Iterator[Rolling]:
    folder = tmp_path / "triton"
    for model in (MODEL, "face_gan"):  # which draws the people to enrol
        shutil.copytree(shipped("triton_models") / model, folder / "models" / model)
    (folder / "models" / MODEL / "1/model.py").write_text(SIGNED)
    server = Server(folder, folder / "models", POLLING)
    try:
        server.wait()
        with InferenceServerClient(server.address) as client:
            yield Rolling(server, client)
    finally:
        server.child.stop(grace=5)


@dataclass
class Flow:
    """Requests, some by themselves and one after another as long as it flows."""

    kafka: str
    asked: dict[str, int] = field(default_factory=dict)
    """Samples by request id."""

    def ask(self, name: str, count: int = 1) -> None:
        asyncio.run(self._ask(name, count))

    async def _ask(self, name: str, count: int) -> None:
        self.asked[name] = count
        async with Publisher(self.kafka) as publisher:
            await publisher.request(
                GenerationRequested(
                    source="shop", request_id=name, identity="synthetic-01", model=MODEL, seed=7, count=count
                )
            )

    @contextmanager
    def flowing(self) -> Iterator[None]:
        over = threading.Event()

        def flow() -> None:
            number = 0
            while not over.wait(0.5):
                self.ask(f"flow-{number}")
                number += 1

        thread = threading.Thread(target=flow, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def ends(likeness: Likeness) -> list[dict[str, Any]]:
    """Return every verdict there is."""
    audited = likeness("audit", "--json").json
    found = []
    for end in ("accepted", "flagged"):
        if count := audited[end]:
            shown = likeness("watch", f"samples.{end}", "--from-beginning", "--json", "--limit", str(count))
            found += [json.loads(line) for line in shown.out.splitlines()]
    return found


def signature(likeness: Likeness, verdict: dict[str, Any]) -> str:
    """Return the version that the judged picture itself shows."""
    [file] = (likeness.data_dir / "images").rglob(f"*{verdict['image']['sha256']}*")
    return str(np.asarray(Image.open(file))[0, 0, 0])


def test_versions_roll_over_while_requests_flow(likeness: Likeness, rolling: Rolling, tmp_path: Path):
    """Version 2 comes while a request waits for 1, which stays; 3 comes and 2 goes while one waits for 2."""
    likeness.env |= {"LIKENESS_POLICY": "synthetic", "LIKENESS_TRITON": rolling.server.address}
    likeness.env |= {"LIKENESS_CALL_TIMEOUT_SECONDS": "120"}
    assert likeness("up", "--detach").status == 0
    assert likeness("enrol", "--synthetic", "1").status == 0
    flow = Flow(json.loads((likeness.data_dir / "running.json").read_text())["kafka"])
    worker = likeness.start("worker", err=tmp_path / "worker.txt")
    with flow.flowing():
        with rolling.held(1):
            flow.ask("stays", 4)
            assert eventually(lambda: rolling.is_held(1))
            rolling.add(2)
        with rolling.held(2):
            flow.ask("retired", 40)  # more than are made together
            assert eventually(lambda: rolling.is_held(2))
            rolling.add(3)
            rolling.retire(2)
        flow.ask("last")
    asked = sum(flow.asked.values())
    assert eventually(lambda: (audit := likeness("audit", "--json").json)["settled"] and audit["requested"] == asked)
    verdicts = ends(likeness)
    worker.terminate()
    assert worker.wait(60) == 0

    audit = likeness("audit", "--json")
    assert (audit.status, audit.json["sound"], audit.json["dead"], len(verdicts)) == (0, True, 0, asked)
    assert {(one["request_id"], one["index"]) for one in verdicts} == {
        (name, index) for name, count in flow.asked.items() for index in range(count)
    }
    assert {one["sample_id"]: one["model_version"] for one in verdicts} == {
        one["sample_id"]: signature(likeness, one) for one in verdicts
    }
    made_by = {name: {one["model_version"] for one in verdicts if one["request_id"] == name} for name in flow.asked}
    assert (made_by["stays"], made_by["retired"], made_by["last"]) == ({"1"}, {"2", "3"}, {"3"})
