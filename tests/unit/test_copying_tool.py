"""Whether a generator copies: its images, and others that it did not learn from, against those that it did."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from streams.core.metrics.copying import copying_z
from streams.errors import BadInput
from streams.ports import Services
from streams.testing.images import picture, png
from streams.tools.copying import Copying, measure_copying
from streams.tools.originals import index_training, training_images
from streams.tools.rates.reports import copying_html


def folder_of(folder: Path, name: str, vectors: np.ndarray) -> list[Path]:
    home = folder / name
    home.mkdir()
    for number, vector in enumerate(vectors):
        (home / f"{number:02d}.png").write_bytes(png(picture(list(vector))))
    return sorted(home.iterdir())


async def measured(services: Services, generated: list[Path], held_out: list[Path]) -> Copying:
    return await measure_copying(generated, held_out, services.examiner, services.imprinter, services.originals)


@pytest.fixture
async def learned(services: Services, tmp_path: Path) -> np.ndarray:
    """What the generator learned from: a few images, registered."""
    vectors = np.random.default_rng(0).normal(size=(12, 8))
    folder_of(tmp_path, "training", vectors)
    images = training_images(tmp_path / "training")
    await index_training(images, services.imprinter, services.originals)
    return vectors


async def test_a_copier_is_found_out_and_an_honest_generator_is_not(services, learned, tmp_path):
    random = np.random.default_rng(1)
    held_out = folder_of(tmp_path, "held-out", random.normal(size=(20, 8)))
    honest = folder_of(tmp_path, "honest", random.normal(size=(20, 8)))
    copies = folder_of(tmp_path, "copies", learned + 0.02 * random.normal(size=learned.shape))

    copier, other = await measured(services, copies, held_out), await measured(services, honest, held_out)

    assert copier.z < -3
    assert abs(other.z) < 3
    assert (copier.training_images, copier.generated, copier.held_out, copier.left_out) == (12, 12, 20, {})
    assert copier.generated_median < copier.held_out_median == other.held_out_median


async def test_the_figure_is_that_of_the_distances_in_bits(services, learned, tmp_path):
    copies = folder_of(tmp_path, "copies", learned[:3])
    held_out = folder_of(tmp_path, "held-out", -learned[:2])
    said = await measured(services, copies, held_out)
    assert said.generated_median == 0
    assert "distances" not in said.as_dict()
    assert said.z == pytest.approx(copying_z(np.zeros(3), np.array([said.held_out_median, 1e3])), abs=1e-3)


async def test_what_cannot_be_compared_is_told_and_left_out(services, learned, tmp_path):
    good = folder_of(tmp_path, "good", learned[:2])
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    said = await measured(services, [*good, broken, tmp_path / "gone.png"], good)
    assert (said.generated, set(said.left_out)) == (2, {str(broken), str(tmp_path / "gone.png")})
    with pytest.raises(BadInput, match="got 0 and 2"):
        await measured(services, [broken], good)


async def test_without_registered_training_images_nothing_can_be_said(services, tmp_path):
    with pytest.raises(BadInput, match="index-training"):
        await measured(services, [], [])


async def test_the_page_names_the_nearest_generated_images_and_the_training_files_beside_them(
    services, learned, tmp_path
):
    random = np.random.default_rng(1)
    copies = folder_of(tmp_path, "<copies>", np.concatenate([learned[:8], random.normal(size=(3, 8))]))
    held_out = folder_of(tmp_path, "held-out", random.normal(size=(20, 8)))
    said = await measured(services, copies, [*held_out, tmp_path / "gone.png"])

    assert [one.distance for one in said.nearest[:8]] == [0] * 8
    assert {one.path for one in said.nearest[:8]} == {str(path) for path in copies[:8]}
    training = tmp_path / "training" / Path(said.nearest[0].path).name
    assert said.nearest[0].training_sha256 == hashlib.sha256(training.read_bytes()).hexdigest()
    page = copying_html(said, services.imprinter.descriptor, datetime(2026, 1, 31, tzinfo=UTC))
    assert "the generator copies" in page
    assert said.nearest[0].training_sha256 in page
    assert "gone.png" in page
    assert "<copies>" not in page
    assert page.count("<svg") == 1
