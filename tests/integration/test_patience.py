"""Patience: what is down is waited for, and everything that is called is awaited."""

from functools import partial

import pytest

from streams.errors import BadInput, DependencyUnavailable
from streams.runtime.patience import Patience


class Flaky:
    """Fails so many times, then answers."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.calls = 0

    async def ask(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise DependencyUnavailable("milvus", "down")
        return "up"


@pytest.mark.parametrize("wrap", [lambda ask: ask, lambda ask: partial(ask), lambda ask: lambda: ask()])
async def test_work_of_every_shape_is_awaited_until_it_succeeds(wrap):
    flaky, patience = Flaky(2), Patience()
    assert await patience(wrap(flaky.ask)) == "up"
    assert flaky.calls == 3
    assert patience.failing == ()


async def test_what_waiting_cannot_mend_is_raised_at_once():
    calls = []

    async def wrong() -> None:
        calls.append(True)
        raise BadInput("wrong for ever")

    with pytest.raises(BadInput):
        await Patience()(wrong)
    assert len(calls) == 1
