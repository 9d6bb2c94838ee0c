"""A signal ends a command's work once, and only after that the command."""

import asyncio
import os
import signal

import pytest

from streams.cli.terminal.interruption import Interrupted, interruptible


async def test_work_that_ends_by_itself_gives_its_result():
    async def work() -> str:
        return "done"

    assert await interruptible(work()) == "done"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_ends_the_work_and_further_ones_do_not_cut_its_ending_short(number):
    ended = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            ended.append(True)

    async with asyncio.timeout(10):
        with pytest.raises(Interrupted) as caught:
            await interruptible(work())
    assert ended == [True]
    assert caught.value.status == 128 + number


async def test_an_error_of_the_work_is_its_own():
    async def work() -> None:
        raise ValueError("of the work")

    with pytest.raises(ValueError, match="of the work"):
        await interruptible(work())


async def test_afterwards_signals_mean_what_they_meant_before():
    before = signal.getsignal(signal.SIGTERM)

    async def work() -> None:
        return

    await interruptible(work())
    assert signal.getsignal(signal.SIGTERM) == before
