"""``likeness consent`` and ``likeness withdraw``: who agrees to what."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from streams.cli.terminal.moments import date
from streams.cli.terminal.output import Json, console, emit, page, say
from streams.core.consent import Consent, Entry, Purpose, Terms, holding, is_territory
from streams.errors import BadInput, DependencyUnavailable
from streams.settings import Settings, read_settings

if TYPE_CHECKING:
    from streams.adapters.ledger.consent import SqlConsentRegister
    from streams.adapters.ledger.database import Database

Whose = Annotated[
    str, typer.Argument(metavar="IDENTITY", help="The person, by the name under which they are enrolled.")
]
Note = Annotated[str | None, typer.Option(help="For people: which form, or on whose word.")]


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    group = typer.Typer(help="Who agrees to be shown: for what, by which models, where and until when.")
    group.command()(grant)
    group.command("withdraw")(withdraw)
    group.command()(show)
    app.add_typer(group, name="consent", rich_help_panel="Use")
    app.command("withdraw", rich_help_panel="Use")(withdraw_all)


def grant(
    identity: Whose,
    purpose: Annotated[list[Purpose] | None, typer.Option(help="To what; generation where left out.")] = None,
    model: Annotated[
        list[str] | None, typer.Option(metavar="MODEL[@VERSION]", help="By which models only; by any where left out.")
    ] = None,
    territory: Annotated[
        list[str] | None, typer.Option(metavar="DE|US-TN|…", help="Where only, ISO 3166; anywhere where left out.")
    ] = None,
    begins: Annotated[
        str | None, typer.Option("--from", metavar="DATE", help="From when on; now where left out.")
    ] = None,
    ends: Annotated[str | None, typer.Option("--until", metavar="DATE", help="Ends when this begins.")] = None,
    evidence: Annotated[
        Path | None, typer.Option(help="The file that shows it, such as the signed form: its SHA-256 is kept.")
    ] = None,
    note: Note = None,
    as_json: Json = False,
) -> None:
    """Enter that a person agrees. Of the grants for one purpose the newest holds.

    Name every model and territory that is permitted: who grants anew replaces what was granted before.
    """
    now = datetime.now(UTC)
    at = now if begins is None else date(begins, "--from")
    expires = None if ends is None else date(ends, "--until")
    if expires is not None and expires <= at:
        raise BadInput(f"expected an end after the beginning, got {expires:%Y-%m-%d %H:%M} after {at:%Y-%m-%d %H:%M}")
    if wrong := [one for one in territory or () if not is_territory(one)]:
        raise BadInput(f"expected territories as ISO 3166 writes them, DE or US-TN; got {', '.join(wrong)}")
    if evidence is None and not note:
        raise BadInput("expected to hear where the agreement can be seen: --evidence FILE, --note TEXT, or both")
    terms = Terms(tuple(sorted(set(model or ()))), tuple(sorted(set(territory or ()))))
    _report(
        asyncio.run(
            _grant(read_settings(), identity, purpose or [Purpose.GENERATION], terms, at, expires, evidence, note)
        ),
        as_json=as_json,
    )


def withdraw(
    identity: Whose,
    purpose: Annotated[list[Purpose] | None, typer.Option(help="From what; from everything where left out.")] = None,
    note: Note = None,
    as_json: Json = False,
) -> None:
    """Withdraw a person's consent: nothing more is generated of them, and nothing accepted, from this moment on.

    Needs the ledger alone. What there is of the person stays until `likeness forget`.
    """
    _report(asyncio.run(_withdraw(read_settings(), identity, purpose, note or "withdrawn by command")), as_json=as_json)


def withdraw_all(identity: Whose, note: Note = None, as_json: Json = False) -> None:
    """Withdraw a person's consent to everything, as `likeness consent withdraw` does."""
    standing = asyncio.run(_withdraw(read_settings(), identity, None, note or "withdrawn by command"))
    if as_json:
        emit({"identity": identity, "consent": Consent.WITHDRAWN})
    else:
        _report(standing, as_json=False)


def show(identity: Whose, as_json: Json = False) -> None:
    """Show how a person's consent stands now, and every entry that it rests on."""
    _report(asyncio.run(_show(read_settings(), identity)), as_json=as_json)


@dataclass(frozen=True)
class _Standing:
    """One person's consent."""

    identity: str
    entries: Sequence[Entry]
    at: datetime
    published: bool | None = None
    """Whether Kafka has the entries of this command; None where it made none."""

    def as_dict(self) -> dict[str, Any]:
        purposes = {purpose: _as_dict(*holding(self.entries, purpose, self.at)) for purpose in Purpose}
        state = purposes[Purpose.GENERATION]["consent"]
        content = {"identity": self.identity, "consent": state, "purposes": purposes}
        told = {} if self.published is None else {"published": self.published}
        return {**content, **told, "entries": [_entry(entry) for entry in self.entries]}


def _as_dict(consent: Consent, held: Entry | None) -> dict[str, Any]:
    if held is None:
        return {"consent": consent}
    limits = {"models": list(held.terms.models), "territories": list(held.terms.territories)}
    return {"consent": consent, "since": held.at, "until": held.expires, **limits, "entry": held.number}


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "entry": entry.number,
        "kind": entry.kind,
        "purpose": entry.purpose or ("generation" if entry.kind == "granted" else None),
        "at": entry.at,
        "until": entry.expires,
        "models": list(entry.terms.models),
        "territories": list(entry.terms.territories),
        "evidence_sha256": entry.evidence,
        "note": entry.note,
    }


def _report(standing: _Standing, *, as_json: bool) -> None:
    if as_json:
        emit(standing.as_dict())
        return
    for purpose in Purpose:
        consent, held = holding(standing.entries, purpose, standing.at)
        if consent is not Consent.MISSING:
            say(f"{standing.identity}: consent to {purpose} is {consent}{_limits(held)}")
    if standing.published is None:
        page.print(_table(standing.entries))
    elif not standing.published:
        console.print("Kafka does not answer, the reconciler publishes it; it holds already")


def _limits(held: Entry | None) -> str:
    if held is None:
        return ""
    models = f" by {', '.join(held.terms.models)}" if held.terms.models else ""
    where = f" in {', '.join(held.terms.territories)}" if held.terms.territories else ""
    return f"{models}{where}{f' until {held.expires:%Y-%m-%d %H:%M}Z' if held.expires else ''}"


def _table(entries: Sequence[Entry]) -> Table:
    names = ("entry", "from", "what", "to", "models", "territories", "until", "evidence")
    table = Table(*names, box=None, pad_edge=False)
    for one in entries:
        what = one.purpose or ("generation" if one.kind == "granted" else "everything")
        until = f"{one.expires:%Y-%m-%d}" if one.expires else ""
        limits = (", ".join(one.terms.models) or "any", ", ".join(one.terms.territories) or "anywhere")
        limits = limits if one.kind == "granted" else ("", "")
        seen = f"{one.note} {one.evidence[:12] if one.evidence else ''}".strip()
        table.add_row(str(one.number), f"{one.at:%Y-%m-%d %H:%M}", one.kind, what, *limits, until, escape(seen))
    return table


async def _grant(
    settings: Settings,
    identity: str,
    purposes: Sequence[Purpose],
    terms: Terms,
    at: datetime,
    expires: datetime | None,
    evidence: Path | None,
    note: str | None,
) -> _Standing:
    from streams.adapters.ledger.samples import SqlLedger
    from streams.core.enrolment import require_name

    require_name(identity, "identity")
    digest = None if evidence is None else _digest(evidence)
    async with _register(settings) as (addressed, register, database):
        if (await SqlLedger(database).called([identity]))[identity] != identity:
            raise BadInput(f"{identity} was forgotten: enrol them anew by `likeness enrol --again` once they agree")
        said = note or (evidence.name if evidence else "")
        for purpose in dict.fromkeys(purposes):
            await register.grant(
                identity, evidence=said, at=at, expires=expires, purpose=purpose, terms=terms, digest=digest
            )
        return await _standing(addressed, register, identity)


async def _withdraw(settings: Settings, identity: str, purposes: Sequence[Purpose] | None, note: str) -> _Standing:
    async with _register(settings) as (addressed, register, _):
        if not (await register.entries([identity]))[identity]:
            raise BadInput(f"nobody gave consent as {identity!r}: look the name up, as it was enrolled")
        for purpose in list[Purpose | None](dict.fromkeys(purposes or ())) or [None]:
            await register.withdraw(identity, at=datetime.now(UTC), note=note, purpose=purpose)
        return await _standing(addressed, register, identity)


async def _show(settings: Settings, identity: str) -> _Standing:
    async with _register(settings) as (_, register, _):
        entries = (await register.entries([identity]))[identity]
        if not entries:
            raise BadInput(
                f"the register has nothing on {identity!r}: look the name up, as it was enrolled; who is protected"
                " needs no entry"
            )
        return _Standing(identity, entries, datetime.now(UTC))


@asynccontextmanager
async def _register(settings: Settings) -> "AsyncIterator[tuple[Settings, SqlConsentRegister, Database]]":
    """Needs the ledger's database alone: a withdrawal must not wait for any other part."""
    from streams.adapters.ledger.consent import SqlConsentRegister
    from streams.cli.wiring.addresses import addressed
    from streams.cli.wiring.database import opened_database

    settings = addressed(settings, "ledger")
    async with opened_database(settings) as database:
        yield settings, SqlConsentRegister(database), database


async def _standing(settings: Settings, register: "SqlConsentRegister", identity: str) -> _Standing:
    """Publish what was just entered, if Kafka answers, and return how consent stands."""
    from streams.cli.wiring.addresses import answering
    from streams.tools.announce import announce

    published = settings.kafka is not None
    if published:
        try:
            await answering(settings, "kafka")
            await announce(settings.address("kafka"), register, of=identity)
        except DependencyUnavailable:
            published = False
    return _Standing(identity, (await register.entries([identity]))[identity], datetime.now(UTC), published)


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read: {error.strerror}; expected the file that shows the agreement"
        ) from error
