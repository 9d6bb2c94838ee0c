"""Every family, as small as it can be: it learns, it samples what its seeds say, and it is loaded whole."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from generators.adversary import AdversaryConfig
from generators.checkpoint import weights_of
from generators.copying import copy_rate
from generators.data import Floats, Pixels
from generators.diffusion import DiffusionConfig
from generators.encoder_decoder import EncoderDecoder, EncoderDecoderConfig, EncoderDecoderSampler
from generators.families import FAMILIES
from generators.gan import GanConfig, Generator
from generators.learning import Batch, Learner, Plan
from tests.blobs import blobs

SMALL = (16, 16, 16, 16)
ADVERSARY = AdversaryConfig(widths=SMALL)
SIZES = EncoderDecoderConfig(
    encoder=SMALL, decoder=SMALL, latent=4, condition=32, identity_loss_weight=0, swap_after=20, adversary=ADVERSARY
)
CONFIGS: Mapping[str, Any] = {
    "encoder_decoder": SIZES,
    "gan": GanConfig(latent=64, generator=SMALL, adversary=ADVERSARY, condition=32, identity_loss_weight=0),
    "diffusion": DiffusionConfig(width=64, blocks=2, condition=32, sampling_steps=5, autoencoder=SIZES),
}
PLAN = Plan(batch=8, learning_rate=2e-3, average=0.5)


def taught() -> EncoderDecoder:
    """An encoder-decoder with moments of its latents as training leaves them."""
    torch.manual_seed(3)
    network = EncoderDecoder(SIZES)
    for _ in range(50):
        network.remember(torch.randn(32, 4, 4, 4) * 2 + 0.5, keep=0.9)
    return network.eval()


def learner(family: str, plan: Plan = PLAN) -> Learner:
    return FAMILIES[family].learner(CONFIGS[family], plan, None, taught(), "cpu")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Layers as small as these gain nothing from threads, and on a busy machine wait for them."""
    had = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(had)


@pytest.fixture(params=sorted(FAMILIES))
def family(request: pytest.FixtureRequest) -> str:
    return request.param


def arguments(rows: int = 3) -> tuple[range, Floats, Floats]:
    return range(rows), blobs().centroids[:rows], np.zeros(rows, dtype=np.float32)


@dataclass(frozen=True)
class Trained:
    first: float
    last: float


def trained(made: Learner, name: str, steps: int) -> Trained:
    """Show one batch again and again; return the loss over the first steps and over the last."""
    batch = Batch.drawn(blobs(), 8, np.random.default_rng(1), "cpu")
    losses = [made.step(batch, step, np.random.default_rng([2, step]))[name] for step in range(steps)]
    return Trained(float(np.mean(losses[:5])), float(np.mean(losses[-5:])))


@pytest.mark.parametrize(
    ("family", "loss", "steps", "share"),
    [("encoder_decoder", "pixels", 40, 0.6), ("diffusion", "loss", 150, 0.8), ("gan", "discriminator", 40, 0.9)],
)
def test_the_loss_falls_on_one_batch(family: str, loss: str, steps: int, share: float):
    """A discriminator falls below 2 log 2 = 1.386 only if it tells real from made."""
    fell = trained(learner(family), loss, steps)
    assert fell.last < share * fell.first


def test_a_gans_faces_come_nearer_to_the_real_ones():
    """A generator alone against a discriminator that learns with it: its mean colour moves from grey to the blobs'."""
    made = learner("gan")
    batch = Batch.drawn(blobs(), 8, np.random.default_rng(1), "cpu")
    target = float(batch.images.mean())
    before = abs(float(made.sampler().sample(*arguments()).mean()) / 127.5 - 1 - target)
    for step in range(60):
        made.step(batch, step, np.random.default_rng([2, step]))
    after = abs(float(made.sampler().sample(*arguments()).mean()) / 127.5 - 1 - target)
    assert after < before / 2


def test_the_same_seeds_make_the_same_pixels_alone_and_in_company(family: str):
    sampler = learner(family).sampler()
    seeds, identities, nought = arguments()
    together = sampler.sample(seeds, identities, nought)
    assert together.shape == (3, 64, 64, 3)
    assert together.dtype == np.uint8
    assert sampler.conditioning_length == 128
    for row in seeds:
        alone = sampler.sample([row], identities[row : row + 1], nought[:1])[0]
        assert np.abs(alone.astype(int) - together[row]).max() <= 1


def test_the_same_plan_learns_the_same(family: str):
    batch = Batch.drawn(blobs(), 8, np.random.default_rng(1), "cpu")
    made = []
    for _ in range(2):
        one = learner(family)
        for step in range(2):
            one.step(batch, step, np.random.default_rng(step))
        made.append(one.sampler().sample(*arguments()))
    np.testing.assert_array_equal(*made)


@pytest.mark.parametrize("family", ["gan", "encoder_decoder"])
def test_seed_identity_and_strength_each_change_the_face(family: str):
    sampler = learner(family).sampler()
    (one, other), nought = blobs().centroids[:2, None], np.zeros(1, dtype=np.float32)
    base = sampler.sample([1], one, nought).astype(int)
    for changed in ([2], one, nought), ([1], other, nought), ([1], one, nought + 0.9):
        assert np.abs(sampler.sample(*changed).astype(int) - base).max() > 0


def test_a_family_is_loaded_from_all_of_its_tensors_and_no_others(family: str):
    made = learner(family)
    tensors = weights_of(made.modules["average"])
    loaded = FAMILIES[family].load(CONFIGS[family], tensors, "cpu")
    difference = loaded.sample(*arguments()).astype(int) - made.sampler().sample(*arguments())
    assert np.abs(difference).max() <= 1  # the memory's layout differs, and with it the last bit
    first = next(iter(tensors))
    for wrong in (
        {name: tensor for name, tensor in tensors.items() if name != first},
        tensors | {"stranger": torch.zeros(1)},
    ):
        with pytest.raises(RuntimeError, match="key"):
            FAMILIES[family].load(CONFIGS[family], wrong, "cpu")


def test_a_gan_that_begins_as_an_encoder_decoder_makes_its_faces():
    network = taught()
    generator = Generator(CONFIGS["gan"]).eval()
    generator.begin_as(network)
    z, identity = torch.randn(4, 64), torch.from_numpy(blobs().centroids[:4])
    with torch.no_grad():
        torch.testing.assert_close(
            generator(z, identity), network.decode(network.likely(z), identity), atol=1e-4, rtol=1e-4
        )


def test_latents_without_a_frame_are_distributed_as_those_of_the_frames():
    network = taught()
    drawn = network.likely(torch.randn(20_000, network.values)).flatten(1)
    assert float((drawn.mean(dim=0) - network.latent_mean).abs().max()) < 0.1
    second = drawn.T @ drawn / len(drawn)
    assert float((second - network.latent_second).abs().max()) < 0.3


def test_latents_can_be_read_out_interpolated_and_decoded():
    sampler = EncoderDecoderSampler(taught())
    known = blobs()
    latents = sampler.encode(known.pixels[:2])
    assert latents.shape == (2, 4, 4, 4)
    halfway = sampler.decode(latents.mean(axis=0, keepdims=True), known.centroids[:1])
    assert halfway.shape == (1, 64, 64, 3)
    seeds, nought = [0, 1], np.zeros(2, dtype=np.float32)
    np.testing.assert_array_equal(
        sampler.decode(latents, known.centroids[:2]),
        sampler.sample(seeds, known.centroids[:2], nought, known.pixels[:2]),
    )


def test_a_frame_decides_what_a_seed_would_decide_without_one():
    sampler = EncoderDecoderSampler(taught())
    known, nought = blobs(), np.zeros(1, dtype=np.float32)
    framed = [sampler.sample([seed], known.centroids[:1], nought, known.pixels[:1]) for seed in (1, 2)]
    np.testing.assert_array_equal(*framed)
    assert np.abs(framed[0].astype(int) - sampler.sample([1], known.centroids[:1], nought)).max() > 0


# Data


def test_nobody_is_both_learned_from_and_kept_out():
    known = blobs(people=60)
    learned, kept_out = known.split()
    assert set(learned.names) | set(kept_out.names) == set(known.names)
    assert not set(learned.names) & set(kept_out.names)
    assert len(learned) + len(kept_out) == len(known)
    for part in (learned, kept_out):
        whose = part.names[part.identities[0]]
        index = int(np.flatnonzero(known.names == whose)[0])
        np.testing.assert_array_equal(part.pixels[0], known.pixels[known.identities == index][0])
        np.testing.assert_array_equal(part.centroids[part.identities[0]], known.centroids[index])


def test_a_mirrored_face_keeps_its_identity_and_its_box_goes_with_it():
    known = blobs(people=1, each=1)
    known.boxes[0] = [4, 8, 50, 60]
    batch = Batch.drawn(known, 64, np.random.default_rng(0), "cpu")
    mirrored = batch.boxes[:, 0] != 4
    assert 10 < int(mirrored.sum()) < 54
    assert batch.boxes[mirrored][0].tolist() == [14, 8, 60, 60]
    torch.testing.assert_close(batch.images[mirrored][0].flip(2), batch.images[~mirrored][0])
    torch.testing.assert_close(batch.identity[mirrored][0], batch.identity[~mirrored][0])


def test_the_digest_of_the_data_sees_every_pixel():
    one, other = blobs(), blobs()
    assert one.sha256 == other.sha256
    other.pixels[3, 5, 7, 1] ^= 1
    assert one.sha256 != other.sha256


# Copies of training images


def textures(count: int, seed: int) -> Pixels:
    draw = np.random.default_rng(seed)
    coarse = draw.integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)
    return coarse.repeat(4, axis=1).repeat(4, axis=2)


def test_the_copy_rate_counts_training_images_and_their_mirror_images_brightened_or_not():
    learned, strangers = textures(20, seed=1), textures(5, seed=2)
    brightened = (learned[:2] // 2 + 90).astype(np.uint8)
    mirrored = learned[2:5, :, ::-1]

    assert copy_rate(np.concatenate([brightened, mirrored, strangers]), learned) == 0.5
    assert copy_rate(strangers, learned) == 0
