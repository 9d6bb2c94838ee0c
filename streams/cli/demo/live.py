"""What the demonstration shows while it runs: counts that grow, and one line a step of the training run."""

from collections.abc import Iterator

from rich.live import Live
from rich.table import Table

from streams.cli.demo.training import EACH
from streams.cli.terminal.output import console
from streams.events import SampleJudged, TrainingAdvised
from streams.tools.demo import Followed
from streams.tools.demo_requests import FAMILIES
from streams.tools.report.levels import Level

_COLOURS = {"continue": "green", "best-so-far": "yellow", "stop": "red"}


class Shower:
    """Shows what has come: counts on a terminal alone, steps everywhere."""

    def __init__(self, live: Live, asked: int) -> None:
        """Take how many samples and messages were asked for beside the training run's."""
        self._live, self._asked = live, asked
        self._told: set[str] = set()

    def tell(self, seen: Followed) -> None:
        """Show what is new."""
        for step in sorted(seen.feedback):
            said = seen.feedback[step]
            if said.samples >= EACH and self._new(f"step {step}"):
                console.print(_line(said), highlight=False, soft_wrap=True)
        for alert in seen.alerts.values():
            if alert.active and self._new(alert.alert_id):
                console.print(
                    f"[red]alert[/]: {alert.statistic} since step {alert.since_step}, raised at step"
                    f" {alert.raised_step}: {alert.value:.1f} is above {alert.limit:.1f}",
                    highlight=False,
                    soft_wrap=True,
                )
        if console.is_terminal:
            self._live.update(_counts(seen, self._asked))

    def _new(self, what: str) -> bool:
        new = what not in self._told
        self._told.add(what)
        return new


def _line(said: TrainingAdvised) -> str:
    similarity = "–" if said.similarity is None else f"{said.similarity:.2f}"
    rank1 = "–" if said.rank1 is None else f"{said.rank1:.2f}"
    why = "" if said.advice == "continue" else f": {said.reason}"
    colour = _COLOURS[said.advice]
    return f"training step {said.step}: similarity {similarity}, rank-1 {rank1}, [{colour}]{said.advice}[/]{why}"


def _counts(seen: Followed, asked: int) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_row("ended", f"[bold]{seen.ended}[/]", f"{asked} asked for, and what the training run publishes")
    for name, samples in _groups(list(seen.verdicts.values())):
        group = Level(None, samples)
        judged = f"[green]{group.accepted} accepted[/]  [yellow]{group.flagged} flagged[/]"
        table.add_row(name, f"[bold]{len(samples)}[/]", judged)
    table.add_row("dead letters", f"[red]{len(seen.dead)}[/]")
    return table


def _groups(samples: list[SampleJudged]) -> Iterator[tuple[str, tuple[SampleJudged, ...]]]:
    """Yield the samples of each model, and those of the training run."""
    made = [one for one in samples if one.kind == "generation"]
    yield "wandering off", tuple(one for one in made if one.model not in FAMILIES)
    for model in FAMILIES:
        if found := tuple(one for one in made if one.model == model):
            yield model, found
    if found := tuple(one for one in samples if one.kind == "training"):
        yield "training run", found
