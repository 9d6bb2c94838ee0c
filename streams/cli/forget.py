"""``likeness forget``: erase a person, and prove it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.terminal.output import Json, console, emit, say
from streams.errors import BadInput
from streams.settings import Settings, read_settings

if TYPE_CHECKING:
    from streams.core.erasure import Receipt
    from streams.tools.forget import Places

#: Exit status where something is left, or could not be done yet.
LEFT_STATUS = 1


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(rich_help_panel="Use")(forget)


def forget(
    identity: Annotated[
        str | None, typer.Argument(help="The person, by the name under which they were enrolled.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Prove by search, by SQL and byte by byte that nothing is left.")
    ] = False,
    wait: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long workers may take to end what they have at hand.")
    ] = 30.0,
    output: Annotated[Path | None, typer.Option(help="Write the receipt there too, as JSON, for keeping.")] = None,
    check: Annotated[
        Path | None, typer.Option(help="Forget nobody: check the signature of a receipt that was kept.")
    ] = None,
    public_key: Annotated[
        Path | None, typer.Option(help="Whose signature it must be, PEM. (default: that of LIKENESS_RECEIPT_KEY)")
    ] = None,
    as_json: Json = False,
) -> None:
    """Erase a person: consent, references, vectors, images, and what names them in the ledger; print the receipt.

    May be done while workers run. Cut off, give the same command again. Exit status 1 where something is left, or where
    a receipt that is checked was not signed, or altered. LIKENESS_RECEIPT_KEY names the key that signs.
    """
    if (identity is None) == (check is None):
        raise typer.BadParameter("expected either whom to forget or --check FILE, not both and not neither")
    settings = read_settings()
    if check is not None:
        _check(check, public_key or settings.receipt_key, as_json)
    elif identity is not None:
        _erase(settings, identity, verify, wait, output, as_json)


def _erase(settings: Settings, identity: str, verify: bool, wait: float, output: Path | None, as_json: bool) -> None:
    from streams.adapters.receipts.ed25519 import read_private_key, signed
    from streams.core.signed import document

    # Before anything is erased: what cannot be written or signed afterwards, is told now.
    key = None if settings.receipt_key is None else read_private_key(settings.receipt_key)
    if output is not None:
        _require_elsewhere(output, settings)
    receipt = asyncio.run(_forget(settings, identity, verify, wait))
    kept = signed(document(receipt), key)
    if output is not None:
        output.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    if as_json:
        emit(kept)
    else:
        _show(receipt)
        say("the receipt is not signed: LIKENESS_RECEIPT_KEY names no key" if key is None else "the receipt is signed")
    if not receipt.complete:
        raise typer.Exit(LEFT_STATUS)


def _require_elsewhere(output: Path, settings: Settings) -> None:
    """Refuse a file that cannot be written, or in which the name of the person would be found again."""
    from streams.tools.rates.policy_file import require_writable

    own = [settings.data_dir, *([Path(settings.images)] if settings.images and "://" not in settings.images else [])]
    if any(output.resolve().is_relative_to(folder.resolve()) for folder in own):
        raise BadInput(f"{output} lies where the person is looked for, and a receipt names them: write it elsewhere")
    require_writable(output)


def _check(file: Path, key_file: Path | None, as_json: bool) -> None:
    """Tell whether a receipt is as it was signed, and by whom."""
    from streams.adapters.receipts.ed25519 import holds, read_public_key, text_of
    from streams.core.signed import parsed

    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{file} cannot be read: {error}; expected a receipt of `likeness forget`") from error
    kept, signature = parsed(text, str(file))
    expected = None if key_file is None else text_of(read_public_key(key_file))
    if signature is None:
        finding, valid = "it is not signed", False
    elif not holds(kept, signature):
        finding, valid = "it was altered after it was signed", False
    elif expected is None:
        finding, valid = f"it is as {signature.public_key} signed it: is that a key that you know? (--public-key)", True
    else:
        valid = signature.public_key == expected
        finding = "it is as it was signed" if valid else f"it is signed by another key, {signature.public_key}"
    if as_json:
        known = None if signature is None else signature.public_key
        emit({"receipt": kept["receipt"], "valid": valid, "signed_by": known, "finding": finding})
    else:
        say(f"receipt {kept['receipt']} of {kept['identity']}: {finding}")
    if not valid:
        raise typer.Exit(LEFT_STATUS)


async def _forget(settings: Settings, identity: str, verify: bool, wait: float) -> "Receipt":
    from streams.tools.forget import forget

    async with _places(settings) as places:
        return await forget(identity, places, verify=verify, wait_seconds=wait, report=console.print)


@asynccontextmanager
async def _places(settings: Settings) -> "AsyncIterator[Places]":
    from streams.adapters.images.store import ImageStore
    from streams.adapters.ledger.consent import SqlConsentRegister
    from streams.adapters.ledger.erasures import SqlErasures
    from streams.adapters.milvus.erasure import MilvusVectors
    from streams.cli.wiring.addresses import addressed
    from streams.cli.wiring.database import opened_database
    from streams.tools.forget import Places

    settings = addressed(settings, "kafka", "milvus", "ledger", "images")
    token = settings.milvus_token.get_secret_value()
    vectors = MilvusVectors(settings.address("milvus"), token, settings.call_timeout_seconds)
    async with opened_database(settings) as database:
        try:
            yield Places(
                erasures=SqlErasures(database),
                vectors=vectors,
                images=ImageStore(settings.address("images")),
                consent=SqlConsentRegister(database),
                kafka=settings.address("kafka"),
                now=partial(datetime.now, UTC),
                folders=_folders(settings),
                without=[settings.data_dir / "kafka"],
                reports=[settings.data_dir / "report.html"],
            )
        finally:
            await vectors.close()


def _folders(settings: Settings) -> list[Path]:
    """Return where parts on this machine keep their data."""
    from sqlalchemy.engine import make_url

    found = [settings.data_dir]
    ledger = make_url(settings.address("ledger"))
    if ledger.get_backend_name() == "sqlite" and ledger.database:
        found += [Path(f"{ledger.database}{suffix}") for suffix in ("", "-wal", "-shm")]
    if "://" not in settings.address("images"):
        found.append(Path(settings.address("images")))
    return found


def _show(receipt: "Receipt") -> None:
    say(f"{receipt.identity} is forgotten; receipt {receipt.receipt}, begun {receipt.began_at}")
    for title, counts in (("found", receipt.found), ("deleted", receipt.deleted)):
        say(f"{title}: {', '.join(f'{count} {kind}' for kind, count in counts.items()) or 'nothing'}")
    for one in receipt.remains:
        say(f"remains: {one.what}{f' (until {one.until})' if one.until else ''}: {one.why}")
    for how in receipt.verified:
        say(f"looked through: {how}")
    for place, count in (receipt.left or {}).items():
        say(f"LEFT: {count} × {place}")
    if receipt.finished_at is None:
        say("not finished: give the same command again")
    elif receipt.left is not None and not receipt.left:
        say(f"finished {receipt.finished_at}, nothing is left")
