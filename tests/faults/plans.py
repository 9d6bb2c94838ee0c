"""Which faults there are, how often each comes, and how much a short and a long run do."""

from dataclasses import dataclass

from tests.faults.kinds.disk import DiskFull, LedgerBusy
from tests.faults.kinds.input import Duplicates, PolicyChange, Replay
from tests.faults.kinds.parts import of_part
from tests.faults.kinds.postgres import PostgresKilled, PostgresStopped
from tests.faults.kinds.workers import BlockedLoop, CpuHog, Kill, RebalanceStorm, RollingRestart, Zombie, crashes
from tests.faults.schedule import Kind
from tests.postgres import Native


def of_one_broker() -> list[Kind]:
    """Return every fault of a road with one broker and SQLite. The disk is wiped after all of them."""
    return [
        Kind(Kill(), 8),
        *(Kind(crash, 1) for crash in crashes()),
        Kind(Zombie(), 2),
        Kind(BlockedLoop(), 1.5),
        Kind(RollingRestart(), 1.5),
        Kind(RebalanceStorm(), 0.5),
        Kind(CpuHog(), 1),
        *(Kind(fault, 0.8) for fault in [*of_part("kafka"), *of_part("triton"), *of_part("milvus")]),
        Kind(DiskFull(), 1),
        Kind(LedgerBusy(), 0.7),
        Kind(Duplicates(), 3),
        Kind(PolicyChange(), 2),
        Kind(Replay(), 0.3),
    ]


def of_three_brokers(server: Native | None) -> list[Kind]:
    """Return every fault that is another one with three brokers and PostgreSQL."""
    postgres = [PostgresKilled(server), PostgresStopped(server)] if server is not None else []
    faults = [*of_part("kafka", "one of three brokers"), *postgres, Kill(), RollingRestart(), Duplicates()]
    return [Kind(fault) for fault in faults]


@dataclass(frozen=True)
class Size:
    """How much is done."""

    name: str
    lanes: int
    waiting: int
    """So many samples are kept on their way."""
    megabytes: int
    pauses: tuple[float, float]
    breath_seconds: float
    faults: int | None = None
    """With one broker, and with three; None: each once."""
    faults_of_three: int | None = None
    samples: int = 0
    samples_of_three: int = 0
    seconds: float = 600.0
    seconds_of_three: float = 300.0


SHORT = Size("short", 3, 64, 512, (0.1, 0.5), 1.0)
LONG = Size("long", 3, 160, 1024, (0.2, 1.0), 4.0, 260, 45, 18_500, 2_000, 5400.0, 1200.0)
