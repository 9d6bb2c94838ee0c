"""A run that breaks on purpose breaks by degrees, and the same way each time."""

import numpy as np
import numpy.typing as npt
import pytest

from generators.rehearsal import SOUND, Ailing, noises
from tests.tiny_dcgan import tiny_dcgan

ANCHORS = np.random.default_rng(0).standard_normal((2, 100)).astype(np.float32)


@pytest.fixture
def generator() -> Ailing:
    return Ailing(tiny_dcgan())


def drawn(generator: Ailing, noise: float) -> npt.NDArray[np.int64]:
    return generator.at(noise).sample([1, 2], ANCHORS, np.zeros(2, np.float32)).astype(np.int64)


def test_noise_takes_the_samples_away_by_degrees_and_sound_weights_come_back(generator: Ailing):
    sound = drawn(generator, 0.0)
    little, much = (np.abs(drawn(generator, noise) - sound).mean() for noise in (0.1, 1.0))
    assert 0 < little < much
    assert (drawn(generator, 0.0) == sound).all()


def test_the_same_run_breaks_the_same_way(generator: Ailing):
    assert (drawn(Ailing(tiny_dcgan()), 0.3) == drawn(generator, 0.3)).all()


def test_a_run_is_sound_at_first_and_worse_at_every_step_after():
    assert noises()[:SOUND] == [0.0] * SOUND
    growing = noises()[SOUND - 1 :]
    assert growing == sorted(set(growing))
