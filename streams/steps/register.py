"""Registering: a request gets its rows before anything else happens, whoever is the first to see it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from streams.core.ledger import Registered, Registration, asked_for
from streams.core.subject import asked
from streams.events import GenerationRequested
from streams.ports import Ledger


@dataclass(frozen=True)
class Registry:
    """What the ledger holds after requests were registered."""

    held: Mapping[str, Registered]
    """By sample id; of a request that conflicts only what was there before."""
    conflicts: frozenset[int]
    """The places of those requests that were asked before with another content."""


async def as_called(requests: Sequence[GenerationRequested], ledger: Ledger) -> list[GenerationRequested]:
    """Return the requests with the names that people have now: whoever was forgotten, is asked for by no name."""
    called = await ledger.called({request.identity for request in requests})
    return [
        request
        if called[request.identity] == request.identity
        else request.model_copy(update={"identity": called[request.identity]})
        for request in requests
    ]


async def register(
    requests: Sequence[GenerationRequested], ledger: Ledger, *, at: datetime, versions: Mapping[str, str]
) -> Registry:
    """Register every sample of every request, with its seed; what is registered already stays as it is.

    Args:
        requests: In the order in which they were asked.
        ledger: Where.
        at: When they were asked, for those that are registered here.
        versions: The version of each model that is known to be served. A row of another model gets its version when
            its image is made.
    """
    groups = [_rows(request, at, versions.get(request.model)) for request in requests]
    held = await ledger.register(groups) if groups else {}
    conflicts = (
        place for place, group in enumerate(groups) if held[group[0].sample_id].registration.payload != group[0].payload
    )
    return Registry(held, frozenset(conflicts))


def _rows(request: GenerationRequested, at: datetime, version: str | None) -> list[Registration]:
    payload = asked_for(request)
    return [
        Registration(
            sample_id=subject.sample_id,
            kind="generation",
            payload=payload,
            at=at,
            identity=request.identity,
            model=request.model,
            model_version=version,
            seed=subject.seed,
        )
        for subject in (asked(request, index) for index in range(request.count))
    ]
