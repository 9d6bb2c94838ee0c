"""The tables of ``docs/DRIFT.md`` that nobody writes by hand."""

from pathlib import Path
from textwrap import fill
from typing import Any

from streams.errors import BadInput
from tests.bench.drift.estimated import LONGEST_DELAY
from tests.bench.drift.known import LADDER, ONSET, STEPS_A_RUNG
from tests.bench.drift.pool import IN_CONTROL
from tests.bench.drift.streams import EACH

BEGIN, END = "<!-- written by make drift: begin -->", "<!-- written by make drift: end -->"
#: Of a line of text, in characters.
WIDTH = 120


def publish(result: dict[str, Any], page: Path) -> None:
    """Write the tables between the markers of the page.

    Raises:
        BadInput: If the page has no such markers.
    """
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise BadInput(f"expected {BEGIN} and {END} in {page}, got a page without them: put them where the tables go")
    page.write_text(f"{before}{BEGIN}\n{tables(result)}\n{END}{after}")


def tables(result: dict[str, Any]) -> str:
    """Return both tables as Markdown; the same result gives the same text."""
    known, estimated = result["known"], result["estimated"]
    ladder = len(result["pool"]) > 2  # of one rung it is a step
    delays = [(name, row) for name, row in known["delays"].items() if ladder or name != LADDER]
    rows = [("in control", known["in_control"]), *delays]
    scored = ", ".join(f"{count:,} at {strength}" for strength, count in result["pool"].items())
    of_known = (
        f"One person by the DCGAN at strength {IN_CONTROL:.2f} is in control. Samples are drawn from those that were"
        f" scored ({scored}), {EACH} a window. The law is known, the limit {known['limit']:.3f} is that of the"
        f" published tables for {result['arl0_promised']:g} windows, and a drift begins after {ONSET} of them."
        f" A delay counts from the drift's first window on."
        f"{f' `{LADDER}` goes up one rung every {STEPS_A_RUNG} windows.' if ladder else ''}"
    )
    of_estimated = (
        f"The same where the law is estimated from the first scores of a stream; the drift is a step to"
        f" {result['rung']:.2f}, and each of {result['estimated_streams']} streams has a calibration of its own. A"
        f" drift that is not found within {LONGEST_DELAY} windows counts as found in the next one."
    )
    lines = [
        fill(of_known, WIDTH),
        "",
        "| stream | windows until an alert: promised | measured | standard error | streams |",
        "|---|---|---|---|---|",
        *(
            f"| {_called(name, known['laws'])} | {row['promised']:.2f} | {row['measured']:.2f} | {row['se']:.2f}"
            f" | {row['streams']} |"
            for name, row in rows
        ),
        "",
        fill(of_estimated, WIDTH),
        "",
        "| calibration scores | limit | calibrations that run as long as promised | streams that speak falsely within"
        " that time | delay: mean | nine in ten |",
        "|---|---|---|---|---|---|",
        *(
            f"| {size} | {name} {row['limit']:.2f} | {row['keep_the_promise']:.0%} | {row['speak_within_it']:.0%}"
            f" | {row['delay']:.1f} | {row['delay_of_nine_in_ten']} |"
            for size, both in estimated.items()
            for name, row in both.items()
        ),
    ]
    return "\n".join(lines)


def _called(name: str, laws: dict[str, list[float]]) -> str:
    if name not in laws:
        return name
    mean, sd = laws[name]
    return f"step to {name} ({-mean:.2f} standard deviations of a window, which then varies {sd:.2f} times as much)"
