"""Who gets which cores."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import topics
from streams.cli.wiring.workers import AUTO, counted
from streams.processes.cores import own, shares, usable
from streams.settings import Settings

THERE = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@given(st.sets(st.integers(0, 300), min_size=1).map(sorted), st.integers(1, 40))
def test_every_process_has_cores_all_are_given_away_and_nobody_has_two_more_than_another(there, processes):
    given_away = shares(there, processes)
    sizes = [len(share) for share in given_away]
    assert len(sizes) == processes
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1
    if processes <= len(there):
        assert sorted(core for share in given_away for core in share) == there  # none twice


@pytest.mark.parametrize(
    ("says", "cores"),
    [
        ("max 100000", THERE),
        ("50000 100000", 1),  # half a core is one that is there half of the time
        ("100000 100000", 1),
        (f"{THERE * 100000} 100000", THERE),
        (f"{THERE * 200000} 100000", THERE),
        ("what is that", THERE),
    ],
)
def test_no_more_cores_are_used_than_a_container_gets_time_for(tmp_path, says, cores):
    (tmp_path / "cpu.max").write_text(says)
    assert usable(tmp_path / "cpu.max") == cores


def test_where_no_quota_is_told_every_core_that_the_process_may_run_on_is_used(tmp_path):
    assert usable(tmp_path / "absent") == THERE


@pytest.mark.skipif(THERE < 2 or not hasattr(os, "sched_getaffinity"), reason="one core, or none that can be one's own")
def test_a_container_that_is_limited_by_time_alone_has_no_cores_of_its_own(tmp_path):
    quota = tmp_path / "cpu.max"
    quota.write_text("100000 100000")
    assert own(quota) == []
    quota.write_text("max 100000")
    assert own(quota) == sorted(os.sched_getaffinity(0))


def test_where_the_number_of_workers_is_for_us_to_say_their_threads_fit_the_cores_and_each_finds_a_partition():
    settings, workers = counted(Settings(), AUTO)
    assert 1 <= workers <= topics.PARTITIONS
    assert workers * settings.threads <= usable() < workers * (settings.threads + 1)
    assert counted(Settings(threads=7), 3) == (Settings(threads=7), 3)
