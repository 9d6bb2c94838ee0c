"""``docs/PERFORMANCE.md``, written by the bench."""

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from streams.errors import BadInput
from tests.bench.plot import plot
from tests.bench.tables import DISTURBED_CORES, TABLES, Table, disturbed, figures

_PREAMBLE = """\
# Performance

`make bench ARGS='--publish docs'` wrote this page, `performance.json` and `performance.svg` beside it; do not edit
them. Everything was measured in one run, in turns, so that what disturbs the machine for a while disturbs everything:
read the ratios, and the rates with the machine in mind. "Expected" was written down before the first run; every number
is the median of its rounds. Rates are by the clock; core-ms, processor time on all cores together, is what a sample
costs, and hardly changes while other programs are busy.
"""

_WHAT = {
    "engines": """\
## The networks

FaceNet alone, on faces that are cut out already. The peak is the fastest large convolution or matrix product that
oneDNN gets out of both cores; the limit is that peak divided by the multiply-adds of the network, counted from its
ONNX file. Of the network in 8-bit integers, the first two convolutions and the last layer are in floats, and are
counted as if they were not. In bf16 the network runs in OpenVINO, whichever engine finds the faces.
""",
    "step": """\
## From an image to a verdict

Decode, find the face, cut it out, embed, search a gallery in memory, decide; where a first look in fewer bits could
change the verdict, embed again in 32-bit floats. The limit counts the arithmetic of all of these networks, each at
the peak of its precision, and nothing else. One process with all threads judges one by one, and in batches; "a process
a core" is as many processes as threads, one thread each, which is how `likeness worker --workers auto` judges. Limits
and costs are of these.

deepface gets the same pictures, decoded already, detects with fastmtcnn and embeds with the same FaceNet, one by one or
in lists of 32; it neither searches nor decides. `deepface_single_ratio` and `deepface_batched_ratio` compare with one
process of it on TensorFlow, which it takes where it is there: as a program has it that calls it.
`deepface_processes_ratio` compares with a process a core of that too, which its user would have to build.
""",
    "exactness": """\
## What a fast first look changes

Every sample is judged in 32-bit floats, through the cascade, and in the shorter numbers alone.
`python -m tests.bench.precision` does the same with ten times as many.
""",
    "references": """\
## Galleries that grow

A batch of probes searched for people and for references, exactly, on servers of this machine.
""",
    "regate": """\
## Another policy

A recording is judged as it was measured, by another policy: by the command, from the start of its process to the end,
with its report and without; and by the rule alone, from the Parquet files on. pandas reads the same columns and makes
fewer comparisons, without consent, copies or reasons; "read" is Parquet's own reader with nothing after it.
""",
    "workers": """\
## A second core

Workers wait at empty topics; then samples come to every partition alike. Two workers of one thread are what
`likeness worker --workers auto` starts on two cores. The bare engine detects, embeds and searches the same images in
one process, in turns with them, 16 at a time: with as many as a worker takes it is slower.
""",
    "road": """\
## The whole road

A topic is filled, and one worker empties it with all threads: Kafka, the ledger, the image store, Milvus, two topics of
verdicts. The bare engine does as above, in turns with the worker. While the worker does anything else than examine, the
cores wait: a second worker fills that.
""",
}


def publish(result: Mapping[str, Any], folder: Path) -> Path:
    """Write the page, the numbers and the plot into ``folder``; return the page.

    Raises:
        BadInput: If the run was not whole.
    """
    require_whole(result["quick"], result["parts"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "performance.json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    plot(result, folder / "performance.svg")
    page = folder / "PERFORMANCE.md"
    page.write_text(markdown(result))
    return page


def require_whole(quick: bool, parts: Collection[str]) -> None:
    """Refuse to publish less than everything.

    Raises:
        BadInput: If the run is a quick one, or lacks a part.
    """
    if quick or set(parts) != set(_WHAT):
        raise BadInput("expected a whole run to publish, got less: leave --quick and --only out")


def markdown(result: Mapping[str, Any]) -> str:
    """Return the page."""
    pieces = [_PREAMBLE, *_drawn(figures(result), level=2)]
    pieces += ["![Samples a second and the cost of a search](performance.svg)\n"]
    for name, words in _WHAT.items():
        if name not in result["parts"]:
            continue
        pieces.append(words)
        part = result["parts"].get(name)
        for table in TABLES[name](part) if part else ():
            pieces += _drawn(table, level=3)
        if not part:
            pieces.append("Not measured in this run.\n")
    return "\n".join([*pieces, *_limits(result), _conditions(result)])


def _drawn(table: Table, level: int) -> Iterator[str]:
    yield f"{'#' * level} {table.title}\n"
    yield "| " + " | ".join(table.header) + " |"
    yield "|" + "---|" * len(table.header)
    yield from ("| " + " | ".join(row) + " |" for row in table.rows)
    yield ""
    if table.note:
        yield f"{table.note}\n"


def _limits(result: Mapping[str, Any]) -> Iterator[str]:
    """Say what takes the time now, by the numbers of this run."""
    yield "## What limits it now\n"
    if step := result["parts"].get("step"):
        best, found = step["configurations"][step["best"]], step["detection"]
        bare = found["mflop_a_sample"] / step["peak_gflops"]["fp32"]["gflops_of_a_core"]
        costs = 1000 / best["a_process_a_core"]["per_core_second"]
        yield (
            f"- A sample costs {costs:.1f} core-ms in {step['best']}; {best['core_limit_share']:.0%} of that is"
            " arithmetic at the peak."
        )
        yield (
            f"- Finding the face takes {found['core_ms_a_sample']:.1f} core-ms in onnxruntime; its arithmetic alone"
            f" would be {bare:.1f}. {1 - found['in_its_networks']:.0%} of it is outside of its networks: shrinking,"
            " cutting out, suppressing."
        )
        yield f"- {best['looked_at_again']:.0%} of the faces are embedded twice, the second time in 32-bit floats."
    if road := result["parts"].get("road"):
        calls = {name: one["ms"] for name, one in road["batch"].items() if name != "in all"}
        rest = sorted(((ms, name) for name, ms in calls.items() if name != "examiner.examine"), reverse=True)[:3]
        named = ", ".join(f"{name} {ms:.0f} ms" for ms, name in rest)
        yield (
            f"- On the road a batch is {calls['examiner.examine']:.0f} ms of examining; the most of the rest: {named}."
        )
    yield ""


def _conditions(result: Mapping[str, Any]) -> str:
    about = result["machine"]
    most = disturbed(result["parts"])
    quiet = (
        f"Other programs took up to {most:.1f} cores in some round: not a quiet machine."
        if most > DISTURBED_CORES
        else "No other program took a fifth of a core in any round."
    )
    versions = ", ".join(f"{name} {version}" for name, version in sorted(about["versions"].items()))
    return (
        f"## Measured on\n\n{about['cores']} cores of {about['processor']}, {about['memory_gib']} GiB,"
        f" {about['system']}; load {about['load_before']} before, {about['load_after']} after."
        f" {result['rounds']} rounds. {quiet}\n\n"
        f"Python {about['python']}; {versions}.\n"
    )
