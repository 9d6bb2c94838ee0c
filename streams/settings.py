"""What can be set: one frozen class, read from the environment (``LIKENESS_…``) and nowhere else."""

import re
from pathlib import Path
from typing import Annotated, Literal, get_args

import platformdirs
from pydantic import AfterValidator, Field, NonNegativeFloat, PositiveFloat, PositiveInt, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from streams.errors import BadInput

_PREFIX = "LIKENESS_"

_ADDRESS = re.compile(r"([^\s,:/]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}")


def _address(text: str) -> str:
    if not _ADDRESS.fullmatch(text):
        raise ValueError("should be host:port")
    return text


def _addresses(text: str) -> str:
    if not all(map(_ADDRESS.fullmatch, text.split(","))):
        raise ValueError("should be host:port, or several of them with commas between")
    return text


def _names(text: str) -> str:
    if not all(re.fullmatch(r"[A-Za-z0-9_.-]+", name) for name in text.split(",")):
        raise ValueError("should be a name, or several of them with commas between")
    return text


def _execution_providers(text: str) -> str:
    if not all(re.fullmatch(r"[A-Za-z0-9]+ExecutionProvider", name) for name in text.split(",")):
        raise ValueError("should be such as CUDAExecutionProvider,CPUExecutionProvider")
    return text


Part = Literal["kafka", "triton", "milvus", "ledger", "images"]
"""Whatever a worker needs that runs, or lies, outside of it."""

PARTS: tuple[Part, ...] = get_args(Part)


Explained = Literal["flagged", "all", "off"]
"""Which verdicts say how the face differs from the references."""


class Settings(BaseSettings):
    """Everything that can be set. An address that is not set is that of the embedded part, where one runs."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_ignore_empty=True, frozen=True, extra="ignore")

    kafka: Annotated[str, AfterValidator(_addresses)] | None = None
    """Kafka's bootstrap servers, ``host:port[,host:port…]``."""
    triton: Annotated[str, AfterValidator(_address)] | None = None
    """Triton's gRPC address, ``host:port``."""
    milvus: str | None = None
    """Milvus' URI, ``http://host:port`` or ``https://…`` of a cluster or of Zilliz Cloud."""
    milvus_token: SecretStr = SecretStr("")
    """``user:password`` or an API key; empty where authentication is off."""
    ledger: str | None = None
    """The ledger's database, ``sqlite:////var/lib/likeness/ledger.db`` or ``postgresql://user:password@host/likeness``."""
    intake_token: SecretStr = SecretStr("")
    """What callers of the HTTP intake must show as ``Authorization: Bearer …``; empty where it listens on loopback."""
    images: str | None = None
    """The image store: a folder, or any URL that fsspec opens, such as ``s3://bucket/prefix``."""

    models: Annotated[str, AfterValidator(_names)] = "face_gan"
    """What the embedded Triton serves of the shipped models, ``name[,name…]``; each is a process of its own."""
    data_dir: Path = Field(default_factory=lambda: platformdirs.user_data_path("likeness"))
    """Where the embedded parts keep their data, logs and state file."""
    cache_dir: Path = Field(default_factory=lambda: platformdirs.user_cache_path("likeness"))
    """Where downloads and converted weights are kept; safe to delete."""

    policy: str = "default"
    """Name of a policy that is shipped (``default``, ``synthetic``) or the path of a TOML file."""
    embedder: Literal["facenet-128", "facenet-vggface2", "facenet-casia-webface"] = "facenet-128"
    """Which network embeds faces; each is an embedding space of its own."""
    embedder_weights: Path | None = None
    """The published weights file (``.pt``), for the two embedders whose file is in no package."""
    second_embedder: Literal["dlib-resnet"] | None = None
    """A second, independent network that looks at every face too: a policy may require that both agree."""

    receipt_key: Path | None = None
    """An Ed25519 private key (PEM) that signs the receipts of `likeness forget`."""

    copy_descriptor: Path | None = None
    """An ONNX or TorchScript network, such as SSCD, that recognises copies in the place of the perceptual hash."""

    explain: Explained = "flagged"
    """Which verdicts say how the face differs from the asked identity's references: of flagged samples, all or none."""

    engine: Literal["onnxruntime", "openvino", "torch"] = "onnxruntime"
    """What runs both networks in 32-bit floats; torch is the reference, and slower."""
    providers: Annotated[str, AfterValidator(_execution_providers)] = "CPUExecutionProvider"
    """What onnxruntime runs them on, as it names it, the best first: ``CUDAExecutionProvider,CPUExecutionProvider``."""
    precision: Literal["fp32", "bf16", "int8", "auto"] = "fp32"
    """What embeds a face at the first look: 32-bit floats, 16-bit ones by OpenVINO or 8-bit integers by onnxruntime.
    The shorter are faster and a little off, and what that could change is embedded again in fp32. auto: what is fastest
    here. They are prepared once, in minutes; fp32 needs nothing, and has the same numbers on every machine."""
    batch_size: PositiveInt = 32
    """The most samples that one agent judges at a time. More are hardly faster, and all come again after a crash."""
    batch_wait_seconds: NonNegativeFloat = 0.005
    """How long an agent that has a message waits for more of them to judge together, where no full batch waits."""
    threads: PositiveInt = 2
    """Compute threads of one worker process."""
    pin: bool = False
    """Whether a supervisor gives each judge its own share of the cores, and as many threads: for machines on which
    nothing but judges runs, as what is pinned cannot make room for anything else."""
    call_timeout_seconds: PositiveFloat = 30.0
    """How long one call of Triton or Milvus may take before it is tried again."""
    session_timeout_seconds: PositiveFloat = 30.0
    """After how long without a heartbeat Kafka gives a worker's partitions to another."""
    stuck_after_seconds: PositiveFloat = 120.0
    """A worker whose messages wait for this long, with nothing done and nothing down, ends itself to be restarted."""
    reconcile_every_seconds: PositiveFloat = 30.0
    """How often the reconciler looks for samples without an end."""
    reconcile_after_seconds: PositiveFloat = 600.0
    """How long a sample may be without an end before it is driven again."""
    drift_window_seconds: PositiveInt = 300
    """How long a window of the charts is. Another value begins charts anew, and so do the next four."""
    drift_lateness_seconds: PositiveInt = 60
    """By how much a sample may be late before it changes what was said already."""
    drift_calibration: Annotated[int, Field(ge=20)] = 200
    """Scores, at the beginning of a stream, that say what is in control; below 50 run lengths are a guess."""
    drift_charts: PositiveInt = 100
    """For how many charts the limits are set: false alarms of many charts add up."""
    drift_windows_between_false_alarms: Annotated[float, Field(ge=10, le=1e6)] = 1000.0
    """How many windows all these charts together should go without a false alarm."""
    clip_quiet_seconds: PositiveInt = 60
    """A clip of which nobody said how many frames it has is judged once the stream has gone on for so much longer."""
    group: str = "likeness"
    """Prefix of the consumer groups."""
    metrics: Annotated[str, AfterValidator(_address)] | None = None
    """Where a supervisor, or a worker without one, serves metrics to Prometheus, ``host:port``; not set, nowhere."""

    def address(self, part: Part) -> str:
        """Return where a part is found.

        Raises:
            BadInput: If it has no address; the composition root fills in those of the embedded parts.
        """
        address: str | None = getattr(self, part)
        if address is None:
            raise BadInput(f"expected an address of {part}, got none: set {_PREFIX}{part.upper()}")
        return address


def read_settings() -> Settings:
    """Return what the environment sets.

    Raises:
        BadInput: If a variable has a value that it cannot have; every such variable is named.
    """
    try:
        return Settings()
    except ValidationError as error:
        faults = [f"{_name(fault)}: {_expected(fault)}, got {fault['input']!r}" for fault in error.errors()]
        raise BadInput(f"{'; '.join(faults)}: correct or unset it") from error


def _name(fault: ErrorDetails) -> str:
    return f"{_PREFIX}{fault['loc'][0]}".upper()


def _expected(fault: ErrorDetails) -> str:
    return fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
