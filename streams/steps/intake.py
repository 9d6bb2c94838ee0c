"""The intake: a request is registered before it is published, so that no broker can lose what was acknowledged."""

import asyncio
from collections.abc import Sequence
from typing import Any

from pydantic_core import from_json

from streams.core.deadletter import explanation
from streams.core.ledger import Registered, State
from streams.core.receipts import Conflict, Receipt, Receipts, Standing
from streams.core.subject import asked
from streams.events import GenerationRequested, Headers
from streams.ports import Clock, Courier, Ledger
from streams.steps.register import Registry, as_called, register


async def intake(
    requests: Sequence[GenerationRequested], ledger: Ledger, courier: Courier, *, now: Clock, trace: Headers = ()
) -> Receipts:
    """Register requests, then hand them over; a receipt may be given out as soon as this returns.

    Whatever happens in between, the rows are there: the reconciler asks again for what no worker comes to. The same
    request again is registered as it was, and handed over again while a sample of it has no end. One that conflicts is
    not published.

    Raises:
        DependencyUnavailable: If the ledger does not answer: nothing may be acknowledged, and asking again is safe.
    """
    requests = await as_called(requests, ledger)
    registry = await register(requests, ledger, at=now(), versions={})
    agreed = [request for place, request in enumerate(requests) if place not in registry.conflicts]
    # The same request may come twice at once: those that agree with the ledger have one content a name.
    each = {(request.source, request.request_id): request for request in agreed}
    receipts = await asyncio.gather(*(_handed_over(request, registry, courier, trace) for request in each.values()))
    conflicts = {Conflict.of(requests[place]): None for place in sorted(registry.conflicts)}
    return Receipts(requests=tuple(receipts), conflicts=tuple(conflicts))


async def _handed_over(request: GenerationRequested, registry: Registry, courier: Courier, trace: Headers) -> Receipt:
    ids = tuple(asked(request, index).sample_id for index in range(request.count))
    rows = [registry.held[sample_id] for sample_id in ids]
    # Published as of its registration: until workers have committed it, the reconciler finds nothing of it to be late.
    published = not any(map(_open, rows)) or await courier.hand_over(request, at=rows[0].registration.at, trace=trace)
    return Receipt(source=request.source, request_id=request.request_id, sample_ids=ids, published=published)


def _open(row: Registered) -> bool:
    return row.state is State.IN_FLIGHT


async def standing(sample_id: str, ledger: Ledger) -> Standing[Any] | None:
    """Return where a sample stands; None for one that nobody registered.

    The verdict is the one that is published, with whatever it says.
    """
    if sample_id not in await ledger.registered([sample_id]):
        return None
    outcome = (await ledger.outcomes([sample_id])).get(sample_id)
    if outcome is None:
        return Standing(sample_id=sample_id, state=State.IN_FLIGHT)
    if outcome.state is State.DEAD:
        why = explanation(outcome.record.headers)
        return Standing(
            sample_id=sample_id, state=State.DEAD, dead_reason=why.get("reason"), dead_detail=why.get("detail")
        )
    return Standing(sample_id=sample_id, state=outcome.state, verdict=from_json(outcome.record.value or b"null"))
