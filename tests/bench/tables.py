"""The result as tables of words: for the terminal and for the page, which differ in how they draw them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.bench.expected import DEEPFACE_PER_S, FACES_PER_S, FIGURES, PEAK_GFLOPS, SEARCH_MS, STEP_PER_S

Part = Mapping[str, Any]

#: What is said of every configuration: by the clock, and by the processor time that it took on all cores together.
_LIMITS = ("arithmetic limit", "of it", "core-ms", "of the limit")

#: Of rounds in which other programs took more cores than this, the rates do not compare; ratios still may.
DISTURBED_CORES = 0.2


@dataclass(frozen=True)
class Table:
    """Rows of words under a heading."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def figures(result: Part) -> Table:
    """Return what was wanted, expected and found."""
    rows = []
    asked = {name: figure for name, figure in FIGURES.items() if figure.part in result["parts"]}
    for name, figure in asked.items():
        value, least = result[name], "≤" if figure.small else "≥"
        goal = "" if figure.goal is None else f"{least} {figure.goal:g}"
        reached = None if value is None else figure.reached(value)
        said = {True: "reached", False: "**not reached**", None: ""}[reached]
        came = "not measured" if value is None else f"{value:g}"
        rows.append((f"`{name}`", figure.what, goal, f"{figure.expected:g}", came, said))
    missing = "; ".join(f"`{name}`: {reason}" for name, reason in result["reasons"].items() if name in asked)
    return Table("In short", ("", "", "goal", "expected", "came", ""), rows, missing)


def engines(part: Part) -> list[Table]:
    """Return the machine's peak, and each configuration by batch size."""
    batches = list(next(iter(part["configurations"].values()))["batches"])
    rows = [
        (
            name,
            *(_median(one["batches"][batch]) for batch in batches),
            _number(FACES_PER_S.get(name)),
            f"{one['limit']:.0f}",
            f"{one['limit_share']:.0%}",
            f"{one['core_ms']:.1f}",
            f"{one['core_limit_share']:.0%}",
        )
        for name, one in part["configurations"].items()
    ]
    header = ("faces/s", *(f"batch {batch}" for batch in batches), "expected", *_LIMITS)
    a_face = f"One face is {part['gflop_a_face']} GFLOP; {part['threads']} threads. {_missing(part)}"
    return [_peak(part), Table("Embedding", header, rows, a_face.strip())]


def step(part: Part) -> list[Table]:
    """Return the whole step by configuration, and deepface."""
    rows = [
        (
            name,
            _median(one["one_by_one"]),
            f"{_median(one['in_batches'])} ({_spread(one['in_batches'])})",
            _number(STEP_PER_S.get(name)),
            f"{_median(one['a_process_a_core'])} ({_spread(one['a_process_a_core'])})",
            f"{one['looked_at_again']:.0%}",
            f"{one['limit']:.0f}",
            f"{one['limit_share']:.0%}",
            _core_ms(one["a_process_a_core"]),
            f"{one['core_limit_share']:.0%}",
        )
        for name, one in part["configurations"].items()
    ]
    for engine, one in part["deepface"].items():
        expected = ", ".join(map(_number, DEEPFACE_PER_S[engine]))
        lists, apart = one["in_lists"], one["a_process_a_core"]
        measured = (_median(one["one_by_one"]), f"{_median(lists)} ({_spread(lists)})")
        together = f"{_median(apart)} ({_spread(apart)})"
        rows.append((f"deepface on {engine}", *measured, expected, together, "", "", "", _core_ms(apart), ""))
    batches = f"batches of {part['batch_size']}"
    header = ("samples/s", "one by one", batches, "expected", "a process a core", "embedded twice", *_LIMITS)
    found = part["detection"]
    note = (
        f"Finding the face takes {found['core_ms_a_sample']} core-ms a sample in onnxruntime, of which its networks are"
        f" {found['in_its_networks']:.0%}; they are {found['mflop_a_sample']} MFLOP. {_missing(part)}"
    )
    return [_peak(part), Table("The step", header, rows, note.strip())]


def exactness(part: Part) -> list[Table]:
    """Return what a fast first look changes."""
    of_each = part["precisions"]
    left_out = {"flips_per_10k", "cosine_min", "changed", "in fp32"}
    names = [name for name in next(iter(of_each.values())) if name not in left_out]
    rows = [(name, *("" if one[name] is None else f"{one[name]:,}" for one in of_each.values())) for name in names]
    return [Table("Verdicts", ("", *of_each), rows, _missing(part))]


def references(part: Part) -> list[Table]:
    """Return what a search costs as galleries grow."""
    rows = []
    for server, sizes in part["servers"].items():
        for size, one in sizes.items():
            expected = _number(SEARCH_MS.get(server, {}).get(size))
            rows.append((server, f"{int(size):,}", f"{one['ms']:.2f}", expected))
    header = ("", "references", "ms a sample", "expected")
    note = f"{part['references_a_person']} references a person; a search asks for people and for references. "
    return [Table("Search", header, rows, f"{note}{_missing(part)}".strip())]


def workers(part: Part) -> list[Table]:
    """Return one worker beside two, and the bare engine beside both."""
    called = {
        "one": "one worker of one thread",
        "two": "two workers of one thread",
        "bare": f"the bare engine, {part['bare_threads']} threads",
    }
    rows = [(words, _median(part[name]), _spread(part[name])) for name, words in called.items()]
    compared = f"two / one {part['ratio']:.2f}"
    if part["of_bare"] is not None:
        compared += f", two / bare {part['of_bare']:.2f}"
    note = f"{part['engine']} {part['precision']}; {part['samples']} samples a round; {compared}."
    return [Table("One worker, and two", (part["unit"], "median", "least–most"), rows, note)]


def road(part: Part) -> list[Table]:
    """Return the road beside the bare engine, and what a batch's time goes to."""
    rows = [
        (f"{name}, {part[name]['unit']}", _median(part[name]), _spread(part[name]), part["expected"][name])
        for name in ("bare", "road")
    ]
    share = part["road"]["engine_share"]
    rows.append(("road / bare", f"{part['ratio']['of_medians']:.3f}", "", part["expected"]["ratio"]))
    rows.append(("engine's share of the road's time", f"{share['median']:.3f}", "", part["expected"]["engine_share"]))
    note = (
        f"{part['engine']} {part['precision']}, {part['threads']} threads; {part['samples']} samples a round, in"
        f" batches of {part['road']['mean_batch']} on the road."
    )
    calls = part["batch"]
    whole = calls["in all"]["ms"]
    apart = [
        (name, f"{one['calls']:g}", f"{one['ms']:.1f}", f"{one['ms'] / whole:.1%}")
        for name, one in sorted(calls.items(), key=lambda item: (item[0] == "in all", -item[1]["ms"]))
    ]
    return [
        Table("The road", ("", "median", "least–most", "expected"), rows, note),
        Table(f"One batch; on the road it takes {part['road']['batch_ms']:.0f} ms", ("", "calls", "ms", ""), apart),
    ]


def regate(part: Part) -> list[Table]:
    """Return how fast a recording goes by."""
    names = {
        "command": "`likeness replay regate --no-report`",
        "report": "the same with its report",
        "script": "a script of pandas",
        "regate": "the rule alone",
        "pandas": "pandas alone",
        "read": "read",
    }
    rows = [
        (
            name,
            *(f"{part[of][key]:,}" for of in ("samples_per_s", "per_core_second")),
            f"{part['peak_mb'][key]:,}" if key in part["peak_mb"] else "",
            *(f"{seconds:.2f}" for seconds in part["rounds"][key]),
        )
        for key, name in names.items()
    ]
    header = (
        "",
        "samples/s",
        "a core-second",
        "peak, MB",
        *(f"round {number}, s" for number, _ in enumerate(part["rounds"]["regate"], start=1)),
    )
    size = f"{part['rows']:,} samples in {part['parts']} files of {part['bytes'] / 1e6:,.0f} MB"
    reading = f"{part['columns']} columns are read, which is {part['read_share']:.0%} of the command's processor time"
    note = f"{size}; {reading}. {part['changed']:,} verdicts change."
    return [Table("A recording judged again", header, rows, note)]


TABLES: dict[str, Callable[[Part], list[Table]]] = {
    "engines": engines,
    "step": step,
    "exactness": exactness,
    "references": references,
    "regate": regate,
    "workers": workers,
    "road": road,
}


def disturbed(result: object) -> float:
    """Return the most cores that other programs took in any round, wherever that is noted."""
    if isinstance(result, Mapping):
        own: list[float] = result.get("others_cores") or [0.0]
        return max([*own, *(disturbed(one) for one in result.values())])
    return 0.0


def _peak(part: Part) -> Table:
    rows = [
        (name, f"{one['gflops']:.0f}", _number(PEAK_GFLOPS.get(name)), f"{one['gflops_of_a_core']:.0f}", one["by"])
        for name, one in part["peak_gflops"].items()
    ]
    return Table("Arithmetic peak", ("", "GFLOP/s", "expected", "GFLOP a core-second", "by"), rows)


def _median(one: Mapping[str, Any]) -> str:
    return f"{one['median']:.1f}"


def _core_ms(one: Mapping[str, Any]) -> str:
    return f"{1000 / one['per_core_second']:.1f}"


def _spread(one: Mapping[str, Any]) -> str:
    return f"{one['least']:.1f}–{one['most']:.1f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _missing(part: Part) -> str:
    return " ".join(f"Not measured: {name}, {reason}." for name, reason in part["missing"].items())
