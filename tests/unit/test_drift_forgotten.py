"""What is left of calibrations, points and alerts when one of several people was forgotten."""

from datetime import UTC, datetime

import pytest

from streams.core.drift.alert import Alert, Mover
from streams.core.drift.calibration import TOGETHER, Calibration
from streams.core.drift.fold import Point, Standing
from streams.core.drift.forgotten import alert_without, calibration_without, point_without
from streams.events import DriftAlerted, MovedBy

OF_BOTH = Calibration(9, ("chart",), {TOGETHER: (1, 2, 2, 3), "anna": (4, 5), "bert": (4, 6)}, spread=1.5)


@pytest.mark.parametrize(
    ("identity", "scores", "left"),
    [
        ("anna", [4, 5], {TOGETHER: (1, 2, 2, 3), "bert": (4, 6)}),
        ("carl", [2, 3], {TOGETHER: (1, 2), "anna": (4, 5), "bert": (4, 6)}),
        ("carl", [1, 2, 2, 3], {"anna": (4, 5), "bert": (4, 6)}),
        ("dora", [], OF_BOTH.strata),
    ],
)
def test_a_calibration_loses_the_scores_of_one_and_keeps_those_of_everybody_else(identity, scores, left):
    without = calibration_without(OF_BOTH, identity, scores)

    assert without.strata == left
    assert (without.through, without.charts, without.spread) == (9, ("chart",), 1.5)


def test_nobody_is_left_in_a_calibration_of_one_and_what_is_left_can_be_stored():
    alone = calibration_without(Calibration(9, ("chart",), {"anna": (4, 5)}), "anna", [4, 5])

    assert alone.scores == 0
    assert Calibration.from_json(alone.to_json()) == alone


def test_a_point_stays_where_it_is_and_names_the_samples_of_others_alone():
    hers, his = Mover(by=3.0, sample_id="1" * 32, identity="anna"), Mover(by=2.0, sample_id="2" * 32, identity="bert")
    alert = Alert(statistic="fall", raised=7, since=5, value=9.0, limit=8.0, samples=12, moved_by=(hers, his))
    standings = {
        "fall": Standing(value=9.5, since=5, movers=(hers, his), alert=alert),
        "rise": Standing(value=0.5, since=6, movers=(hers,)),
        "shift": Standing(value=1.0),
    }
    point = Point(first=6, window=7, samples=12, z=-3.0, ewma=-1.0, vector=(0.1,), standings=standings)

    without = point_without(point, "anna")

    assert without == point.model_copy(
        update={
            "standings": {
                "fall": Standing(
                    value=9.5, since=5, movers=(his,), alert=alert.model_copy(update={"moved_by": (his,)})
                ),
                "rise": Standing(value=0.5, since=6),
                "shift": Standing(value=1.0),
            }
        }
    )
    assert "anna" not in without.model_dump_json()


def test_an_alert_is_the_same_but_for_the_samples_of_whoever_was_forgotten():
    hers, his = (MovedBy(sample_id="0" * 32, identity=name, by=2.0) for name in ("anna", "bert"))
    alert = DriftAlerted(
        alert_id="a" * 32,
        revision=3,
        change="raised",
        active=True,
        statistic="shift",
        kind="model",
        model="face_gan",
        value=30.0,
        limit=20.0,
        since=datetime(2030, 1, 1, tzinfo=UTC),
        samples=12,
        moved_by=(hers, his),
        calibration=200,
        provisional=False,
        windows_between_false_alarms=1000.0,
    )

    assert alert_without(alert, "anna") == alert.model_copy(update={"moved_by": (his,)})
    assert alert_without(alert, "carl") == alert
