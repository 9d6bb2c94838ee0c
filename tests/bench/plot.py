"""The plot of the page: samples a second beside what arithmetic allows, and what a search costs as galleries grow."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def plot(result: Mapping[str, Any], file: Path) -> None:
    """Draw what was measured of the step, the networks and the galleries into an SVG file."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    # The same numbers give the same file: no date, no random ids; text stays text.
    with mpl.rc_context({"svg.hashsalt": "likeness", "svg.fonttype": "none", "font.size": 9}):
        drawn = Figure(figsize=(11, 3.6), layout="constrained")
        panels = drawn.subplots(1, 3)
        parts = result["parts"]
        if engines := parts.get("engines"):
            _bars(panels[0], engines["configurations"], _best_batch, "faces/s, embedding alone")
        if step := parts.get("step"):
            rows = dict(step["configurations"])
            rows |= {
                f"deepface on {engine}": {"a_process_a_core": one["in_lists"], "limit": None}
                for engine, one in step["deepface"].items()
            }
            _bars(panels[1], rows, lambda row: float(row["a_process_a_core"]["median"]), "samples/s, image to verdict")
        if references := parts.get("references"):
            _lines(panels[2], references["servers"])
        drawn.savefig(file, metadata={"Date": None})


def _best_batch(row: Mapping[str, Any]) -> float:
    return max(float(one["median"]) for one in row["batches"].values())


def _bars(panel: Any, rows: Mapping[str, Any], value: Any, title: str) -> None:
    names: list[str] = list(rows)[::-1]
    values = [value(rows[name]) for name in names]
    panel.barh(names, [rows[name]["limit"] or 0 for name in names], color="#e4e4e4", label="arithmetic limit")
    panel.barh(names, values, height=0.5, color="#2a6f97", label="measured")
    for place, one in enumerate(values):
        panel.text(one, place, f" {one:.0f}" if one >= 10 else f" {one:.1f}", va="center")
    panel.set_title(title)
    panel.legend(loc="lower right", frameon=False)


def _lines(panel: Any, servers: Mapping[str, Any]) -> None:
    for name, sizes in servers.items():
        panel.plot([int(size) for size in sizes], [one["ms"] for one in sizes.values()], marker="o", label=name)
    panel.set_xscale("log")
    panel.set_ylim(bottom=0)
    panel.set_xlabel("references")
    panel.set_title("ms a sample, search")
    panel.legend(frameon=False)
