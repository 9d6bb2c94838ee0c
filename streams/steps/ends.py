"""How samples end, for both steps: dead letters, and what is published of what was decided."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version as installed_version

from streams.core import deadletter
from streams.core.deadletter import Burial, Kept, envelope
from streams.core.ids import message_id
from streams.core.ledger import Outcome, Registration
from streams.core.parse import Refused, carried_image
from streams.core.records import Message, Record
from streams.ports import Services

#: Bytes of key, value and headers: of what is larger, a pointer is buried. A broker takes a compressed message that it
#: refuses as it is, and what is as large as it takes leaves no room for our own headers.
LARGEST_DEAD_LETTER = 900_000

#: Characters of an explanation that leave room for where the value is.
_DETAIL_WITH_POINTER = 700

_VERSION = f"likeness-qc/{installed_version('likeness-qc')}"


@dataclass(frozen=True)
class Effects:
    """What a step wants published, all of it before any of the batch counts as done."""

    records: tuple[Record, ...]
    decided: Mapping[str, datetime]
    """The samples whose outcome is among the records, to the time of that record."""
    told: tuple[str, ...] = ()
    """What charts have to tell, by the ids under which they hold it."""


async def refused(message: Message, why: Refused, services: Services) -> Burial:
    """Bury a message that is none. An image in it goes to the store all the same, so that it can be erased."""
    carried = carried_image(message.value)
    value = carried.pointing_at(await services.images.put(carried.encoded)) if carried else None
    return Burial(message_id(message), message, why.reason, why.detail, exception=why.exception, value=value)


async def bury(burials: Sequence[Burial], stage: str, services: Services) -> list[Outcome]:
    """Give every burial a row, so that the balance counts it, and return the dead letters."""
    if not burials:
        return []
    now = services.now()
    light = [await _lighten(burial, services) for burial in burials]
    await services.ledger.register(
        [[Registration(burial.sample_id, "message", burial.kept or b"", now)] for burial in light]
    )
    versions = {"version": _VERSION, "policy_version": services.policy.version}
    return [deadletter.outcome(burial, stage=stage, now=now, **versions) for burial in light]


async def _lighten(burial: Burial, services: Services) -> Burial:
    """Put what no topic takes once more into the store, the value first, and bury a pointer to it."""
    if burial.weight <= LARGEST_DEAD_LETTER:
        return burial
    detail = burial.detail[:_DETAIL_WITH_POINTER]
    if burial.kept:
        stored = await services.images.put(burial.kept)
        detail += f" (the value is in the image store: {stored.sha256})"
        burial = replace(burial, value=stored.model_dump_json().encode(), detail=detail, extent=Kept.POINTER)
    if burial.weight <= LARGEST_DEAD_LETTER:
        return burial
    stored = await services.images.put(envelope(burial.message))
    detail += f" (key and headers are in the image store: {stored.sha256})"
    return replace(burial, message=replace(burial.message, key=None, headers=()), detail=detail, extent=Kept.BARE)


def once(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Keep the first outcome of each sample: the same message may come twice in one batch."""
    first: dict[str, Outcome] = {}
    for outcome in outcomes:
        first.setdefault(outcome.sample_id, outcome)
    return list(first.values())


async def unpublished(sample_ids: Iterable[str], services: Services) -> list[Outcome]:
    """Return the ends that are known of these samples but were never noted as delivered."""
    ids = sorted(sample_ids)
    known = await services.ledger.outcomes(ids) if ids else {}
    return [outcome for outcome in known.values() if not outcome.published]


def effects(outcomes: Iterable[Outcome], records: Iterable[Record]) -> Effects:
    ends = {outcome.sample_id: outcome for outcome in outcomes if not outcome.published}
    decided = {sample_id: outcome.record.time for sample_id, outcome in ends.items()}
    return Effects((*records, *(outcome.record for outcome in ends.values())), decided)
