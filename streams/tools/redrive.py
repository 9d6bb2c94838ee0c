"""Sends dead letters back: the ledger first, then the topic, so that a run that is cut off in between resumes."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from streams.core.records import Record
from streams.core.redrive import MOST_REDRIVES, Redrive, SentAgain, message_of, refusal
from streams.ports import Clock, Redrives
from streams.tools.dead_letters import DeadLetter, Wanted
from streams.topics import DEAD_LETTERS

Publish = Callable[[SentAgain], Awaitable[None]]
"""Returns when the message is delivered."""


@dataclass(frozen=True)
class Done:
    """What became of one dead letter."""

    id: str
    what: str
    """``sent``, ``resumed`` (an earlier run had reopened it and was cut off) or ``refused``."""
    why: str = ""


def chosen(letters: Sequence[DeadLetter], wanted: Wanted, limit: int | None) -> list[DeadLetter]:
    """Return the newest letter of every id that is wanted and was not sent back yet, the oldest first."""
    newest = {letter.id: letter for letter in letters}
    waiting = [letter for letter in newest.values() if wanted.includes(letter) and not letter.sent_back]
    return sorted(waiting, key=lambda letter: (letter.time, letter.id))[:limit]


def foreseen(letters: Sequence[DeadLetter], unsent: Sequence[Redrive], *, force: bool) -> list[Done]:
    """Return what ``redrive`` would do, as far as the letters tell."""
    resumed = [Done(each.sample_id, "resumed") for each in unsent]
    return resumed + [_refused(letter, force) or Done(letter.id, "sent") for letter in letters]


async def redrive(
    letters: Sequence[DeadLetter], redrives: Redrives, publish: Publish, *, now: Clock, note: str, force: bool = False
) -> list[Done]:
    """Send each letter back to where its message came from.

    What an earlier run had reopened and never sent is sent first, whichever letters are given now. Two runs at once may
    both send that: the same message twice is one message to the road.

    Args:
        letters: The newest letter of each id.
        redrives: Where samples are put back in flight.
        publish: Sends one message and awaits its delivery.
        now: The clock.
        note: Who does this, and why: it is kept.
        force: Send back even what was sent back often.
    """
    done = []
    for earlier in await redrives.unsent():
        await _send(earlier, redrives, publish, now())
        done.append(Done(earlier.sample_id, "resumed"))
    for letter in letters:
        if refused := _refused(letter, force):
            done.append(refused)
            continue
        reopened = await redrives.reopen(letter.id, at=now(), note=note, most=None if force else MOST_REDRIVES)
        if reopened is None:
            done.append(Done(letter.id, "refused", _NOT_DEAD))
            continue
        await _send(reopened, redrives, publish, now())
        done.append(Done(letter.id, "sent"))
    return done


_NOT_DEAD = "the ledger does not hold it as dead and delivered: it was sent back already, or its worker is at it still"


def _refused(letter: DeadLetter, force: bool) -> Done | None:
    record = Record(DEAD_LETTERS.name, letter.key, letter.value, letter.headers, letter.time)
    why = refusal(record, letter.redriven, force=force)
    return None if why is None else Done(letter.id, "refused", why)


async def _send(redrive: Redrive, redrives: Redrives, publish: Publish, at: datetime) -> None:
    await publish(message_of(redrive))
    await redrives.sent(redrive, at=at)
