"""The served GAN on the real server."""

import asyncio
import shutil
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import grpc
import numpy as np
import psutil
import pytest

from generators import digiface_dcgan, weights
from generators.digiface_dcgan import anchor
from streams.adapters.triton import TritonGenerator
from streams.embedded import triton as embedded
from streams.embedded.loopback import free_ports
from streams.errors import DependencyUnavailable, GeneratorRejected, WeightsUnusable
from streams.ports import Prompt
from streams.processes.child import Child
from streams.settings import Settings
from streams.shipped import shipped
from tests.absent import absent

START_SECONDS = 90.0
#: A model that is served and is no generator.
ECHO_CONFIG = """
name: "echo" backend: "python" max_batch_size: 4
input [ { name: "text" data_type: TYPE_FP32 dims: [ 1 ] } ]
output [ { name: "text" data_type: TYPE_FP32 dims: [ 1 ] } ]
instance_group [ { kind: KIND_CPU } ]
"""
ECHO_MODEL = "class TritonPythonModel:\n    def execute(self, requests):\n        raise NotImplementedError\n"
#: A model that is in the repository and does not load.
BROKEN_MODEL = "raise ValueError('broken on purpose')\n"


class Server:
    """The embedded server, which starts although a model does not load or there is none."""

    def __init__(self, folder: Path, models: Path) -> None:
        plan = embedded.plan(folder, Settings().cache_dir, shipped("triton_models"))
        embedded.prepare(plan)
        plan = replace(plan, models=models)
        self.address = plan.address
        command = [*embedded.command(plan), "--exit-on-error=false"]
        self.child = Child.start("Triton", command, embedded.environment(plan), folder / "triton.log")

    def wait(self) -> None:
        """Wait until models are loaded: the server opens its port after that."""
        deadline = time.monotonic() + START_SECONDS
        with grpc.insecure_channel(self.address) as channel:
            ready = grpc.channel_ready_future(channel)
            while time.monotonic() < deadline and self.child.poll() is None:
                try:
                    return ready.result(timeout=0.5)
                except grpc.FutureTimeoutError:
                    continue
        raise self.child.failure("does not start", "read its log")

    @property
    def process(self) -> psutil.Process:
        assert self.child.command_pid is not None
        return psutil.Process(self.child.command_pid)

    def signal(self, number: int) -> None:
        for process in (self.process, *self.process.children(recursive=True)):
            process.send_signal(number)


Start = Callable[..., Server]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Return what starts a server with the named models."""
    if find_spec("pytriton") is None:
        absent("no Triton server: pip install 'likeness-qc[embedded]'")
    try:
        weights.ensure(weights.DCGAN_DIGIFACE, Settings().cache_dir)
    except WeightsUnusable as error:
        absent(f"no weights of the GAN: {error}")
    folder = tmp_path_factory.mktemp("triton")
    shutil.copytree(shipped("triton_models") / "face_gan", folder / "face_gan")
    for name, code in (("echo", ECHO_MODEL), ("broken", BROKEN_MODEL)):
        (folder / name / "1").mkdir(parents=True)
        (folder / name / "config.pbtxt").write_text(ECHO_CONFIG.replace("echo", name))
        (folder / name / "1/model.py").write_text(code)
    servers: list[Server] = []

    def started(*names: str) -> Server:
        data = folder / str(len(servers))
        (data / "models").mkdir(parents=True)
        for name in names:
            shutil.copytree(folder / name, data / "models" / name)
        servers.append(Server(data, data / "models"))
        servers[-1].wait()
        return servers[-1]

    yield started
    for server in servers:
        server.child.stop(grace=5)


@pytest.fixture(scope="module")
def server(start: Start) -> Server:
    return start("face_gan", "echo")


@pytest.fixture
async def generator(server: Server) -> AsyncIterator[TritonGenerator]:
    opened = TritonGenerator(server.address, timeout_seconds=20)
    await opened.open()
    yield opened
    await opened.close()


def prompt(seed: int, strength: float = 0.3) -> Prompt:
    return Prompt(seed, anchor(1), strength)


async def test_the_served_version_is_the_newest_folder(generator: TritonGenerator):
    assert await generator.version("face_gan") == "1"


async def test_the_length_of_a_conditioning_is_that_of_an_anchor(generator: TritonGenerator):
    assert await generator.conditioning_length("face_gan") == len(anchor(1))


async def test_images_come_in_the_order_of_the_prompts_beyond_one_batch(generator: TritonGenerator):
    prompts = [prompt(seed) for seed in range(40)]
    images = await generator.generate("face_gan", "1", prompts)
    assert len(images) == 40
    assert {(image.shape, str(image.dtype)) for image in images} == {((64, 64, 3), "uint8")}
    backwards = await generator.generate("face_gan", "1", prompts[::-1])
    for image, again in zip(images, backwards[::-1], strict=True):
        assert np.abs(image.astype(int) - again).max() <= 1


async def test_the_same_seed_makes_the_same_pixels_alone_and_in_company(generator: TritonGenerator):
    alone = (await generator.generate("face_gan", "1", [prompt(5)]))[0]
    crowd = await asyncio.gather(*(generator.generate("face_gan", "1", [prompt(seed)]) for seed in range(20)))
    assert np.abs(crowd[5][0].astype(int) - alone).max() <= 1
    assert np.abs(crowd[6][0].astype(int) - alone).max() > 20


async def test_strength_nought_shows_the_anchor_whatever_the_seed(generator: TritonGenerator):
    first, second = await generator.generate("face_gan", "1", [prompt(1, 0.0), prompt(2, 0.0)])
    assert np.abs(first.astype(int) - second).max() <= 1


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (Prompt(1, anchor(1)[:99], 0.3), "100 values, got 99"),
        (Prompt(1, (float("nan"), *anchor(1)[1:]), 0.3), "NaN"),
        (Prompt(1, anchor(1), 1.5), r"strength in \[0, 1\]"),
        (Prompt(1, anchor(1), float("nan")), r"strength in \[0, 1\]"),
        (Prompt(-1, anchor(1), 0.3), "seed of 0 and up"),
        (Prompt(1, (), 0.3), "expected a conditioning"),
    ],
)
async def test_what_cannot_be_made_is_rejected_and_its_neighbours_are_served(
    generator: TritonGenerator, bad: Prompt, why: str
):
    """All go as requests of their own at the same time, so that the server puts them into one batch."""
    asked = [*(prompt(seed) for seed in range(6)), bad, *(prompt(seed) for seed in range(6, 12))]
    made = await asyncio.gather(*(generator.generate("face_gan", "1", [one]) for one in asked), return_exceptions=True)
    with pytest.raises(GeneratorRejected, match=why):
        raise made.pop(6)  # type: ignore[misc]
    assert [type(images) for images in made] == [list] * 12


async def test_the_server_shows_the_face_that_the_network_makes(generator: TritonGenerator):
    network = digiface_dcgan.load(weights.read(weights.DCGAN_DIGIFACE, Settings().cache_dir))
    z0 = np.array([anchor(1)] * 2, dtype=np.float32)
    expected = network.sample([3, 4], z0, np.array([0.3, 0.9], dtype=np.float32))
    served = await generator.generate("face_gan", "1", [prompt(3, 0.3), prompt(4, 0.9)])
    assert expected.std() > 20
    assert np.abs(np.stack(served).astype(int) - expected).max() <= 1


async def test_an_unknown_model_is_rejected_with_the_names_of_those_that_are_served(generator: TritonGenerator):
    with pytest.raises(GeneratorRejected, match=r"echo, face_gan.*'nobody'"):
        await generator.version("nobody")


@pytest.mark.parametrize(
    ("served", "asked", "why"),
    [
        ("broken", "broken", "no available versions"),
        ("broken", "face_gan", "not ready, for want of broken"),
        (None, "face_gan", "no models at all"),
    ],
)
async def test_a_server_that_is_not_as_it_should_be_is_waited_for(
    start: Start, served: str | None, asked: str, why: str
):
    server = await asyncio.to_thread(start, *filter(None, [served]))
    generator = TritonGenerator(server.address, timeout_seconds=20)
    await generator.open()
    try:
        with pytest.raises(DependencyUnavailable, match=why):
            await generator.version(asked)
    finally:
        await generator.close()
        await asyncio.to_thread(server.child.stop, 5)


async def test_a_version_that_is_not_served_now_is_waited_for(generator: TritonGenerator):
    with pytest.raises(DependencyUnavailable):
        await generator.generate("face_gan", "7", [prompt(1)])


async def test_a_model_with_other_tensors_is_rejected_and_the_difference_is_told(generator: TritonGenerator):
    with pytest.raises(GeneratorRejected, match="expected inputs conditioning, seed, strength, got text"):
        await generator.version("echo")


async def test_a_server_that_hangs_is_unavailable_after_the_timeout_and_serves_again_when_it_wakes(
    server: Server,
):
    generator = TritonGenerator(server.address, timeout_seconds=2)
    await generator.open()
    await generator.generate("face_gan", "1", [prompt(1)])
    server.signal(signal.SIGSTOP)
    try:
        async with asyncio.timeout(15):
            with pytest.raises(DependencyUnavailable, match="DEADLINE_EXCEEDED"):
                await generator.generate("face_gan", "1", [prompt(1)])
            with pytest.raises(DependencyUnavailable):
                await generator.version("face_gan")
    finally:
        server.signal(signal.SIGCONT)
    patient = TritonGenerator(server.address, timeout_seconds=20)
    await patient.open()
    assert len(await patient.generate("face_gan", "1", [prompt(1)])) == 1
    await patient.close()
    await generator.close()


async def test_a_server_that_dies_is_unavailable_within_the_timeout(start: Start):
    doomed = await asyncio.to_thread(start, "face_gan")
    generator = TritonGenerator(doomed.address, timeout_seconds=5)
    await generator.open()
    await generator.generate("face_gan", "1", [prompt(1)])
    # First its Python child alone, which the server does not start again: waited for, not refused.
    for child in doomed.process.children(recursive=True):
        child.kill()
    with pytest.raises(DependencyUnavailable, match="INTERNAL"):
        await generator.generate("face_gan", "1", [prompt(1)])
    doomed.signal(signal.SIGKILL)
    async with asyncio.timeout(15):
        with pytest.raises(DependencyUnavailable):
            await generator.generate("face_gan", "1", [prompt(1)])
        with pytest.raises(DependencyUnavailable):
            await generator.version("face_gan")
    await generator.close()


async def test_a_server_that_was_never_there_is_unavailable():
    generator = TritonGenerator(f"127.0.0.1:{free_ports(1)[0]}", timeout_seconds=5)
    await generator.open()
    async with asyncio.timeout(15):
        with pytest.raises(DependencyUnavailable):
            await generator.version("face_gan")
    await generator.close()
