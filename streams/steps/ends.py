"""How samples end, for both steps: dead letters, and what is published of what was decided."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version as installed_version

from streams.core import deadletter
from streams.core.deadletter import Burial
from streams.core.ids import message_id
from streams.core.ledger import Outcome, Registration
from streams.core.parse import Refused
from streams.core.records import Message, Record
from streams.ports import Services

_VERSION = f"likeness-qc/{installed_version('likeness-qc')}"


@dataclass(frozen=True)
class Effects:
    """What a step wants published, all of it before any of the batch counts as done."""

    records: tuple[Record, ...]
    decided: tuple[str, ...]
    """The samples whose outcome is among the records."""


def refused(message: Message, refused: Refused) -> Burial:
    key = message_id(message.topic, message.partition, message.offset)
    return Burial(key, message, refused.reason, refused.detail)


async def bury(burials: Sequence[Burial], stage: str, services: Services) -> list[Outcome]:
    """Give every burial a row, so that the balance counts it, and return the dead letters."""
    now = services.now()
    groups = [[Registration(burial.sample_id, "message", burial.kept or b"", now)] for burial in burials]
    if groups:
        await services.ledger.register(groups)
    return [deadletter.outcome(burial, stage=stage, version=_VERSION, now=now) for burial in burials]


def once(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Keep the first outcome of each sample: the same message may come twice in one batch."""
    first: dict[str, Outcome] = {}
    for outcome in outcomes:
        first.setdefault(outcome.sample_id, outcome)
    return list(first.values())


async def unpublished(sample_ids: Iterable[str], services: Services) -> list[Outcome]:
    """Return the ends that are known of these samples but were never noted as delivered."""
    known = await services.ledger.outcomes(sorted(sample_ids))
    return [outcome for outcome in known.values() if not outcome.published]


def effects(outcomes: Iterable[Outcome], records: Iterable[Record]) -> Effects:
    ends = {outcome.sample_id: outcome for outcome in outcomes if not outcome.published}
    return Effects((*records, *(outcome.record for outcome in ends.values())), tuple(ends))
