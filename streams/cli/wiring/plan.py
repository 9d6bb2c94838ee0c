"""What the settings want of the charts."""

from streams.core.drift.plan import Plan
from streams.settings import Settings


def drift_plan(settings: Settings) -> Plan:
    """Return the plan that these settings make."""
    return Plan(
        window_seconds=settings.drift_window_seconds,
        lateness_seconds=settings.drift_lateness_seconds,
        calibration=settings.drift_calibration,
        charts=settings.drift_charts,
        windows_between_false_alarms=settings.drift_windows_between_false_alarms,
    )
