"""Gates on a replay, such as ``newly_flagged > 1%``: read as a grammar of three words, never as code."""

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from streams.core.replay.changes import Tally
from streams.errors import BadInput
from streams.events import ReasonCode

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_RULE = re.compile(r"\s*([a-z_-]+)\s*(>=|<=|==|!=|>|<)\s*([0-9]{1,12}(?:\.[0-9]{1,12})?)\s*(%?)\s*", re.ASCII)

_COUNTS = ("samples", "unjudged", "accepted", "flagged", "changed", "newly_flagged", "newly_accepted")
_NEWLY = "newly_"


@dataclass(frozen=True)
class Rule:
    """One rule that fails a replay where it is true."""

    text: str
    name: str
    comparison: str
    limit: float
    percent: bool
    """Whether the limit is of a share of all samples, in per cent, and not of their number."""


@dataclass(frozen=True)
class Ruling:
    """What came of one rule."""

    rule: Rule
    value: float | None
    """What was compared with the limit; None where there is no share, of no samples."""
    failed: bool


def parse_rule(text: str) -> Rule:
    """Return the rule ``NAME COMPARISON NUMBER[%]``.

    A name is one of the tally's, a reason, or ``newly_`` before a reason, which is how often it is given now and was
    not before.

    Raises:
        BadInput: If it is anything else.

    >>> parse_rule("newly_leak >= 3").limit
    3.0
    """
    found = _RULE.fullmatch(text)
    if found is None:
        raise BadInput(f"expected a rule such as 'newly_flagged > 1%' or 'newly_leak >= 3', got {text!r}")
    name, comparison, number, percent = found.groups()
    reasons = [code.value for code in ReasonCode]
    if name not in _COUNTS and name not in reasons and name.removeprefix(_NEWLY) not in reasons:
        known = ", ".join([*_COUNTS, *reasons])
        raise BadInput(f"no {name!r} to set a rule for, expected one of {known}, or newly_ before a reason")
    return Rule(text.strip(), name, comparison, float(number), bool(percent))


def rulings(rules: Sequence[Rule], tally: Tally) -> list[Ruling]:
    """Return what comes of each rule. Where no sample was replayed every rule fails: nothing was shown to be well."""
    return [_ruling(rule, tally) for rule in rules]


def _ruling(rule: Rule, tally: Tally) -> Ruling:
    count = _count(rule.name, tally)
    if not tally.samples:
        return Ruling(rule, None if rule.percent else count, failed=True)
    value = 100 * count / tally.samples if rule.percent else float(count)
    return Ruling(rule, value, _COMPARISONS[rule.comparison](value, rule.limit))


def _count(name: str, tally: Tally) -> int:
    if name in _COUNTS:
        return int(getattr(tally, name))
    if name.startswith(_NEWLY):
        return tally.by_reason[ReasonCode(name.removeprefix(_NEWLY))].gained
    return tally.by_reason[ReasonCode(name)].after
