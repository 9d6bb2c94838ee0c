"""The metrics against independent libraries' figures, closed forms and laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.metrics.distances import frechet, kid, mmd2
from streams.core.metrics.diversity import mean_similarity, vendi
from streams.core.metrics.identification import identification
from streams.core.metrics.manifold import manifold
from streams.core.metrics.sketch import Floats, Sketch

_RANDOM = np.random.RandomState(0)
REAL: Floats = _RANDOM.randn(500, 16)
FAKE: Floats = _RANDOM.randn(500, 16) * 0.8 + 0.3


def unit(rows: Floats) -> Floats:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


# Golden values: torch-fidelity 0.4.0, torchmetrics 1.9.0 and NumPy (Fréchet), torch-fidelity (KID, precision, recall),
# prdc (density, coverage); Vendi by the eigenvalues of K itself, n x n.


def test_the_frechet_distance_is_that_of_torch_fidelity():
    assert frechet(Sketch.of(REAL), Sketch.of(FAKE)) == pytest.approx(2.383197909842, abs=1e-10)


def test_the_kernel_distance_is_that_of_torch_fidelity():
    assert kid(REAL, FAKE) == pytest.approx(0.333076419695, abs=1e-11)


def test_mmd2_is_that_of_the_kernel_summed_over_all_pairs():
    a, b = unit(REAL), unit(FAKE)
    assert mmd2(Sketch.of(a), Sketch.of(b)) == pytest.approx(0.272509035, abs=1e-8)
    within = [((x @ x.T + 1) ** 2)[~np.eye(len(x), dtype=bool)].mean() for x in (a, b)]
    assert mmd2(Sketch.of(a), Sketch.of(b)) == pytest.approx(sum(within) - 2 * ((a @ b.T + 1) ** 2).mean(), abs=1e-10)


def test_precision_and_recall_are_those_of_torch_fidelity():
    found = manifold(REAL, FAKE, k=3)
    assert (found.precision, found.recall) == (0.946, 0.338)
    assert (found.density, found.coverage) == (pytest.approx(1.9626667, abs=1e-6), pytest.approx(0.832))


def test_density_and_coverage_are_those_of_prdc():
    found = manifold(REAL, FAKE, k=5)
    assert (found.precision, found.recall) == (0.982, 0.438)
    assert (found.density, found.coverage) == (pytest.approx(1.9752), pytest.approx(0.922))


def test_the_vendi_score_is_that_of_all_cosines():
    assert vendi(Sketch.of(unit(FAKE))) == pytest.approx(14.771509174, abs=1e-8)
    assert vendi(Sketch.of(unit(REAL))) == pytest.approx(15.765377449515, abs=1e-8)


# Closed forms


def test_a_shift_of_the_mean_alone_is_its_square_in_frechet_distance():
    assert frechet(Sketch.of(REAL), Sketch.of(REAL + 0.5)) == pytest.approx(16 * 0.25, abs=1e-9)


def test_a_scale_alone_is_the_trace_times_its_square_in_frechet_distance():
    """FD(N(0, C), N(0, s^2 C)) = (1 - s)^2 tr C."""
    centred = REAL - REAL.mean(axis=0)
    expected = 0.25 * np.trace(Sketch.of(centred).covariance)
    assert frechet(Sketch.of(centred), Sketch.of(centred / 2)) == pytest.approx(expected, abs=1e-9)


def test_coverage_of_one_distribution_by_itself_is_what_combinatorics_says():
    """1 - prod_{i=1..k} (N - i) / (N + M - i): 0.96992 for N = M = 200, k = 5; 20 err by 0.0014."""
    draw = np.random.default_rng(5)
    found = [manifold(draw.standard_normal((200, 8)), draw.standard_normal((200, 8))).coverage for _ in range(20)]
    assert float(np.mean(found)) == pytest.approx(0.96992, abs=0.01)


@pytest.mark.parametrize(("rows", "expected"), [(np.eye(8), 8), (np.eye(8)[[3] * 5], 1), (np.eye(8)[[0, 0, 1, 1]], 2)])
def test_vendi_counts_how_many_differ(rows: Floats, expected: int):
    assert vendi(Sketch.of(rows)) == pytest.approx(expected)


# Laws


@given(st.lists(st.integers(1, 499), max_size=4), st.randoms(use_true_random=False))
def test_a_sketch_of_parts_in_any_order_is_the_sketch_of_the_whole(cuts: list[int], random: object):
    parts = [Sketch.of(part) for part in np.split(REAL, sorted(cuts))]
    random.shuffle(parts)  # type: ignore[attr-defined]
    merged = parts[0]
    for part in parts[1:]:
        merged = merged.merged(part)
    whole = Sketch.of(REAL)
    assert merged.count == whole.count
    np.testing.assert_allclose(merged.second, whole.second, atol=1e-9)
    assert frechet(merged, Sketch.of(FAKE)) == pytest.approx(frechet(whole, Sketch.of(FAKE)), abs=1e-9)


def test_distances_of_a_set_to_itself_are_nought_and_symmetric():
    a, b = Sketch.of(unit(REAL)), Sketch.of(unit(FAKE))
    assert frechet(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet(a, b) == pytest.approx(frechet(b, a), abs=1e-9)
    assert mmd2(a, b) == pytest.approx(mmd2(b, a), abs=1e-12)
    assert abs(mmd2(a, a)) < 0.02  # unbiased: a little below nought, by what a row is nearer to itself than to others


def test_a_generator_that_ignores_its_target_is_no_nearer_to_it_than_to_others():
    centroids = unit(REAL)[:50]
    same = np.repeat(unit(FAKE)[:1], 50, axis=0)
    found = identification(same, range(50), centroids)
    assert found.mean_similarity == pytest.approx(found.shuffled_similarity)
    assert found.rank1 == pytest.approx(1 / 50)


def test_a_generator_that_shows_its_target_is_told_from_one_that_does_not():
    centroids = unit(REAL)[:50]
    found = identification(centroids, range(50), centroids)
    assert (found.mean_similarity, found.rank1) == (pytest.approx(1), 1.0)
    crossed = centroids @ centroids.T
    assert found.shuffled_similarity == pytest.approx(crossed[~np.eye(50, dtype=bool)].mean())


# What is refused


def test_what_cannot_be_measured_is_refused_with_what_was_expected():
    one = Sketch.of(unit(REAL)[:1])
    with pytest.raises(ValueError, match="at least 2 rows, got 1"):
        frechet(one, one)
    with pytest.raises(ValueError, match="at least 2 rows, got 1"):
        mmd2(one, one)
    with pytest.raises(ValueError, match="unit length"):
        mmd2(Sketch.of(REAL), Sketch.of(FAKE))
    with pytest.raises(ValueError, match="unit length"):
        vendi(Sketch.of(REAL))
    with pytest.raises(ValueError, match="more than k = 5 rows of each, got 5 and 500"):
        manifold(REAL[:5], FAKE)
    with pytest.raises(ValueError, match="finite"):
        Sketch.of(np.array([[1.0, np.nan]]))
    with pytest.raises(ValueError, match="two identities"):
        identification(REAL[:1], [0], REAL[:1])


def test_the_mean_similarity_is_that_of_all_pairs():
    rows = unit(REAL)
    pairs = (rows @ rows.T)[~np.eye(len(rows), dtype=bool)]
    assert mean_similarity(Sketch.of(rows)) == pytest.approx(pairs.mean(), abs=1e-12)
    with pytest.raises(ValueError, match="at least 2 rows"):
        mean_similarity(Sketch.of(rows[:1]))
