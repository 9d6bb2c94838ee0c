"""What a worker does when the brokers have its records: it notes that they have them."""

from collections.abc import Sequence

from streams.ports import Ledger


async def delivered(ledger: Ledger, sample_ids: Sequence[str]) -> None:
    """Note the delivery of the ends that the ledger holds now."""
    held = await ledger.outcomes(sample_ids)
    await ledger.published({sample_id: outcome.record.time for sample_id, outcome in held.items()})
