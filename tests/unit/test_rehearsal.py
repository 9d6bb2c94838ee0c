"""A run that breaks on purpose breaks by degrees, and the same way each time."""

from pathlib import Path

import numpy as np
import pytest

from generators.rehearsal import SOUND, Ailing, noises
from streams.errors import WeightsUnusable
from tests.blobs import blobs
from tests.tiny_gan import tiny_gan


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gan(tmp_path_factory.mktemp("gan"))


def drawn(generator: Ailing, noise: float):
    return generator.at(noise).sample([1, 2], blobs().centroids[:2], np.zeros(2, np.float32)).astype(int)


def test_noise_takes_the_samples_away_by_degrees_and_sound_weights_come_back(folder: Path):
    generator = Ailing(folder)
    sound = drawn(generator, 0.0)
    little, much = (np.abs(drawn(generator, noise) - sound).mean() for noise in (0.4, 2.0))
    assert 0 < little < much
    assert (drawn(generator, 0.0) == sound).all()


def test_the_same_run_breaks_the_same_way(folder: Path):
    assert (drawn(Ailing(folder), 0.8) == drawn(Ailing(folder), 0.8)).all()


def test_a_run_is_sound_at_first_and_worse_at_every_step_after():
    assert noises()[:SOUND] == [0.0] * SOUND
    growing = noises()[SOUND - 1 :]
    assert growing == sorted(set(growing))


def test_what_is_no_gan_is_refused(tmp_path: Path):
    with pytest.raises(WeightsUnusable, match="got none"):
        Ailing(tmp_path)
