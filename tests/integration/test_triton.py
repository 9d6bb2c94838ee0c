"""The served GAN on the real server."""

import asyncio
import json
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from generators import digiface_dcgan, weights
from generators.checkpoint import WEIGHTS
from generators.digiface_dcgan import anchor
from generators.learners import trained
from streams.adapters.engines import self_check
from streams.adapters.images.decode import encode_png
from streams.adapters.triton.generator import TritonGenerator
from streams.core.faces import Pixels
from streams.embedded.loopback import free_ports
from streams.errors import DependencyUnavailable, GeneratorRejected, VersionRetired, WeightsUnusable
from streams.ports import Prompt
from streams.settings import Settings
from streams.shipped import shipped
from tests.absent import absent
from tests.triton_server import POLLING, Server

#: The families that are trained here, as they are served.
FAMILIES = ("face_encoder_decoder", "face_identity_gan", "face_diffusion")
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
#: A generator by its tensors, of tiny pictures.
FRAIL_CONFIG = """
name: "frail" backend: "python" max_batch_size: 4
input [
  { name: "seed" data_type: TYPE_INT64 dims: [ 1 ] },
  { name: "conditioning" data_type: TYPE_FP32 dims: [ -1 ] },
  { name: "strength" data_type: TYPE_FP32 dims: [ 1 ] }
]
output [ { name: "image" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] } ]
instance_group [ { kind: KIND_CPU } ]
parameters [ { key: "conditioning_length" value: { string_value: "4" } } ]
"""
#: One seed breaks it off, another one makes it leave an image out; under the name of "ill" it breaks off always.
FRAIL_MODEL = """
import json
import numpy as np
import triton_python_backend_utils as triton

class TritonPythonModel:
    def initialize(self, args):
        self.ill = json.loads(args["model_config"])["name"] == "ill"

    def execute(self, requests):
        return [self.respond(triton.get_input_tensor_by_name(one, "seed").as_numpy()) for one in requests]

    def respond(self, seeds):
        if self.ill or 666 in seeds:
            raise RuntimeError("frail on purpose")
        images = np.zeros((len(seeds) - (13 in seeds), 2, 2, 3), np.uint8) + seeds[0, 0].astype(np.uint8)
        return triton.InferenceResponse([triton.Tensor("image", images)])
"""


Start = Callable[..., Server]
T = TypeVar("T")


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
    for model in ("face_gan", *FAMILIES):
        shutil.copytree(shipped("triton_models") / model, folder / model)
    for name, config, code in (
        ("echo", ECHO_CONFIG, ECHO_MODEL),
        ("broken", ECHO_CONFIG.replace("echo", "broken"), BROKEN_MODEL),
        ("frail", FRAIL_CONFIG, FRAIL_MODEL),
        ("ill", FRAIL_CONFIG.replace("frail", "ill"), FRAIL_MODEL),
    ):
        (folder / name / "1").mkdir(parents=True)
        (folder / name / "config.pbtxt").write_text(config)
        (folder / name / "1/model.py").write_text(code)
    servers: list[Server] = []

    def started(*names: str, options: Sequence[str] = ()) -> Server:
        data = folder / str(len(servers))
        (data / "models").mkdir(parents=True)
        for name in names:
            shutil.copytree(folder / name, data / "models" / name)
        servers.append(Server(data, data / "models", options))
        servers[-1].wait()
        return servers[-1]

    yield started
    for server in servers:
        server.child.stop(grace=5)


@pytest.fixture(scope="module")
def server(start: Start) -> Server:
    return start("face_gan", "echo", "frail", "ill")


@pytest.fixture
async def generator(server: Server) -> AsyncIterator[TritonGenerator]:
    async with opened(server.address) as one:
        yield one


@asynccontextmanager
async def opened(address: str, **options: float) -> AsyncIterator[TritonGenerator]:
    generator = TritonGenerator(address, **{"timeout_seconds": 20, "standstill_seconds": 1} | options)
    await generator.open()
    try:
        yield generator
    finally:
        await generator.close()


async def all_of(generator: TritonGenerator, model: str, prompts: list[Prompt]) -> list[Pixels]:
    """Have all made, as many at once as the model takes."""
    made: list[Pixels] = []
    while rest := prompts[len(made) :]:
        made += await generator.generate(model, "1", rest)
    return made


def frail(seed: int) -> Prompt:
    return Prompt(seed, (1.0, 2.0, 3.0, 4.0), 0.5)


def prompt(seed: int, strength: float = 0.3) -> Prompt:
    return Prompt(seed, anchor(1), strength)


async def test_the_served_version_is_the_newest_folder(generator: TritonGenerator):
    assert await generator.version("face_gan") == "1"


async def test_the_length_of_a_conditioning_is_that_of_an_anchor(generator: TritonGenerator):
    assert await generator.conditioning_length("face_gan") == len(anchor(1))


async def test_images_come_in_the_order_of_the_prompts_beyond_one_batch(generator: TritonGenerator):
    prompts = [prompt(seed) for seed in range(40)]
    images = await all_of(generator, "face_gan", prompts)
    assert len(images) == 40
    assert {(image.shape, str(image.dtype)) for image in images} == {((64, 64, 3), "uint8")}
    backwards = await all_of(generator, "face_gan", prompts[::-1])
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


#: A face as FaceNet sees it: what no face looks like a family may show as it likes, whatever its frame.
FACE = tuple(json.loads((Path(self_check.__file__).parent / "known_faces" / "facenet-128.json").read_text())[0])


@pytest.fixture(scope="module")
def families(start: Start) -> Server:
    """The families that are trained here."""
    if missing := [model for model in FAMILIES if not (shipped("triton_models") / model / "1" / WEIGHTS).exists()]:
        absent(f"no weights of {', '.join(missing)}: likeness families export")
    return start(*FAMILIES)


def anybody(seed: int, frame: bytes | None = None) -> Prompt:
    """Whoever is enrolled: by a centroid, which is a face's as FaceNet sees it, and without anything of a model's."""
    return Prompt(seed, (), 0.0, FACE, frame)


@pytest.mark.parametrize("model", FAMILIES)
async def test_a_family_shows_anybody_by_their_centroid_as_its_network_does(families: Server, model: str):
    network = trained(shipped("triton_models") / model / "1").sampler
    asked = [anybody(seed) for seed in (1, 2)]
    expected = network.sample([1, 2], np.array([p.centroid for p in asked], np.float32), np.zeros(2, np.float32))
    async with opened(families.address) as generator:
        served = await generator.generate(model, await generator.version(model), asked)

    assert expected.std() > 10
    assert np.abs(np.stack(served).astype(int) - expected).max() <= 2


async def test_the_encoder_decoder_takes_a_source_frame_from_one_request_and_none_from_the_next(families: Server):
    model = "face_encoder_decoder"
    dark, light = (np.full((80, 64, 3), level, np.uint8) for level in (30, 220))
    async with opened(families.address) as generator:
        asked = [anybody(1, encode_png(dark)), anybody(1, encode_png(light)), anybody(1)]
        made = await asyncio.gather(*(generator.generate(model, "1", [one]) for one in asked))
        of_dark, of_light, of_none = (images[0].mean() for images in made)
        first = await generator.generate(model, "1", [anybody(1, encode_png(dark)), anybody(2)])
        with pytest.raises(GeneratorRejected, match="source frame that can be decoded"):
            await generator.generate(model, "1", [anybody(1, b"no image")])

    assert of_dark < of_light - 20
    assert of_none not in (of_dark, of_light)
    assert len(first) == 1  # what has a frame and what has none go apart


async def test_a_model_that_takes_no_frames_refuses_one(families: Server):
    async with opened(families.address) as generator:
        with pytest.raises(GeneratorRejected, match="takes none"):
            await generator.generate("face_diffusion", "1", [anybody(1, encode_png(np.zeros((8, 8, 3), np.uint8)))])


async def test_an_unknown_model_is_rejected_with_the_names_of_those_that_are_served(generator: TritonGenerator):
    with pytest.raises(GeneratorRejected, match=r"echo, face_gan, frail, ill.*'nobody'"):
        await generator.version("nobody")


async def test_a_model_makes_no_more_at_once_than_it_takes(generator: TritonGenerator):
    made = await generator.generate("frail", "1", [frail(seed) for seed in range(10)])

    assert len(made) == 4


async def test_what_breaks_a_model_off_is_rejected_as_long_as_the_model_answers_others(generator: TritonGenerator):
    with pytest.raises(GeneratorRejected, match="'frail' version 1 fails with what is asked"):
        await generator.generate("frail", "1", [frail(1), frail(666), frail(2)])

    assert len(await generator.generate("frail", "1", [frail(1), frail(2)])) == 2


async def test_a_model_that_answers_nobody_is_waited_for(generator: TritonGenerator):
    with pytest.raises(DependencyUnavailable, match=r"INTERNAL.*frail on purpose"):
        await generator.generate("ill", "1", [frail(1)])


async def test_a_model_that_gives_something_else_than_the_images_is_rejected(generator: TritonGenerator):
    with pytest.raises(GeneratorRejected, match=r"expected 2 images .*got uint8 \(1, 2, 2, 3\)"):
        await generator.generate("frail", "1", [frail(13), frail(14)])


async def test_a_model_that_does_not_load_is_rejected_where_others_are_served(start: Start):
    """And so is one that is not there at all, although the server does not call itself ready."""
    server = await asyncio.to_thread(start, "frail", "broken")
    async with opened(server.address) as generator:
        with pytest.raises(GeneratorRejected, match=r"'broken' is there and not ready: .*broken on purpose"):
            await generator.version("broken")
        with pytest.raises(GeneratorRejected, match=r"there are: frail\), got 'nobody'"):
            await generator.version("nobody")
        assert len(await generator.generate("frail", await generator.version("frail"), [frail(1)])) == 1
    await asyncio.to_thread(server.child.stop, 5)


async def test_a_roll_over_retires_a_version_and_a_model_that_is_put_back_is_served_again(start: Start):
    server = await asyncio.to_thread(start, "frail", "ill", options=POLLING)
    models, away = server.models, server.models.parent / "away"
    async with asyncio.timeout(90), opened(server.address, standstill_seconds=60) as generator:
        assert len(await generator.generate("frail", "1", [frail(1)])) == 1
        (models / "frail/1").rename(models / "frail/2")
        await until(lambda: generator.generate("frail", "1", [frail(1)]), VersionRetired)
        assert len(await generator.generate("frail", "2", [frail(1)])) == 1

        (models / "frail").rename(away)
        async with opened(server.address, standstill_seconds=0) as impatient:
            await until(lambda: impatient.version("frail"), GeneratorRejected)
        asked = asyncio.create_task(generator.version("frail"))
        away.rename(models / "frail")
        await asyncio.gather(asked, return_exceptions=True)  # which may have met it while it was loaded
        assert not isinstance(asked.exception(), GeneratorRejected)
        assert await patiently(lambda: generator.version("frail")) == "2"
    await asyncio.to_thread(server.child.stop, 5)


async def until(call: Callable[[], Awaitable[object]], expected: type[Exception]) -> None:
    """Call again and again until it raises what is expected; what is unavailable meanwhile is no answer."""
    with pytest.raises(expected):
        await patiently(call, once_more=lambda answer: True)


async def patiently(call: Callable[[], Awaitable[T]], once_more: Callable[[T], bool] = lambda answer: False) -> T:
    while True:
        with suppress(DependencyUnavailable):
            if not once_more(answer := await call()):
                return answer


@pytest.mark.parametrize(
    ("served", "asked", "why"),
    [
        ("broken", "broken", "not ready, for want of broken"),
        ("broken", "face_gan", "not ready, for want of broken"),
        (None, "face_gan", "no models at all"),
    ],
)
async def test_a_server_that_is_not_as_it_should_be_is_waited_for(
    start: Start, served: str | None, asked: str, why: str
):
    server = await asyncio.to_thread(start, *filter(None, [served]))
    async with opened(server.address) as generator:
        with pytest.raises(DependencyUnavailable, match=why):
            await generator.version(asked)
    await asyncio.to_thread(server.child.stop, 5)


async def test_a_version_that_is_not_served_is_told_from_a_model_that_is_not(generator: TritonGenerator):
    with pytest.raises(VersionRetired, match="expected version 7 of model 'frail', the server has 1") as told:
        await generator.generate("frail", "7", [frail(1)])
    assert told.value.served == "1"

    with pytest.raises(GeneratorRejected, match="got 'nobody'"):
        await generator.generate("nobody", "1", [frail(1)])


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
