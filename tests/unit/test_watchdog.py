"""When a worker counts as stuck: its own messages wait, nothing excuses it, and not one of them gets done."""

import pytest

from streams.runtime.watchdog import Standstill

HERE, THERE = ("samples", 0), ("samples", 1)


def seconds(*looks: tuple[dict, bool]) -> list[float]:
    """Look every ten seconds; return how long the standstill has lasted at each look."""
    still = Standstill()
    return [still.look(waiting, excused=excused, now=10 * n) for n, (waiting, excused) in enumerate(looks)]


def test_messages_that_wait_at_the_same_offset_add_up_to_a_standstill():
    assert seconds(({HERE: 7}, False), ({HERE: 7}, False), ({HERE: 7}, False)) == [0, 10, 20]


def test_a_worker_without_waiting_messages_never_stands_still_however_long_it_is_idle():
    assert seconds(*[({}, False)] * 5) == [0, 0, 0, 0, 0]


def test_work_that_comes_after_a_long_idle_time_starts_from_nothing():
    assert seconds(({}, False), ({}, False), ({}, False), ({HERE: 0}, False)) == [0, 0, 0, 0]


def test_one_commit_ends_a_standstill():
    assert seconds(({HERE: 7}, False), ({HERE: 7}, False), ({HERE: 8}, False), ({HERE: 8}, False)) == [0, 10, 0, 10]


def test_a_dependency_that_is_down_excuses_and_what_was_waited_for_it_does_not_count_afterwards():
    assert seconds(({HERE: 7}, False), ({HERE: 7}, True), ({HERE: 7}, True), ({HERE: 7}, False)) == [0, 0, 0, 0]


@pytest.mark.parametrize("later", [{HERE: 7}, {HERE: 7, THERE: 3}])
def test_a_partition_that_got_done_does_not_hide_one_that_stands_still(later):
    both = {HERE: 7, THERE: 3}
    assert seconds((both, False), (later, False), (later, False)) == [0, 10, 20]
