"""Error rates against their definitions, and figures read off them against another library."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from streams.core.biometrics.rates import (
    STEP,
    accuracy_best,
    auc,
    det,
    eer,
    fmr_at,
    fmr_for,
    fnmr_at,
    fpir,
    rates_at,
    rule_of_three,
    threshold_at_fmr,
    tmr_at_fmr,
)

#: Few different values, so that ties are common.
scores = st.lists(st.integers(-20, 20).map(lambda number: number / 20), min_size=1, max_size=40).map(np.array)
thresholds = st.integers(-22, 22).map(lambda number: number / 20)


def labelled(mated, non_mated):
    return np.repeat([1, 0], [len(mated), len(non_mated)]), np.concatenate([mated, non_mated])


@given(scores, scores, thresholds)
def test_the_rates_are_the_shares_that_their_definitions_say(mated, non_mated, threshold):
    fmr, fnmr = rates_at(det(mated, non_mated), threshold)

    assert fmr == pytest.approx((non_mated >= threshold).mean())
    assert fnmr == pytest.approx((mated < threshold).mean())


@given(scores, scores)
def test_fmr_falls_and_fnmr_rises_with_the_threshold(mated, non_mated):
    curve = det(mated, non_mated)

    assert (np.diff(curve.fmr) <= 0).all()
    assert (np.diff(curve.fnmr) >= 0).all()
    assert (curve.fmr[0], curve.fmr[-1], curve.fnmr[0], curve.fnmr[-1]) == (1, 0, 0, 1)


@given(scores, scores)
def test_the_area_is_the_one_that_scikit_learn_finds(mated, non_mated):
    assert auc(det(mated, non_mated)) == pytest.approx(roc_auc_score(*labelled(mated, non_mated)))


@given(scores, scores)
def test_the_equal_error_rate_lies_on_the_line_that_scikit_learn_draws(mated, non_mated):
    found = eer(det(mated, non_mated))
    fmr, tmr, _ = roc_curve(*labelled(mated, non_mated), drop_intermediate=False)

    # The line is one of straight pieces, along which the way from (0, 0) to (1, 1) grows: there FNMR - FMR falls.
    way = fmr + tmr
    crossing = np.interp(0, (fmr - (1 - tmr)), way)
    assert np.interp(crossing, way, fmr) == pytest.approx(found)
    assert np.interp(crossing, way, 1 - tmr) == pytest.approx(found)


@pytest.mark.parametrize(
    ("mated", "non_mated", "expected"),
    [
        ([0.9, 0.8], [0.1, 0.2], 0.0),  # they do not overlap
        ([0.1, 0.2], [0.9, 0.8], 1.0),  # the wrong way round
        ([0.5], [0.5], 0.5),  # no information
        ([0.9, 0.8, 0.7, 0.1], [0.0, 0.2, 0.3, 0.75], 0.25),  # one of four on either side
    ],
)
def test_the_equal_error_rate_of_cases_that_can_be_counted(mated, non_mated, expected):
    assert eer(det(np.array(mated), np.array(non_mated))) == pytest.approx(expected)


@given(scores, scores, st.floats(0, 0.99))
def test_the_threshold_of_an_fmr_is_the_smallest_that_keeps_it(mated, non_mated, fmr):
    curve = det(mated, non_mated)
    threshold = threshold_at_fmr(curve, fmr)

    assert fmr_at(curve, threshold) <= fmr
    assert fmr_at(curve, threshold - STEP) > fmr
    assert tmr_at_fmr(curve, fmr) == pytest.approx(1 - fnmr_at(curve, threshold))


@given(scores, scores, st.integers(0, 5), st.integers(0, 5))
def test_the_best_accuracy_is_that_of_the_best_limit_with_failures_as_non_matches(mated, non_mated, lost, spared):
    total = len(mated) + len(non_mated) + lost + spared
    best, threshold = accuracy_best(det(mated, non_mated), len(mated) / total, len(non_mated) / total, spared / total)
    # A failure to acquire matches nowhere: wrong of a mated pair (lost), right of a non-mated one (spared).
    tried = [((mated >= at).sum() + (non_mated < at).sum() + spared) / total for at in np.arange(-1.1, 1.11, 0.025)]

    assert best == pytest.approx(max(tried))
    assert ((mated >= threshold).sum() + (non_mated < threshold).sum() + spared) / total == pytest.approx(best)


@pytest.mark.parametrize(("fmr", "gallery", "expected"), [(0.001, 1000, 0.632), (1e-5, 1000, 0.00995), (0.5, 1, 0.5)])
def test_a_search_of_many_finds_a_stranger_more_often_than_one_comparison(fmr, gallery, expected):
    assert fpir(fmr, gallery) == pytest.approx(1 - (1 - fmr) ** gallery)
    assert fpir(fmr, gallery) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(("gallery", "expected"), [(10, 1.0e-3), (100, 1.0e-4), (1000, 1.0e-5)])
def test_the_fmr_for_one_per_cent_false_searches(gallery, expected):
    assert fmr_for(0.01, gallery) == pytest.approx(expected, rel=0.01)


@given(st.floats(1e-9, 0.9), st.integers(1, 100_000))
def test_the_two_rates_of_a_search_are_inverses(wanted, gallery):
    assert fpir(fmr_for(wanted, gallery), gallery) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize(("comparisons", "bound"), [(300, 0.0099), (1000, 0.0030)])
def test_no_error_in_n_comparisons_shows_no_less_than_three_by_n(comparisons, bound):
    assert rule_of_three(comparisons) == pytest.approx(bound, abs=1e-4)
    assert (1 - rule_of_three(comparisons)) ** comparisons == pytest.approx(0.05)


def test_nothing_can_be_said_of_one_kind_alone():
    with pytest.raises(ValueError, match="3 and 0: two people at least"):
        det(np.zeros(3), np.array([]))
