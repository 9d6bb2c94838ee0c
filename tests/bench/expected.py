"""What was expected before the first measurement, and what is wanted: the bench prints both beside what came."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

#: The peer, on the engine that it takes where all are installed.
DEEPFACE = "deepface on tensorflow"
#: What the bare engine must compute with, so that two workers can be compared with it.
TWO_THREADS = "two threads"


@dataclass(frozen=True)
class Figure:
    """One number of the result."""

    part: str
    """The part of the bench that it comes from."""
    read: Callable[[Any], float | None]
    """Takes that part's result; None where this was not measured."""
    what: str
    goal: float | None
    """At least this; at most, where ``small`` is good; None where none was set."""
    expected: float
    """On two cores of a Zen 4 server processor."""
    small: bool = False
    needs: str = ""
    """What of the part it needs; where the part could not have it, the part says why."""

    def reached(self, value: float) -> bool | None:
        """Say whether a value reaches the goal; None without a goal."""
        if self.goal is None:
            return None
        return value <= self.goal if self.small else value >= self.goal


def _at(*path: str) -> Callable[[Any], float]:
    def read(part: Any) -> float:
        for name in path:
            part = part[name]
        return float(part)

    return read


def _per_s(step: Mapping[str, Any]) -> float:
    return round(float(step["configurations"][step["best"]]["a_process_a_core"]["median"]), 1)


def _limit_share(step: Mapping[str, Any]) -> float:
    return float(step["configurations"][step["best"]]["limit_share"])


def _of_bare(workers: Mapping[str, Any]) -> float | None:
    found: float | None = workers["of_bare"]
    return found


def _times(theirs: str) -> Callable[[Any], float | None]:
    def read(step: Mapping[str, Any]) -> float | None:
        found = step["deepface"].get("tensorflow")
        return None if found is None else round(_per_s(step) / float(found[theirs]["median"]), 2)

    return read


#: By name in the result. Expected from single measurements of the parts: an embedding takes 13.5 ms in fp32, 7 in bf16
#: and 4.2 in int8, finding the face in a picture of 64 x 64 about 5; one face of twenty is embedded again after bf16,
#: four of ten after int8; deepface was seen to represent 3.7 pictures a second one by one and 23 in lists.
FIGURES = {
    "end_to_end_ratio": Figure(
        "workers", _of_bare, "the whole road with a worker a core, of the bare engine", 0.90, 0.95, needs=TWO_THREADS
    ),
    "one_worker_ratio": Figure(
        "road", _at("ratio", "of_medians"), "the same with one worker of all threads", 0.90, 0.93
    ),
    "step_per_s": Figure("step", _per_s, "samples a second of the fastest step, a process a core", None, 178.0),
    "limit_share": Figure("step", _limit_share, "that step, of what its arithmetic alone allows", 0.50, 0.65),
    "deepface_single_ratio": Figure(
        "step", _times("one_by_one"), "that step, times deepface one by one", 10, 20, needs=DEEPFACE
    ),
    "deepface_batched_ratio": Figure(
        "step", _times("in_lists"), "that step, times deepface in lists", 5, 3.2, needs=DEEPFACE
    ),
    "deepface_processes_ratio": Figure(
        "step",
        _times("a_process_a_core"),
        "that step, times deepface in lists, a process a core too",
        None,
        3.2,
        needs=DEEPFACE,
    ),
    "two_worker_ratio": Figure("workers", _at("ratio"), "two workers of one thread each, of one", 1.8, 1.9),
    "flips_per_10k": Figure(
        "exactness", _at("flips_per_10k"), "verdicts of 10,000 that the cascade changes", 0, 0, small=True
    ),
    "regate_per_s": Figure(
        "regate",
        _at("samples_per_s", "command"),
        "recorded samples a second by another policy, of the whole command",
        100_000,
        330_000,
    ),
    "regate_report_per_s": Figure(
        "regate", _at("samples_per_s", "report"), "the same with its report", 100_000, 130_000
    ),
    "regate_pandas_ratio": Figure(
        "regate", _at("pandas_ratio"), "that command, times a script of pandas over the same columns", 1, 1.3
    ),
    "cosine_min": Figure("exactness", _at("cosine_min"), "least cosine of a fast embedding to fp32", None, 0.98),
}

#: 10^9 operations a second on both cores.
PEAK_GFLOPS = {"fp32": 220.0, "bf16": 440.0, "int8": 860.0}

#: Faces a second, embedded in the best batch size.
FACES_PER_S = {
    "onnxruntime fp32": 74.0,
    "onnxruntime int8": 235.0,
    "torch fp32": 50.0,
    "openvino fp32": 70.0,
    "onnxruntime bf16": 144.0,
    "openvino bf16": 144.0,
    "openvino int8": 235.0,
}

#: Samples a second of the whole step.
STEP_PER_S = {
    "onnxruntime fp32": 52.0,
    "onnxruntime int8": 66.0,
    "torch fp32": 31.0,
    "openvino fp32": 50.0,
    "onnxruntime bf16": 74.0,
    "openvino bf16": 74.0,
    "openvino int8": 66.0,
}

#: Pictures a second of deepface, one by one and in lists, by its engine.
DEEPFACE_PER_S = {"tensorflow": (3.7, 23.0), "onnx": (14.0, 21.0)}

#: Milliseconds a sample that a search takes, by server and references.
SEARCH_MS = {
    "Milvus Lite": {"1000": 1.5, "10000": 2.5, "100000": 12.0},
    "Milvus standalone": {"1000": 5.0, "10000": 5.0, "100000": 8.0},
}
