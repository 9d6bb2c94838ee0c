"""The audit: counts every sample in the ledger and on the topics, and says whether they tell the same story.

It is independent of the worker: its own SQL, its own consumer, its own reading of the messages.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from rich.markup import escape
from rich.table import Table

from streams import topics
from streams.tools.audit_rows import read_reopened, read_rows
from streams.tools.audit_topics import Offsets, Topics
from streams.tools.balance import Balance
from streams.tools.tally import Tally

#: Which of the worker's consumer groups reads which topics; each name stands behind the prefix of the groups.
_READERS = {
    "generate": (topics.GENERATION_REQUESTS.name,),
    "judge": (topics.GENERATION_SAMPLES.name, topics.TRAINING_SAMPLES.name),
}


async def audit(kafka: str, ledger_url: str, *, group: str = "likeness", timeout_seconds: float = 30.0) -> Balance:
    """Count every sample. May run at any time, beside any number of workers; it changes nothing.

    The order matters. What is committed must have a row, so commits are read before rows. What a row calls delivered
    must be on a topic, so the topics' ends are read after the rows. What is on a topic must have a row, if it was there
    before the rows were read, so the ends are also read before them. What ends a sample again had its dead letter taken
    back before, so redrives are read last.

    Args:
        kafka: Bootstrap servers.
        ledger_url: The ledger's database, as an SQLAlchemy URL.
        group: Prefix of the worker's consumer groups.
        timeout_seconds: How long Kafka or the ledger may be silent.

    Raises:
        DependencyUnavailable: If Kafka or the ledger does not answer.
        BadInput: If the URL is none, or the database is no ledger.
    """
    async with Topics(kafka, timeout_seconds=timeout_seconds) as reader:
        committed: Offsets = {}
        for role, names in _READERS.items():
            held = await reader.committed(f"{group}-{role}")
            committed |= {place: offset for place, offset in held.items() if place[0] in names}
        before_rows = await reader.ends(topic.name for topic in topics.ENDS)
        rows = await read_rows(ledger_url, timeout_seconds=timeout_seconds)
        until = await reader.ends(topic.name for topic in topics.ALL)
        reopened = await read_reopened(ledger_url, timeout_seconds=timeout_seconds)
        tally = Tally(rows, committed, now=datetime.now(UTC), before_rows=before_rows, reopened=reopened)
        async for record in reader.records(until):
            tally.see(record)
    return tally.balance()


def render(balance: Balance) -> Table:
    """Return the balance as a table for the terminal."""
    conclusion = "[green]everything adds up[/]" if balance.sound else "[bold red]this does not add up[/]"
    table = Table(title=f"Audit: {conclusion}", title_justify="left", show_header=False)
    table.add_column(justify="left")
    table.add_column(justify="right")
    table.add_column(overflow="fold", style="dim")
    table.add_row("requested", str(balance.requested), "samples that the ledger has registered")
    for name, meaning in (
        ("accepted", "shown to be good"),
        ("flagged", _listed(balance.reasons)),
        ("dead", _listed(balance.dead_reasons)),
        ("in_flight", "no verdict yet, or not delivered yet"),
    ):
        table.add_row(f"  {name.replace('_', ' ')}", str(getattr(balance, name)), meaning)
    table.add_section()
    for name, meaning in (
        ("lost", "asked for or decided, and nowhere to be found"),
        ("conflicting", "two different ends of one sample"),
        ("phantom", "ends of samples that nobody registered"),
        ("misnamed", "records that contradict their key or topic"),
        ("inexact", "right value, other key, headers or time"),
    ):
        count = getattr(balance, name)
        table.add_row(name, f"[bold red]{count}[/]" if count else "[green]0[/]", meaning)
    table.add_section()
    table.add_row("unread", str(balance.unread), "asked for, and not read by the worker yet")
    table.add_row("duplicates", str(balance.duplicates), "repeated records, the same to the byte")
    table.add_row("superseded", str(balance.superseded), "dead letters that were sent back")
    table.add_row("expired", str(balance.expired), "older than their topic keeps records")
    for kind, offences in balance.offences.items():
        table.add_section()
        for offence in offences:
            table.add_row(f"[red]{kind}[/]", "", escape(f"{offence.sample_id}: {offence.why}"))
    return table


def _listed(reasons: Mapping[str, int]) -> str:
    return escape(", ".join(f"{reason} {count}" for reason, count in reasons.items()))
