"""The report of a run, for people: ``docs/RELIABILITY.md``."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tests.faults.results import ANOMALIES

_MEANS = {
    "lost": "asked for and acknowledged, and no end anywhere",
    "conflicting": "two different ends of one sample",
    "phantom": "an end that nobody asked for",
    "unaccounted": "still without an end when everything had settled",
    "wrong_dead": "a dead letter where a verdict belongs, or poison that ended otherwise than it must",
    "misjudged": "a verdict that what was asked rules out",
    "inexact": "a record that differs from the ledger's in key, headers or time",
    "unordered_commit": "an offset committed beyond a message whose outcome was not durable yet",
    "missing_image": "a verdict on an image that the store does not have, to the byte",
    "missing_embedding": "a verdict on an embedding that Milvus does not have, once and of unit length",
    "unwatched": "phases in which nobody saw a commit",
}

_PREAMBLE = """\
# Reliability

`make faults-long` wrote this page and `reliability.json` beside it; do not edit them. `make faults` runs the same in
short, each fault once: every change must pass that.

The whole road runs on real parts: Apache Kafka, Triton, Milvus, the ledger, the networks. Requests, training samples
and poison keep coming while one fault after the other is done to it, drawn from a seed. Workers run under the product's
own supervisor, composed as `likeness worker` composes them. The policy changes all the while, so that a second
judgement of a sample would be another one. When the road has settled, a program that shares
nothing with the workers but how Kafka's records are read and its clients closed reads the topics, the ledger, the image
store and Milvus, and holds them to the list of what was asked.
A third one has watched every committed offset meanwhile. That this check can fail is shown below.
"""

_NOT_COVERED = """\
## Not covered

- **Power cuts and disks that lie.** Processes die here, the machine does not: what `fsync` promises is taken on trust.
- **Networks between machines.** Everything is on one machine; cut, hung, slow and torn connections are made by a proxy.
  Asymmetric partitions among three brokers are not made.
- **Milvus as a cluster, PostgreSQL with a standby, S3.** Milvus Lite, one PostgreSQL and a folder stand for them.
- **Clocks that jump.** Times are in records and in the order of driving again, not in any decision.
- **A broker's disk that goes before a worker has read from it.** What was acknowledged by Kafka alone is gone with
  Kafka's only disk; three brokers, or the intake, which registers first, are for that.
- **What is rarer than the bounds above.** None in N shows less than 3 in N, with 95 % confidence, and no more.
"""


def markdown(result: Mapping[str, Any]) -> str:
    """Return the page."""
    parts = [_PREAMBLE, _verdict(result), _faults(result), _parts(result), _mutations(result), _NOT_COVERED]
    return "\n".join([*parts, _conditions(result)])


def _verdict(result: Mapping[str, Any]) -> str:
    samples, faults = result["samples"], result["faults"]
    said = "**Nothing was found.**" if result["sound"] else "**This run found faults: see below.**"
    rows = [(_words(name), _of(result[name], samples), _MEANS[name]) for name in ANOMALIES]
    repeated = f"{result['duplicates']} of {result['records']} ({result['duplicates_percent']} %)"
    lines = [
        "## What came of it\n",
        f"{said} {samples:,} samples, {faults} faults, {result['poison']} messages of poison and"
        f" {result['policy_changes']} changes of policy in {result['seconds'] / 60:.0f} minutes, all together;"
        f" seed {result['seed']}.\n",
        *_table(("anomaly", "found", "what it would be"), rows),
        "",
        f"Repeated records, the same to the byte: {repeated}. At least once is what the topics promise.",
    ]
    if result["broken"] or result["oddities"]:
        lines += [
            "",
            "Also (a worker that one fault killed while another one told it to stop is told here):",
            "",
            *(f"- {one}" for one in [*result["broken"], *result["oddities"]]),
        ]
    return "\n".join([*lines, ""])


def _of(count: int, samples: int) -> str:
    if count or not samples:
        return f"**{count}** of {samples:,}"
    return f"0 of {samples:,} (< {3 / samples:.1e})"


def _faults(result: Mapping[str, Any]) -> str:
    rows = [
        (
            name,
            one["count"],
            *_spread(one["recovery_seconds"]),
            *_spread(one["recovery_seconds_alone"]),
            _failed(one["failed"]),
        )
        for name, one in result["classes"].items()
    ]
    head = ("fault", "times", *("n", "p50 s", "p95 s", "max s"), *("alone: n", "p50 s", "p95 s", "max s"), "")
    return "\n".join(
        [
            "## Faults, and how soon the road went on\n",
            "Seconds from the end of a fault to the first sample that ended newly. Others may have been under way,"
            " which made it longer, or shorter; the columns on the right are of those that were alone until then."
            " After a wiped disk it is the seconds until everything had its end on the new one.\n",
            *_table(head, rows),
            "",
            f"Workers that were told to stop (SIGTERM) ended after {_in_words(result['sigterm_seconds'])}.",
            f"Exit statuses of workers that were started again: {_counts(result['exits'])}.",
            f"Most memory of a worker: {_counts(result['most_rss_mib'], ' MiB')}.",
            "",
        ]
    )


def _failed(count: int) -> str:
    return f"{count} could not be done as meant" if count else ""


def _parts(result: Mapping[str, Any]) -> str:
    rows = [
        (
            one["name"],
            one["faults"],
            f"{one.get('samples', 0):,}",
            one["seconds"],
            "yes" if one["settled"] else "**no**",
        )
        for one in result["phases"]
    ]
    return "\n".join(["## Phases\n", *_table(("phase", "faults", "samples", "s", "settled"), rows), ""])


def _settled(settled: bool) -> str:
    return "yes" if settled else "**no**"


def _mutations(result: Mapping[str, Any]) -> str:
    rows = []
    for one in result["trials"]:
        by = one["stuck"] or ", ".join(f"{_words(name)} {count}" for name, count in one["anomalies"].items()) or "–"
        name, caught = one["mutant"], "yes" if one["as_it_should_be"] else "**no**"
        if name == "none":
            name, caught = "(none)", "nothing to catch" if one["as_it_should_be"] else "**false alarm**"
        rows.append((name, one["breaks"], one["scenario"], caught, by))
    return "\n".join(
        [
            "## Can this check fail?\n",
            f"Workers with one promise broken, each in the scenario that should show it:"
            f" **{result['mutations_caught']} of {result['mutations']} caught**. The worker as it is shipped goes"
            f" through every scenario too: {result['controls_clean']} of {result['controls']} without a finding.\n",
            *_table(("mutation", "breaks", "scenario", "caught", "by"), rows),
            "",
        ]
    )


def _conditions(result: Mapping[str, Any]) -> str:
    machine = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        "## Where\n\n"
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']};"
        f" Python {machine['python']}; {versions}. Load before the start: {machine['load_before']}."
        " Recovery times are those of this machine.\n"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(map(str, row))} |"


def _spread(values: Mapping[str, float] | None) -> tuple[object, ...]:
    return (0, "–", "–", "–") if values is None else (values["n"], values["p50"], values["p95"], values["max"])


def _in_words(values: Mapping[str, float] | None) -> str:
    if values is None:
        return "– (none was)"
    return f"{values['p50']} s (median of {values['n']}; 95 %: {values['p95']} s, longest {values['max']} s)"


def _counts(counts: Mapping[str, int], unit: str = "") -> str:
    return ", ".join(f"{name} {count}{unit}" for name, count in sorted(counts.items())) or "none"


def _words(name: str) -> str:
    return name.replace("_", " ")
