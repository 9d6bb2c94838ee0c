"""A judge like any other, but for its ledger, which keeps the books and forgets every decision: for the control."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace

from streams.adapters.faces import TorchExaminer
from streams.cli.wiring import addressed, open_services
from streams.core.ledger import Outcome, Registered, Registration, State
from streams.ports import Ledger
from streams.runtime.patience import Patience
from streams.runtime.roles import JUDGE
from streams.runtime.worker import work
from streams.settings import Settings
from streams.testing.ledger import ForgetfulLedger


class KeepsTheBooks(ForgetfulLedger):
    """Writes down what happens, so that the audit has rows to compare with, and never looks at what it wrote."""

    def __init__(self, books: Ledger) -> None:
        """Write into ``books``."""
        self._books = books

    async def register(self, groups: Sequence[Sequence[Registration]]) -> dict[str, Registered]:
        held = await self._books.register(groups)
        return {sample_id: replace(row, state=State.IN_FLIGHT) for sample_id, row in held.items()}

    async def decide(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        await self._books.decide(outcomes)
        return await super().decide(outcomes)

    async def published(self, sample_ids: Sequence[str]) -> None:
        await self._books.published(sample_ids)


async def main() -> None:
    logging.basicConfig(level=logging.INFO)
    settings, patience = addressed(Settings()), Patience()
    examiner = TorchExaminer(settings, report=logging.info)
    await examiner.open()
    async with open_services(settings, examiner, patiently=patience) as services:
        forgetful = replace(services, ledger=KeepsTheBooks(services.ledger))
        await work(settings, forgetful, JUDGE, patience)


if __name__ == "__main__":
    asyncio.run(main())
