"""Comparisons are those that the judge makes, with the probe left out of its own centroid."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.biometrics.comparisons import NOBODY, Comparisons, against_centroids, contradictions, of_pairs
from streams.core.biometrics.rates import eer, fmr_at
from streams.core.biometrics.resampling import intervals, resampled
from streams.core.similarity import centroid, similarity


def faces(people, each, seed=0, spread=0.5):
    random = np.random.default_rng(seed)
    subjects = np.repeat(np.arange(people), each)
    vectors = random.normal(size=(people, 8))[subjects] + spread * random.normal(size=(people * each, 8))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), subjects


@given(st.integers(2, 5), st.integers(2, 4), st.integers(0, 1000))
def test_scores_are_those_of_the_judge_with_the_probe_left_out(people, each, seed):
    embeddings, subjects = faces(people, each, seed)
    trial = against_centroids(embeddings, subjects, most_non_mated=10_000, seed=0)

    vectors = embeddings.astype(np.float32)
    for probe, own in enumerate(trial.own):
        rest = [vectors[k] for k in np.flatnonzero(subjects == subjects[probe]) if k != probe]
        assert own == pytest.approx(similarity(vectors[probe], centroid(rest)), abs=2e-4)
        others = {
            who: similarity(vectors[probe], centroid(list(vectors[subjects == who])))
            for who in range(people)
            if who != subjects[probe]
        }
        mine = trial.comparisons.non_mated[trial.non_mated_probes == probe]
        assert sorted(mine) == pytest.approx(sorted(others.values()), abs=2e-4)
        assert trial.near_similarities[probe, 0] == pytest.approx(max(others.values()), abs=2e-4)


def test_a_person_with_one_image_is_compared_with_others_alone():
    embeddings, subjects = faces(3, 2)
    trial = against_centroids(embeddings[:-1], subjects[:-1], most_non_mated=100, seed=0)
    assert trial.searched.tolist() == [True, True, True, True, False]
    assert (len(trial.comparisons.mated), len(trial.comparisons.non_mated)) == (4, 10)


def test_of_many_non_mated_comparisons_each_probe_keeps_as_many():
    embeddings, subjects = faces(30, 3)
    trial = against_centroids(embeddings, subjects, most_non_mated=450, seed=0)
    counts = np.bincount(trial.non_mated_probes)
    assert set(counts) == {5}
    pairs = trial.comparisons.non_mated_subjects
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert len({(probe, other) for probe, (_, other) in zip(trial.non_mated_probes, pairs, strict=True)}) == 450
    again = against_centroids(embeddings, subjects, most_non_mated=450, seed=0)
    np.testing.assert_array_equal(again.comparisons.non_mated, trial.comparisons.non_mated)


def test_one_person_is_too_few():
    with pytest.raises(ValueError, match="two people at least, got 1"):
        against_centroids(np.ones((3, 8)), np.zeros(3, int), most_non_mated=10, seed=0)


def test_files_of_mated_pairs_show_one_person_however_long_the_chain():
    files = [("a", "b"), ("b", "c"), ("x", "y"), ("a", "x"), ("c", "y")]
    mated = np.array([True, True, True, False, False])
    comparisons = of_pairs(np.array([0.9, 0.8, 0.7, 0.1, 0.2]), mated, files)

    first, second, third = comparisons.mated_subjects
    assert first == second != third
    assert comparisons.non_mated_subjects.tolist() == [[first, third], [first, third]]
    assert comparisons.subjects == 2
    assert len(contradictions(comparisons)) == 0


def test_labels_that_contradict_each_other_are_found():
    files = [("a", "b"), ("b", "c"), ("a", "c"), ("a", "z")]
    comparisons = of_pairs(np.zeros(4), np.array([True, True, False, False]), files)
    assert contradictions(comparisons).tolist() == [0]


def test_people_are_drawn_and_not_comparisons():
    """All errors are one person's: who draws people sees them all or not at all; who drew comparisons would not."""
    mated = np.tile([0.9] * 10, 10)
    mated[:10] = 0.1
    subjects = np.repeat(np.arange(10), 10)
    others = np.stack([np.arange(10), (np.arange(10) + 1) % 10], axis=1)
    comparisons = Comparisons(mated, subjects, np.full(10, 0.0), others)

    rates = {round(1 - reaching(curve), 3) for curve in resampled(comparisons, times=200, seed=0)}

    # A multiple of a tenth: how often the one person was drawn.
    assert rates <= {round(times / 10, 3) for times in range(11)}
    assert {0.0, 0.1, 0.2} <= rates
    low, high = intervals(comparisons, {"fnmr": lambda curve: 1 - reaching(curve)}, times=200, seed=0)["fnmr"]
    assert low == 0.0
    assert high >= 0.3


def reaching(curve):
    """The share of mated comparisons that reach 0.5."""
    return 1 - float(curve.fnmr[np.searchsorted(curve.thresholds, 0.5)])


def test_a_pair_counts_as_often_as_both_people_are_drawn():
    """Two people, so a draw has both once, or one twice: then no non-mated comparison is left and it is passed over."""
    comparisons = Comparisons(np.ones(2), np.array([0, 1]), np.zeros(1), np.array([[0, 1]]))
    drawn = list(resampled(comparisons, times=100, seed=0))
    assert 30 < len(drawn) < 70
    assert {fmr_at(curve, 0.5) for curve in drawn} == {0.0}


def test_whoever_is_compared_with_nobody_known_is_drawn_alone():
    random = np.random.default_rng(0)
    strangers = np.stack([np.arange(20), np.full(20, NOBODY)], axis=1)
    comparisons = Comparisons(random.normal(1, 1, 20), np.arange(20), random.normal(-1, 1, 20), strangers)
    assert comparisons.subjects == 20
    low, high = intervals(comparisons, {"eer": eer}, times=200, seed=0)["eer"]
    assert 0 <= low < high < 0.5


def test_the_same_seed_gives_the_same_interval():
    embeddings, subjects = faces(6, 3)
    comparisons = against_centroids(embeddings, subjects, most_non_mated=100, seed=0).comparisons
    once, twice = (intervals(comparisons, {"eer": eer}, times=50, seed=3) for _ in range(2))
    assert once == twice
