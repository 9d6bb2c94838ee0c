"""How registered requests reach the workers."""

from datetime import datetime
from typing import Protocol

from streams.events import GenerationRequested, Headers


class Courier(Protocol):
    """Takes registered requests to where the workers read them. What is down is its own affair: it raises nothing."""

    async def hand_over(self, request: GenerationRequested, *, at: datetime, trace: Headers = ()) -> bool:
        """Publish a request as of ``at``; return whether it is known to be published.

        Where it is not, nobody is kept waiting and nothing is raised: the reconciler brings it from the ledger.
        """
