"""The reports of a calibration and of evaluations: one HTML file each, which needs nothing beside itself."""

from datetime import datetime

import numpy as np

from streams.core.biometrics.rates import det, eer, fmr_at, fnmr_at, fpir, rule_of_three, threshold_at_fmr
from streams.core.imprints import Descriptor, Measure
from streams.tools.copying import Copying
from streams.tools.rates import charts as rate_charts
from streams.tools.rates.calibrate import Findings, Targets
from streams.tools.rates.evaluation import Evaluation
from streams.tools.rates.pages import templates

#: So many files are listed; all are counted.
ROWS = 100
#: Sizes of galleries for which the report says what the limit of others means.
SIZES = (10, 100, 1000, 10_000)

_SIZE = {
    "width": rate_charts.WIDTH,
    "height": rate_charts.HEIGHT,
    "left": rate_charts.LEFT,
    "right": rate_charts.RIGHT,
    "top": rate_charts.TOP,
    "bottom": rate_charts.BOTTOM,
}


def calibration_html(findings: Findings, targets: Targets, created_at: datetime) -> str:
    """Return the page on a calibration."""
    policy, measured, comparisons = findings.policy, findings.measured, findings.evidence.comparisons
    limits, curve = policy.limits, findings.curve
    chosen = next(point for point in measured.operating_points if point.similarity == limits.similarity)
    others = next(point for point in measured.operating_points if point.similarity == limits.other_similarity)
    curves = [("plain", curve)]
    normalised = None
    if findings.evidence.normalised is not None:
        after = det(findings.evidence.normalised.mated, findings.evidence.normalised.non_mated)
        curves.append(("score-normalised", after))
        normalised = {
            "eer": eer(after),
            "fnmr": fnmr_at(after, threshold_at_fmr(after, targets.fmr)),
            "raw_fnmr": fnmr_at(curve, threshold_at_fmr(curve, targets.fmr)),
        }
    marked = {"limit": limits.similarity, "limit of others": limits.other_similarity}
    return (
        templates()
        .get_template("calibration.html.j2")
        .render(
            title=f"Calibration: {policy.name}",
            created_at=created_at,
            size=_SIZE,
            findings=findings,
            policy=policy,
            measured=measured,
            limits=limits.model_dump(),
            at_limit=chosen,
            extrapolated=chosen.extrapolated,
            normalised=normalised,
            sizes=[(size, fpir(others.fmr, size)) for size in sorted({*SIZES, measured.gallery_size})],
            ratios=[_ratio(measured.likelihood_ratio.log_ratio[place]) for place in (0, -1)],
            score_chart=rate_charts.score_chart(comparisons, list(marked.items())),
            det_chart=rate_charts.det_chart(
                curves,
                [(name, fmr_at(curve, at), fnmr_at(curve, at)) for name, at in marked.items()],
                resolved=rule_of_three(measured.non_mated),
            ),
        )
    )


def evaluation_html(evaluation: Evaluation, title: str, created_at: datetime) -> str:
    """Return the page on an evaluation."""
    figures = evaluation.figures
    charts: dict[str, rate_charts.ScoreChart | rate_charts.DetChart | None] = {"score_chart": None, "det_chart": None}
    if figures.curve is not None and figures.comparisons is not None:
        limit = figures.threshold_policy
        marked = [] if limit is None else [("limit", limit)]
        rates = [(name, fmr_at(figures.curve, at), fnmr_at(figures.curve, at)) for name, at in marked]
        resolved = rule_of_three(figures.non_mated)
        charts = {
            "score_chart": rate_charts.score_chart(figures.comparisons, marked),
            "det_chart": rate_charts.det_chart([("plain", figures.curve)], rates, resolved=resolved),
        }
    return (
        templates()
        .get_template("evaluation.html.j2")
        .render(
            title=title,
            created_at=created_at,
            size=_SIZE,
            evaluation=evaluation,
            warnings=warnings(evaluation),
            bound=rule_of_three(figures.non_mated) if figures.non_mated else None,
            rows=ROWS,
            **charts,
        )
    )


def copying_html(copying: Copying, descriptor: Descriptor, created_at: datetime) -> str:
    """Return the page on whether a generator copies its training images."""
    generated, held_out = (np.array(each, dtype=np.float64) for each in copying.distances)
    return (
        templates()
        .get_template("copying.html.j2")
        .render(
            title="Evaluation: copying",
            created_at=created_at,
            size=_SIZE,
            copying=copying,
            descriptor=descriptor.fingerprint,
            axis="differing bits" if descriptor.measure is Measure.BITS else "1 less similarity",
            chart=rate_charts.distributions(held_out, generated),
            rows=ROWS,
        )
    )


def warnings(evaluation: Evaluation) -> list[str]:
    """Return what a reader must know before the figures."""
    said = []
    if not evaluation.figures.mated or not evaluation.figures.non_mated:
        said.append("there are no mated or no non-mated comparisons: nothing can be said about errors")
    if evaluation.pairs_left_out:
        said.append(f"{evaluation.pairs_left_out} pairs were left out: they name files that cannot be read")
    if evaluation.contradictions:
        said.append(
            f"{evaluation.contradictions} pairs are labelled as two people though other pairs say that they are one"
        )
    return said


def _ratio(log_ratio: float) -> str:
    """Return a likelihood ratio in words."""
    value = float(np.exp(abs(log_ratio)))
    digits = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{digits} : 1" if log_ratio >= 0 else f"1 : {digits}"
