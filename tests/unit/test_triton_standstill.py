"""When a model that is missing is not there: only where the others have stood still."""

from streams.adapters.triton.standstill import FORGOTTEN_AFTER, Standstill

ONE = frozenset({("echo", "1")})
TWO = ONE | {("face_gan", "1")}


def test_models_that_stay_the_same_stand_still_from_the_given_time_upwards():
    standstill = Standstill(5.0)

    assert [standstill.holds(ONE, now) for now in (100.0, 104.9, 105.0, 105.1)] == [False, False, True, True]


def test_a_change_begins_the_time_anew():
    standstill = Standstill(5.0)

    assert [standstill.holds(*look) for look in ((TWO, 0.0), (TWO, 5.0), (ONE, 5.1), (ONE, 10.0), (ONE, 10.1))] == [
        False,
        True,
        False,
        False,
        True,
    ]


def test_what_was_seen_long_ago_says_nothing_of_the_time_in_between():
    standstill = Standstill(5.0)
    standstill.holds(ONE, 0.0)
    assert standstill.holds(ONE, FORGOTTEN_AFTER)

    assert not standstill.holds(ONE, 2 * FORGOTTEN_AFTER + 0.1)


def test_no_standstill_at_all_can_be_asked_for():
    assert Standstill(0.0).holds(ONE, 0.0)
