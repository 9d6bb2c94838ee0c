"""What it does to both error rates that two verifiers have to agree: each alone, and both together."""

from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from streams.core.biometrics.comparisons import Comparisons
from streams.core.biometrics.measured import short, widened
from streams.core.biometrics.rates import det, fmr_at, fnmr_at
from streams.core.biometrics.resampling import intervals
from streams.core.calibration import Agreement, Errors

#: Between a comparison that does not match, 0, and one that does, 1.
_HALF = 0.5

Matches = npt.NDArray[np.bool_]


def agreement(
    first: Comparisons, second: Comparisons, limits: tuple[float, float], *, times: int, seed: int
) -> Agreement:
    """Return the error rates of two verifiers over the same comparisons, each at its limit.

    Args:
        first: What the one measured.
        second: What the other one measured of the same images, in the same order.
        limits: From which similarity upwards each of them matches.
        times: Draws of the people for the intervals.
        seed: Of these draws.

    Raises:
        ValueError: If these are not the same comparisons.
    """
    if not (
        np.array_equal(first.mated_subjects, second.mated_subjects)
        and np.array_equal(first.non_mated_subjects, second.non_mated_subjects)
    ):
        raise ValueError("expected both verifiers to have compared the same images, in the same order")
    mated = first.mated >= limits[0], second.mated >= limits[1]
    non_mated = first.non_mated >= limits[0], second.non_mated >= limits[1]
    errors = partial(_errors, first, times=times, seed=seed)
    return Agreement(
        mated=len(first.mated),
        non_mated=len(first.non_mated),
        first=errors(mated[0], non_mated[0]),
        second=errors(mated[1], non_mated[1]),
        both=errors(mated[0] & mated[1], non_mated[0] & non_mated[1]),
    )


def _errors(of: Comparisons, mated: Matches, non_mated: Matches, *, times: int, seed: int) -> Errors:
    """Return both error rates of a rule that says of each comparison whether it matches."""
    decided = replace(of, mated=mated.astype(np.float64), non_mated=non_mated.astype(np.float64))
    figures = {"fmr": partial(fmr_at, threshold=_HALF), "fnmr": partial(fnmr_at, threshold=_HALF)}
    curve = det(decided.mated, decided.non_mated)
    values = {name: figure(curve) for name, figure in figures.items()}
    found = intervals(decided, figures, times=times, seed=seed)
    return Errors(
        fmr=short(values["fmr"]),
        fmr_interval=widened(values["fmr"], found["fmr"], len(decided.non_mated)),
        fnmr=short(values["fnmr"]),
        fnmr_interval=widened(values["fnmr"], found["fnmr"], len(decided.mated)),
    )
