"""The options that say which part of the stream is meant."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams import topics
from streams.cli.terminal.moments import date
from streams.errors import BadInput, Unready

if TYPE_CHECKING:
    from streams.tools.recording.manifest import Manifest, Selection

#: What can be recorded; the first two by default.
TOPICS = tuple(
    topic.name
    for topic in (
        topics.SAMPLES_ACCEPTED,
        topics.SAMPLES_FLAGGED,
        topics.GENERATION_SAMPLES,
        topics.TRAINING_SAMPLES,
    )
)

Topic = Annotated[
    list[str] | None,
    typer.Option(help=f"Which topics, of {', '.join(TOPICS)}. (default: both of verdicts)", show_default=False),
]
Run = Annotated[str | None, typer.Option(help="Only samples of this training run.")]
Steps = Annotated[str | None, typer.Option(metavar="FIRST:LAST", help="Only these training steps, both included.")]
Since = Annotated[str | None, typer.Option(metavar="TIME", help="Only what was published from then on.")]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Only what was published before.")]
Offsets = Annotated[
    list[str] | None,
    typer.Option(metavar="PARTITION:FIRST-END", help="Only these records of a partition; END is not among them."),
]


def selection(  # one argument an option
    topic: Sequence[str] | None,
    run: str | None,
    steps: str | None,
    since: str | None,
    until: str | None,
    offsets: Sequence[str] | None,
    *,
    images: bool,
) -> "Selection":
    """Return what the options select.

    Raises:
        BadInput: If one of them cannot be meant.
    """
    require_pyarrow()
    from streams.tools.recording.manifest import Selection

    if unknown := set(topic or ()) - set(TOPICS):
        raise BadInput(f"expected topics of {', '.join(TOPICS)}, got {', '.join(sorted(unknown))}")
    first, last = _steps(steps)
    return Selection(
        topics=tuple(sorted(set(topic or TOPICS[:2]))),
        run=run,
        first_step=first,
        last_step=last,
        since=None if since is None else date(since, "--since"),
        until=None if until is None else date(until, "--until"),
        offsets=dict(map(_offsets, offsets or ())),
        images=images,
    )


def shown(held: "Manifest", folder: Path) -> dict[str, object]:
    """Return what a command says of a recording."""
    return {
        "recording": str(folder),
        "samples": held.rows,
        "complete": held.complete,
        "counts": held.counts,
        "policies": held.policies,
        "galleries": held.galleries,
        "gallery": None if held.gallery is None else held.gallery.model_dump(),
        "embedding_space": held.embedding_space,
    }


def require_pyarrow() -> None:
    """Say what is missing where recordings cannot be read or written.

    Raises:
        Unready: If pyarrow is not installed.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise Unready("pyarrow is not installed: `pip install 'likeness-qc[replay]'`") from error


def _steps(text: str | None) -> tuple[int | None, int | None]:
    if text is None:
        return None, None
    found = re.fullmatch(r"([0-9]{0,18}):([0-9]{0,18})", text, re.ASCII)
    if found is None or text == ":":
        raise BadInput(f"--steps {text!r}: expected FIRST:LAST such as 100:500, 100: or :500")
    first, last = (int(each) if each else None for each in found.groups())
    return first, last


def _offsets(text: str) -> tuple[int, tuple[int, int]]:
    found = re.fullmatch(r"([0-9]{1,9}):([0-9]{1,18})-([0-9]{1,18})", text, re.ASCII)
    if found is None:
        raise BadInput(f"--offsets {text!r}: expected PARTITION:FIRST-END such as 0:1200-1400")
    partition, first, end = map(int, found.groups())
    return partition, (first, end)
