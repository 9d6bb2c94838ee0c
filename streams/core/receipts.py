"""What the intake answers: one home for the words that the service writes and its client reads."""

from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from streams.core.ledger import State
from streams.events import GenerationRequested, Name, SampleId

#: The most requests that one call may bring: all of them are registered in one transaction.
REQUESTS_AT_ONCE = 64

V = TypeVar("V")


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)


class Receipt(_Said):
    """Says that a request is durable: each of its samples will have one end, whatever happens to the brokers."""

    source: Name
    request_id: Name
    sample_ids: tuple[SampleId, ...]
    published: bool
    """False where Kafka has not taken it yet: then the reconciler brings it, later."""


class Conflict(_Said):
    """A request that was asked before, under the same name, with another content. Nothing came of it."""

    source: Name
    request_id: Name

    @classmethod
    def of(cls, request: GenerationRequested) -> "Conflict":
        """Return the conflict of this request."""
        return cls(source=request.source, request_id=request.request_id)


class Receipts(_Said):
    """The answer to several requests at once: each of them is in one of the two lists."""

    requests: tuple[Receipt, ...] = ()
    conflicts: tuple[Conflict, ...] = ()


class Standing(_Said, Generic[V]):
    """Where one sample stands.

    ``V`` is how a verdict is read: the service hands it on as it was published, with whatever a later release says in
    it; a client reads ``SampleJudged``.
    """

    sample_id: SampleId
    state: State
    verdict: V | None = None
    """Where it was accepted or flagged."""
    dead_reason: str | None = None
    """Where it is a dead letter: the reason, and in words."""
    dead_detail: str | None = None
