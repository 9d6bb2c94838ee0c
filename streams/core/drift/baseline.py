"""A new baseline after a change that was wanted: what came before it says nothing of what is in control any more."""

from datetime import datetime, timedelta

from streams import topics
from streams.core.drift.notices import Notice, start_of
from streams.core.drift.plan import Plan
from streams.events import DriftAlerted, to_json


def first_window(since: datetime, plan: Plan) -> int:
    """Return the first window that has nothing of before ``since``.

    >>> from datetime import UTC
    >>> plan = Plan(window_seconds=60)
    >>> [first_window(datetime(1970, 1, 1, 0, 5, second, tzinfo=UTC), plan) for second in (0, 1)]
    [5, 6]
    """
    length = timedelta(seconds=plan.window_seconds)
    return -((start_of(0, plan) - since) // length)


def ended(said: Notice, baseline: int, plan: Plan) -> Notice | None:
    """Return that an alert on what came before the baseline is over with it; None where it does not stand.

    Args:
        said: What was last said of an alert, or of something else.
        baseline: The first window that counts.
        plan: Gives the windows their times.
    """
    if said.topic != topics.DRIFT_ALERTS.name or said.window >= baseline:
        return None
    before = DriftAlerted.model_validate_json(said.body)
    if not before.active:
        return None
    over = {"change": "cleared", "active": False, "cleared": start_of(baseline, plan), "revision": said.revision + 1}
    body = to_json(before.model_copy(update=over)).decode()
    return Notice(said.subject, said.topic, said.window, said.revision + 1, body)
