"""The templates of reports on rates, and how numbers are written in them."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape


def templates() -> Environment:
    """Return the templates; what comes from outside never becomes markup in a page."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=select_autoescape(enabled_extensions=("html.j2",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["similarity"] = _similarity
    environment.filters["rate"] = _rate
    environment.filters["between"] = _between
    return environment


def _similarity(value: float | None) -> str:
    """Return a similarity with four digits and a true minus sign; a dash for none."""
    return "–" if value is None else f"{value:.4f}".replace("-", "\N{MINUS SIGN}")


def _rate(value: float | None) -> str:
    """Return a rate in per cent with three digits that count; a dash for none.

    >>> [_rate(value).split() for value in (0.00123, 0.99996, 1.0, 0.0)]
    [['0.123', '%'], ['99.996', '%'], ['100', '%'], ['0', '%']]
    """
    return "–" if value is None else f"{_percent(value)}\N{NO-BREAK SPACE}%"


def _percent(value: float) -> str:
    percent = value * 100
    if 0 < percent < 1e-4:
        return f"{percent:.1e}"
    # A rate short of all by little is not rounded to all.
    return f"{percent:.5g}" if percent > 99 else f"{percent:.3g}"


def _between(interval: tuple[float, float] | None) -> str:
    """Return an interval of rates in per cent."""
    if interval is None:
        return "–"
    return f"{_percent(interval[0])}\N{NO-BREAK SPACE}– {_rate(interval[1])}"
