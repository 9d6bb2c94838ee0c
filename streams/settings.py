"""What can be set: one frozen class, read from the environment (``LIKENESS_…``) and nowhere else."""

from pathlib import Path
from typing import Literal

import platformdirs
from pydantic import Field, PositiveFloat, PositiveInt, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Everything that can be set. An address that is not set is that of the embedded part, where one runs."""

    model_config = SettingsConfigDict(env_prefix="LIKENESS_", frozen=True, extra="ignore")

    kafka: str | None = None
    """Kafka's bootstrap servers, ``host:port[,host:port…]``."""
    triton: str | None = None
    """Triton's gRPC address, ``host:port``."""
    milvus: str | None = None
    """Milvus' URI, ``http://host:port`` or ``https://…`` of a cluster or of Zilliz Cloud."""
    milvus_token: SecretStr = SecretStr("")
    """``user:password`` or an API key; empty where authentication is off."""
    ledger: str | None = None
    """The ledger's database as an SQLAlchemy URL, such as ``sqlite:////var/lib/likeness/ledger.db``."""
    images: str | None = None
    """The image store: a folder, or any URL that fsspec opens, such as ``s3://bucket/prefix``."""

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

    batch_size: PositiveInt = 16
    """The most samples that one agent judges at a time."""
    batch_wait_seconds: PositiveFloat = 0.1
    """How long an agent waits for a batch to fill."""
    threads: PositiveInt = 2
    """Compute threads of one worker process."""
    call_timeout_seconds: PositiveFloat = 30.0
    """How long one call of Triton or Milvus may take before it is tried again."""
    session_timeout_seconds: PositiveFloat = 30.0
    """After how long without a heartbeat Kafka gives a worker's partitions to another."""
    stuck_after_seconds: PositiveFloat = 120.0
    """A worker with lag, closed breakers and no progress for this long ends itself, to be started again."""
    group: str = "likeness"
    """Prefix of the consumer groups."""
