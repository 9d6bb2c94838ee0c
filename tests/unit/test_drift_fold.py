"""From verdicts to charts: what counts, how windows are joined and weighed, and when an alert stands."""

import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.drift.book import Page, Turned, turn
from streams.core.drift.calibration import FEWEST_IN_WINDOW, PART_OF_CALIBRATION, Calibration, joined
from streams.core.drift.chart import NO_FACE, Chart, Kind, Observation, closed_before, observe
from streams.core.drift.fold import Control, fold
from streams.core.drift.notices import Notice
from streams.core.drift.plan import Plan
from streams.core.drift.whitening import Whitening
from streams.core.similarity import unit
from streams.events import ReasonCode
from streams.testing.verdicts import judged

PLAN = Plan(window_seconds=60, lateness_seconds=10, calibration=50, charts=1, windows_between_false_alarms=100)
CHART = Chart(Kind.IDENTITY, "m", "1", "anna", basis="plan space")
NEW_VERSION = replace(CHART, version="2")


def observation(window: int, number: int, score: int | None, chart: Chart = CHART, **fields: Any) -> Observation:
    sample_id = f"{window:016x}{number:016x}"
    return replace(Observation(chart, window, sample_id, window, "anna", score, 2000, ()), **fields)


def normal(windows: range, *, mean: float = 0.0, chart: Chart = CHART, each: int = 5) -> list[Observation]:
    """Return windows of similarities around 0.7 with a standard deviation of 0.05."""
    rng = np.random.default_rng([windows.start, windows.stop])
    return [
        observation(window, number, round(7000 + 500 * (mean + rng.normal())), chart)
        for window in windows
        for number in range(each)
    ]


def page(observations: list[Observation], **fields: Any) -> Page:
    newest = max(one.window for one in observations) + 1
    return replace(Page(CHART.scope, Kind.IDENTITY, 1, newest, -1, None, observations=tuple(observations)), **fields)


def turned(observations: list[Observation], **fields: Any) -> Turned:
    return turn(page(observations, **fields), PLAN, {}, {})


def told(result: Turned) -> list[dict[str, Any]]:
    return [json.loads(notice.body) for notice in result.notices]


# -- what a verdict says -----------------------------------------------------------------------------------------------


def test_a_generated_sample_belongs_to_the_charts_of_its_identity_and_of_its_model():
    at = datetime(2030, 1, 1, 0, 1, 30, tzinfo=UTC)
    identity, model = observe(judged(similarity=0.7, margin=0.1, judged_at=at), window_seconds=60, plan="p")
    assert (identity.chart.kind, model.chart.kind) == (Kind.IDENTITY, Kind.MODEL)
    assert (identity.chart.version, identity.chart.identity, model.chart.identity) == ("1", "anna", "")
    assert (identity.score, identity.margin) == (7000, 1000)
    assert identity.window == model.window == int(at.timestamp()) // 60


def test_a_training_sample_belongs_to_its_run_and_its_step_is_the_window():
    (one,) = observe(judged(kind="training", source="run-7", step=300, similarity=0.5), window_seconds=60, plan="p")
    assert (one.chart.kind, one.chart.run, one.window) == (Kind.RUN, "run-7", 300)


def test_a_sample_without_a_face_is_less_similar_than_any():
    no_face = judged(faces=0, similarity=None, reasons=[ReasonCode.NO_FACE])
    assert [one.score for one in observe(no_face, window_seconds=60, plan="p")] == [NO_FACE, NO_FACE]
    assert NO_FACE < -10_000


@pytest.mark.parametrize("code", [ReasonCode.NO_CONSENT, ReasonCode.NO_REFERENCE])
def test_what_was_never_made_or_has_nothing_to_be_compared_with_is_nobodys_drift(code):
    nobodys = judged(faces=0, similarity=None, reasons=[code])
    assert observe(nobodys, window_seconds=60, plan="p") == ()
    (of_a_step,) = observe(nobodys.model_copy(update={"kind": "training"}), window_seconds=60, plan="p")
    assert of_a_step.score is None


def test_similarities_of_another_embedding_space_or_plan_are_charted_apart():
    here, there = judged(similarity=0.7), judged(similarity=0.7, embedding_space="other/0")
    keys = {observe(one, window_seconds=60, plan=plan)[0].chart.key for one in (here, there) for plan in ("p", "q")}
    assert len(keys) == 4


@given(st.lists(st.text(max_size=8), min_size=4, max_size=4), st.lists(st.text(max_size=8), min_size=4, max_size=4))
def test_no_two_charts_have_one_key(some, others):
    one, other = Chart(Kind.IDENTITY, *some), Chart(Kind.IDENTITY, *others)
    assert (one.key == other.key) == (some == others)
    assert Chart.of(one.key) == one


@pytest.mark.parametrize(("seconds", "first_open"), [(69, 0), (70, 1), (71, 1), (129, 1), (130, 2)])
def test_a_window_is_closed_once_the_stream_is_past_its_end_by_the_allowed_lateness(seconds, first_open):
    newest = seconds * 1_000_000
    assert closed_before(Kind.MODEL, newest, window_seconds=60, lateness_seconds=10) == first_open


# -- normal scores and windows -----------------------------------------------------------------------------------------


def test_a_normal_score_is_the_normal_quantile_of_the_rank():
    calibration = Calibration.of([observation(0, number, number) for number in range(99)], through=0)
    scores = [calibration.normal_score(observation(1, 0, score)) for score in (-5, 49, 500)]
    # u = (49 below + 1/2 of one equal + 1/2) / 100 = 1/2 in the middle, 1/200 and 199/200 at the ends
    assert scores == pytest.approx([-2.5758, 0, 2.5758], abs=1e-4)


def test_an_identity_with_few_scores_is_compared_with_all_such_identities():
    known = [observation(0, n, 9000 + n) for n in range(20)]
    few = [observation(0, 100 + n, 1000 + n, identity=f"rare-{n}") for n in range(9)]
    calibration = Calibration.of(known + few, through=0)
    assert {name: len(scores) for name, scores in calibration.strata.items()} == {"": 9, "anna": 20}
    assert calibration.normal_score(observation(1, 0, 1004, identity="somebody new")) == pytest.approx(0)
    assert Calibration.of(known, through=0).normal_score(observation(1, 0, 9000, identity="somebody new")) is None


def test_a_window_weighs_no_more_than_a_part_of_the_calibration_that_stands_behind_it():
    scores = [observation(0, n, n, identity="anna" if n < 100 else "bert") for n in range(200)]
    calibration = Calibration.of(scores, through=0)
    assert calibration.behind({"anna": 30}) == pytest.approx(100)
    assert calibration.behind({"anna": 30, "bert": 30}) == pytest.approx(200)
    low = [observation(1, n, -1) for n in range(40)]
    z = calibration.normal_score(low[0])
    assert z is not None
    assert calibration.window(low).value == pytest.approx(z * math.sqrt(100 / PART_OF_CALIBRATION))
    assert calibration.window(low[:2]).value == pytest.approx(z * math.sqrt(2))


def test_windows_that_vary_more_than_their_samples_explain_count_for_less():
    rng = np.random.default_rng(4)
    scores = [
        observation(window, n, round(7000 + 300 * effect + 300 * rng.normal()))
        for window, effect in enumerate(rng.normal(size=40))
        for n in range(5)
    ]
    # The mean of five that share an effect as large as their own varies by 1/2 + 1/10 of their variance, not by 1/5.
    assert Calibration.of(scores, through=39).spread == pytest.approx(math.sqrt(3), rel=0.25)
    assert Calibration.of(normal(range(40)), through=39).spread == 1


def test_windows_with_few_samples_are_joined_to_the_next():
    sizes = (2, 2, 1, 7, 3)
    scores = [observation(window, n, 1) for window, size in enumerate(sizes) for n in range(size)]
    groups, left = joined(scores)
    assert [(one[0].window, one[-1].window, len(one)) for one in groups] == [(0, 2, 5), (3, 3, 7)]
    assert [one.window for one in left] == [4] * 3
    assert all(len(one) >= FEWEST_IN_WINDOW for one in groups)


# -- charts and alerts -------------------------------------------------------------------------------------------------


def test_a_fall_is_raised_with_when_it_began_and_the_samples_that_moved_it_most():
    result = turned(normal(range(40)) + normal(range(40, 60), mean=-2))
    (raised,) = told(result)
    assert (raised["change"], raised["active"], raised["statistic"]) == ("raised", True, "fall")
    assert raised["since"] == "1970-01-01T00:40:00Z"
    assert raised["value"] > raised["limit"] == PLAN.cusum_limit
    moved = [one["by"] for one in raised["moved_by"]]
    assert moved == sorted(moved, reverse=True)
    assert min(moved) > 1


def test_a_rise_is_told_too_for_whoever_copies_gets_more_similar():
    (raised,) = told(turned(normal(range(40)) + normal(range(40, 60), mean=2)))
    assert (raised["change"], raised["statistic"]) == ("raised", "rise")


def test_an_alert_is_cleared_once_the_chart_is_back_at_nothing():
    after = normal(range(40)) + normal(range(40, 60), mean=-2) + normal(range(60, 130))
    raised, cleared = told(turned(after))
    assert (raised["change"], cleared["change"]) == ("raised", "cleared")
    assert (cleared["active"], cleared["alert_id"], cleared["revision"]) == (False, raised["alert_id"], 2)
    assert cleared["since"] == raised["since"]
    assert cleared["cleared"] > raised["raised"]


def test_nothing_is_said_twice():
    scores = normal(range(40)) + normal(range(40, 60), mean=-2)
    first = turned(scores)
    assert turned(scores, notices=first.notices).notices == ()


def test_a_late_sample_that_takes_an_alert_away_says_so():
    scores = normal(range(40)) + normal(range(40, 60), mean=-2)
    said = turned(scores).notices
    late = [observation(window, 100 + n, 7625) for window in range(40, 60) for n in range(8)]
    (revised,) = told(turned(scores + late, notices=said))
    assert (revised["change"], revised["active"], revised["revision"]) == ("revised", False, 2)


def test_a_late_sample_that_changes_the_story_of_an_alert_is_a_revision():
    scores = normal(range(40)) + normal(range(40, 60), mean=-2)
    said = turned(scores).notices
    (raised,) = told(turned(scores))
    window = next(one.window for one in scores if one.sample_id == raised["moved_by"][0]["sample_id"])
    (revised,) = told(turned([*scores, observation(window, 100, 1000)], notices=said))
    assert (revised["change"], revised["active"], revised["revision"]) == ("revised", True, 2)
    assert revised["samples"] == raised["samples"] + (window == 40) or revised["value"] != raised["value"]


def test_a_new_model_version_is_held_to_the_calibration_of_the_one_before_and_begins_halfway_to_its_limit():
    old, new = normal(range(30)), normal(range(30, 60), mean=-1.2, chart=NEW_VERSION)
    calibration = turned(old).calibration
    assert calibration is not None
    control = Control(PLAN, calibration)
    ahead = fold(NEW_VERSION, new, None, control)
    level = fold(NEW_VERSION, new, None, Control(PLAN, replace(calibration, charts=(NEW_VERSION.key,))))
    assert ahead.points[0].standings["fall"].value > PLAN.cusum_limit / 2
    assert level.points[0].standings["fall"].value < PLAN.cusum_limit / 2
    assert ahead.alerts[0].raised < level.alerts[0].raised


def test_a_fold_that_goes_on_from_any_point_comes_to_the_same_as_one_from_the_beginning():
    scores = normal(range(40)) + normal(range(40, 60), mean=-2) + normal(range(60, 100))
    whole = turned(scores)
    assert whole.calibration is not None
    all_points = whole.points[CHART.key]
    control = Control(PLAN, whole.calibration)
    for before in all_points[:-1]:
        later = [one for one in scores if one.window > before.window]
        rest = fold(CHART, later, before, control)
        assert rest.points == tuple(each for each in all_points if each.window > before.window)


@given(st.randoms(use_true_random=False))
def test_the_order_of_the_samples_makes_no_difference(random):
    scores = normal(range(25)) + normal(range(25, 35), mean=-2)
    straight = turned(scores)
    shuffled = list(scores)
    random.shuffle(shuffled)
    again = turned(shuffled)
    assert (again.calibration, again.points, again.notices) == (
        straight.calibration,
        straight.points,
        straight.notices,
    )


def test_an_alert_that_stood_before_is_cleared_in_the_name_under_which_it_was_raised():
    scores = normal(range(40)) + normal(range(40, 60), mean=-2)
    first = turned(scores)
    assert first.calibration is not None
    before = first.points[CHART.key][-1]
    later = normal(range(60, 140))
    second = turned(later, begin=60, calibration=first.calibration, before={CHART.key: before}, notices=first.notices)
    (cleared,) = told(second)
    assert (cleared["change"], cleared["alert_id"]) == ("cleared", told(first)[0]["alert_id"])


def test_an_alert_stands_while_there_is_nothing_new_to_say():
    scores = normal(range(40)) + normal(range(40, 60), mean=-2)
    first = turned(scores)
    before = {CHART.key: first.points[CHART.key][-1]}
    few = [observation(60, 0, 6000)]  # too few for a window of their own
    second = turned(few, begin=60, calibration=first.calibration, before=before, notices=first.notices)
    assert (second.points[CHART.key], second.notices) == ((), ())


def test_an_alert_that_was_over_and_has_lost_its_samples_support_is_void():
    said = turned(normal(range(40)) + normal(range(40, 60), mean=-2) + normal(range(60, 130))).notices
    assert [one["change"] for one in told(turned(normal(range(130)), notices=said[1:]))] == ["revised"]


def around(direction: int, scores: list[Observation]) -> dict[str, np.ndarray]:
    """Return an embedding near one axis for each sample."""
    rng = np.random.default_rng(direction)
    return {one.sample_id: unit((np.eye(8)[direction] + 0.2 * rng.normal(size=8)).astype(np.float32)) for one in scores}


def test_faces_that_move_where_similarity_does_not_see_it_are_a_shift():
    chart = Chart(Kind.MODEL, "m", basis="plan space")
    before, after = normal(range(60), chart=chart), normal(range(60, 90), chart=chart)
    held = replace(page(before + after), scope=chart.scope, kind=Kind.MODEL)
    assert told(turn(held, PLAN, around(0, before + after), {})) == []
    (raised,) = told(turn(held, PLAN, around(0, before) | around(1, after), {}))
    assert (raised["statistic"], raised["kind"], raised["change"]) == ("shift", "model", "raised")
    assert raised["since"] in ("1970-01-01T01:00:00Z", "1970-01-01T01:01:00Z")


def test_embeddings_in_control_are_whitened_to_independent_values_of_variance_one():
    rng = np.random.default_rng(6)
    mix = rng.normal(size=(8, 8))
    scores = normal(range(600), each=5)
    embeddings = {one.sample_id: (mix @ rng.normal(size=8)).astype(np.float32) for one in scores}
    calibration = Calibration.of(scores[:1500], through=299)
    whitening = Whitening.of(scores[:1500], embeddings, calibration)
    assert whitening is not None
    assert whitening.dimensions == 8
    fresh = [
        whitening.window(scores[begin : begin + 5], embeddings, calibration) for begin in range(1500, len(scores), 5)
    ]
    covariance = np.cov(np.array(fresh).T)
    # 300 windows: a variance is known to 8 %, and the calibration's own error adds some.
    np.testing.assert_allclose(covariance, np.eye(8), atol=0.35)


def test_without_enough_embeddings_nothing_is_whitened():
    scores = normal(range(20))
    calibration = Calibration.of(scores, through=19)
    assert Whitening.of(scores, {}, calibration) is None
    assert Whitening.of(scores, around(0, scores[:10]), calibration) is None


def test_a_notice_is_the_same_record_whenever_it_is_published():
    (notice,) = turned(normal(range(40)) + normal(range(40, 60), mean=-2)).notices
    at = datetime(2030, 1, 1, tzinfo=UTC)
    assert isinstance(notice, Notice)
    assert notice.record(at) == notice.record(at)
    record = notice.record(at + timedelta(hours=1))
    assert (record.topic, record.key, record.value) == ("drift.alerts", notice.subject.encode(), notice.body.encode())
    assert dict(record.headers)["ce_id"] == f"{notice.subject}-1".encode()


def test_skewed_similarities_do_not_speak_more_often_than_normal_ones():
    """On the raw similarities of this law the same chart speaks twice too often."""
    rng, runs = np.random.default_rng(5), []
    for _ in range(20):  # each calibration has an error of its own
        known = rng.beta(12, 1.5, 1000)
        calibration = Calibration.of([observation(0, n, round(1e6 * one)) for n, one in enumerate(known)], through=0)
        fresh = rng.beta(12, 1.5, 5000)
        scores = [calibration.normal_score(observation(1, 0, round(1e6 * one))) for one in fresh]
        runs.append((alarms(np.array(scores)), alarms((fresh - 12 / 13.5) / np.sqrt(12 * 1.5 / (13.5**2 * 14.5)))))
    by_rank, by_value = np.array(runs).mean(axis=0)
    assert 5000 / by_rank == pytest.approx(335.4, rel=0.2)
    assert 5000 / by_value < 0.6 * 335.4


def alarms(values: np.ndarray) -> int:
    """Return how often a lower CUSUM (k = 0.5, h = 4: every 335 values) speaks, starting anew each time."""
    chart, spoken = 0.0, 0
    for value in values:
        chart = max(0.0, chart - value - 0.5)
        if chart > 4:
            chart, spoken = 0.0, spoken + 1
    return spoken
