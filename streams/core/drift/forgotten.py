"""What charts of several people keep when one of them was forgotten: points and alerts, without that person's part."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from streams.core.drift.alert import Alert, Mover
from streams.core.drift.calibration import TOGETHER, Calibration
from streams.core.drift.fold import Point, Standing
from streams.events import DriftAlerted


def calibration_without(calibration: Calibration, identity: str, scores: Iterable[int]) -> Calibration:
    """Return the calibration without the person's ``scores``; everybody else is held to their own as before."""
    strata = {name: kept for name, kept in calibration.strata.items() if name != identity}
    if identity not in calibration.strata and TOGETHER in strata:
        left = Counter(strata.pop(TOGETHER)) - Counter(scores)
        strata |= {TOGETHER: tuple(sorted(left.elements()))} if left else {}
    return replace(calibration, strata=strata)


def point_without(point: Point, identity: str) -> Point:
    """Return the point, which says where the chart stands, and names no sample of the person."""
    standings = {name: _standing_without(standing, identity) for name, standing in point.standings.items()}
    return point.model_copy(update={"standings": standings})


def alert_without(alert: DriftAlerted, identity: str) -> DriftAlerted:
    """Return what was said, and names no sample of the person."""
    return alert.model_copy(update={"moved_by": tuple(one for one in alert.moved_by if one.identity != identity)})


def _standing_without(standing: Standing, identity: str) -> Standing:
    alert: Alert | None = standing.alert
    if alert is not None:
        alert = alert.model_copy(update={"moved_by": _others(alert.moved_by, identity)})
    return standing.model_copy(update={"movers": _others(standing.movers, identity), "alert": alert})


def _others(movers: Iterable[Mover], identity: str) -> tuple[Mover, ...]:
    return tuple(one for one in movers if one.identity != identity)
