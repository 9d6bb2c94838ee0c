"""Cores: which ones this process may keep busy, and what each of several processes gets of them."""

import os
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path

Cores = frozenset[int]
"""Numbers of cores; none of them: wherever there is room."""

ANYWHERE: Cores = frozenset()

#: How much time a container's cgroup (version 2) gets: microseconds, or "max", in a period of microseconds.
CPU_MAX = Path("/sys/fs/cgroup/cpu.max")


def usable(cpu_max: Path = CPU_MAX) -> int:
    """Return how many cores this process may keep busy: those it may run on, or fewer where it gets less time."""
    there = len(_allowed()) or os.cpu_count() or 1
    with suppress(OSError, ValueError):  # no such file, or "max"
        quota, period = map(int, cpu_max.read_text().split())
        return min(there, max(1, quota // period))
    return there


def own(cpu_max: Path = CPU_MAX) -> list[int]:
    """Return the cores of this process's cpuset; none where it has none, or less time than its cores have.

    A container that is limited by time alone may run on every core, and so may all the others.
    """
    allowed = _allowed()
    return allowed if usable(cpu_max) == len(allowed) else []


def _allowed() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def shares(cores: Sequence[int], processes: int) -> list[Cores]:
    """Give each process its cores, neighbours together; where there are too few, processes share one.

    >>> [sorted(share) for share in shares([0, 1, 2, 3, 4], 2)]
    [[0, 1, 2], [3, 4]]
    >>> [sorted(share) for share in shares([0, 1], 3)]
    [[0], [1], [0]]
    """
    if processes > len(cores):
        return [frozenset({cores[number % len(cores)]}) for number in range(processes)]
    least, more = divmod(len(cores), processes)
    bounds = [number * least + min(number, more) for number in range(processes + 1)]
    return [frozenset(cores[start:end]) for start, end in pairwise(bounds)]


@contextmanager
def starting_on(cores: Set[int]) -> Iterator[None]:
    """Have what this thread starts meanwhile, and all that it starts in turn, run on these cores alone."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)  # of this thread; the others stay where they are
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
