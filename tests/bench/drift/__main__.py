"""``make drift``: hold the charts to their promises on streams whose drift is known, and write the tables down."""

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from streams.cli.terminal.output import Json, console, emit, say
from streams.errors import BadInput, LikenessError
from streams.settings import read_settings
from streams.wheels import Report
from tests.bench.drift.estimated import estimated
from tests.bench.drift.known import LADDER, known
from tests.bench.drift.page import publish, tables
from tests.bench.drift.pool import FEWEST, IN_CONTROL, SCORES, Scores, at_hand, filled, lacking
from tests.bench.drift.replay import replayed


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    arl: float = 370.0
    """Windows between false alarms for which limits are set."""
    streams: int = 600
    """In control, and with each drift."""
    estimated_streams: int = 200
    scores: int = SCORES


QUICK = Size(streams=200, estimated_streams=50, scores=320)
SEED = 8
#: Where the law is estimated, drifts go to this strength.
STEP = 0.12


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Less of everything: a minute.")] = False,
    streams: Annotated[
        int | None, typer.Option(min=200, help="Streams of each kind; a third of them where laws are estimated.")
    ] = None,
    scored: Annotated[
        bool, typer.Option("--scored", help="Take the samples that were scored before, and no more.")
    ] = False,
    page: Annotated[
        Path | None, typer.Option("--publish", help="Write the tables into this page, if no pool is small.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure run lengths and delays of the charts, with known and with estimated parameters."""
    size = QUICK if quick else Size()
    size = size if streams is None else replace(size, streams=streams, estimated_streams=streams // 3)
    try:
        settings = read_settings()
        pools = at_hand(settings) if scored else asyncio.run(filled(settings, _tell, size.scores))
        if missing := {IN_CONTROL, STEP} - set(pools):
            names = " and ".join(f"{one:.2f}" for one in sorted(missing))
            raise BadInput(f"expected {FEWEST} scores of strength {names}, got fewer: leave --scored out")
        result = measured(pools, size, _tell)
        few = ["every strength: --quick"] if quick else lacking(pools)
        if page is not None and few:
            _tell(f"{page} stays as it is: expected {SCORES} scores of each strength, got fewer of {', '.join(few)}")
        elif page is not None:
            publish(result, page)
            _tell(f"written to {page}")
    except LikenessError as error:
        _tell(f"drift: {error}")
        sys.exit(1)
    if as_json:
        emit(result)
    else:
        say(tables(result))


def measured(pools: Mapping[float, Scores], size: Size, report: Report) -> dict[str, Any]:
    """Return everything that is measured on these pools; the same pools and size give the same result."""
    of_known = known(pools, size.arl, size.streams, SEED, report)
    of_estimated = estimated(pools, size.arl, STEP, size.estimated_streams, SEED, report)
    replay = asyncio.run(replayed(pools, max(pools), SEED))
    in_control, ladder = of_known["in_control"], of_known["delays"][LADDER]
    return {
        "arl0_promised": size.arl,
        "arl0_measured": in_control["measured"],
        "arl0_se": in_control["se"],
        "delay_promised": ladder["promised"],
        "delay_measured": ladder["measured"],
        "delay_se": ladder["se"],
        "streams": ladder["streams"],
        "replay_identical": replay.identical,
        "replay_alerts": replay.alerts,
        "pool": {f"{strength:.2f}": len(scores) for strength, scores in pools.items()},
        "known": of_known,
        "estimated": of_estimated,
        "estimated_streams": size.estimated_streams,
        "rung": STEP,
        "seed": SEED,
    }


def _tell(line: str) -> None:
    console.print(line, highlight=False, markup=False)


if __name__ == "__main__":
    typer.run(main)
