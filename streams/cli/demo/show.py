"""What the demonstration says in the end: on the terminal, and as JSON."""

from pathlib import Path
from typing import Any

from rich.table import Table

from streams.cli.demo.report import FAMILIES, Outcome
from streams.cli.terminal.output import page, say
from streams.events import SampleJudged, TrainingAdvised
from streams.tools.audit.tables import render
from streams.tools.report.levels import Level, by_strength, unmade
from streams.tools.report.training import TrainingRun

#: What is told of each step of the training run.
_TOLD = ("step", "samples", "accepted", "similarity", "rank1", "abstention_rate", "frechet", "advice", "reason")


def show(outcome: Outcome, report: Path, first: float | None) -> None:
    """Print the tables; ``first`` is when the first verdict came, in seconds from the start."""
    wandering, families = _divided(outcome)
    table = Table("σ", "samples", "accepted", "flagged", "similarity", "main reasons")
    for level in by_strength(wandering):
        table.add_row(f"{level.strength:g}", *_cells(level))
    if (never := unmade(wandering)).samples:
        table.add_section()
        table.add_row("never made", *_cells(never))
    page.print(table)
    if families:
        table = Table("family", "samples", "accepted", "flagged", "similarity", "main reasons")
        for model, level in families.items():
            table.add_row(model, *_cells(level))
        page.print(table)
    if outcome.training is not None:
        page.print(_steps(outcome.training))
        say(_conclusion(outcome.training))
    page.print(render(outcome.balance))
    if first is not None:
        say(f"first verdict after {first} s")
    say(f"report: {report}")


def _divided(outcome: Outcome) -> tuple[list[SampleJudged], dict[str, Level]]:
    """Return the samples that wander off, and those of each trained family."""
    made = [judged for judged in outcome.followed.verdicts.values() if judged.kind == "generation"]
    by_model = {model: tuple(judged for judged in made if judged.model == model) for model in FAMILIES}
    families = {model: Level(None, samples) for model, samples in by_model.items() if samples}
    return [judged for judged in made if judged.model not in FAMILIES], families


def _cells(level: Level) -> list[str]:
    mean = "" if level.mean is None else f"{level.mean:.2f}"
    reasons = ", ".join(f"{code} {number}" for code, number in level.reasons.items())
    return [str(len(level.samples)), str(level.accepted), str(level.flagged), mean, reasons]


def _steps(run: TrainingRun) -> Table:
    table = Table("training step", "samples", "accepted", "similarity", "rank-1", "advice")
    for said in run.feedback:
        figures = ["" if value is None else f"{value:.2f}" for value in (said.similarity, said.rank1)]
        table.add_row(str(said.step), str(said.samples), str(said.accepted), *figures, said.advice)
    return table


def _conclusion(run: TrainingRun) -> str:
    stopped = "was never told to stop" if run.stopped is None else f"was told to stop at step {run.stopped.step}"
    raised = "no alert was raised" if run.raised is None else f"the alert was raised at step {run.raised.raised_step}"
    best = "none is the best" if run.best_step is None else f"the best is that of step {run.best_step}"
    return f"the training run {stopped}, {raised}; of its checkpoints {best}"


def as_dict(outcome: Outcome, report: Path, first: float | None) -> dict[str, Any]:
    """Return the result as JSON can hold it: the audit's counts, and what became of each strength, family and step."""
    wandering, families = _divided(outcome)
    return {
        **outcome.balance.as_dict(),
        "first_verdict_s": first,
        "by_sigma": {f"{level.strength:g}": _level(level) for level in by_strength(wandering)},
        "never_made": {"samples": len(unmade(wandering).samples), "reasons": unmade(wandering).reasons},
        "families": {
            model: {**_level(level), "flagged": level.flagged, "abstained": level.abstained}
            for model, level in families.items()
        },
        "training": None if outcome.training is None else _training(outcome.training),
        "report": str(report),
    }


def _level(level: Level) -> dict[str, Any]:
    return {
        "samples": len(level.samples),
        "accepted": level.accepted,
        "mean_similarity": None if level.mean is None else round(level.mean, 4),
        "reasons": level.reasons,
    }


def _training(run: TrainingRun) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "feedback": [_step(said) for said in run.feedback],
        "best_step": run.best_step,
        "stopped_at": None if run.stopped is None else run.stopped.step,
        "alerts": [alert.model_dump(mode="json", exclude={"version"}, exclude_none=True) for alert in run.alerts],
        "fall": [{"step": step, "value": value} for step, value in run.fall],
        "limit": run.limit,
    }


def _step(said: TrainingAdvised) -> dict[str, Any]:
    return said.model_dump(mode="json", include=set(_TOLD))
