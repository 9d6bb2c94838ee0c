"""What the judges see in files that somebody names: for calibration and evaluation."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from streams.cli.terminal.output import console
from streams.settings import Settings

if TYPE_CHECKING:
    from streams.tools.rates.acquire import Seen


def second_fingerprint(settings: Settings) -> str | None:
    """Return the fingerprint of the second verifier's space; None where none is set up."""
    from streams.adapters.second.chosen import second_space

    space = second_space(settings)
    return None if space is None else space.fingerprint


async def seen_files(settings: Settings, paths: Sequence[Path]) -> "tuple[dict[Path, Seen], str]":
    """Return what is seen in every file, and the fingerprint of the embedding space; tell what has no face."""
    from streams.cli.terminal.counting import counted
    from streams.cli.wiring.services import examiner_of_files
    from streams.tools.rates.acquire import acquire, failures, missing

    async with examiner_of_files(settings) as examiner:
        with counted("images") as report:
            seen = await acquire(paths, examiner, report)
        for path, why in (missing(seen) | failures(seen)).items():
            console.print(f"{path}: {why}", highlight=False, markup=False, soft_wrap=True)
        return seen, examiner.space.fingerprint
