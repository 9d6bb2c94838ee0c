"""A whole road on real parts, laid so that everything along it can be broken and mended again."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from streams.adapters.faces.examiner import FaceExaminer
from streams.cli.wiring.services import examining_services, fetch_weights, open_services
from streams.cli.wiring.workers import worker_env
from streams.embedded import kafka, parts
from streams.embedded.loopback import HOST, free_ports
from streams.errors import DependencyUnavailable
from streams.runtime.backlog import Backlog
from streams.runtime.roles import ROLES
from streams.settings import Settings
from streams.tools.synthetic import enrol_synthetic
from tests.faults.checker.expected import Demands
from tests.faults.manifest import Manifest
from tests.faults.road.books import Books
from tests.faults.road.crew import REPOSITORY, Crew
from tests.faults.road.orders import Desk
from tests.faults.road.policies import PolicyFile
from tests.faults.road.proxy import Proxy
from tests.faults.road.traffic import Traffic
from tests.faults.road.venom import drops
from tests.faults.road.volume import Volume, volume
from tests.planted import plant

#: Short, so that a killed worker's partitions come back in seconds.
SESSION_SECONDS = 6.0
#: What takes longer is tried again.
CALL_SECONDS = 3.0
#: A worker that stands still for so long is ended by its own watchdog.
STUCK_SECONDS = 40.0
#: Workers of each role that work side by side; the reconciler is alone.
STAFF = {"generate": 2, "judge": 2, "reconcile": 1}
IDENTITIES = 5

#: The listener of every node that workers come to, through a proxy.
_PROXIED = "WORKERS"


@dataclass(frozen=True)
class Site:
    """What the road is laid on."""

    folder: Path
    seed: int
    may_mount: bool
    waiting: int
    """So many samples are kept on their way."""
    megabytes: int = 512
    kafka_nodes: int = 1
    ledger: str | None = None
    """A database that somebody else runs; None: SQLite on the road's own disk."""


@dataclass
class Road:
    """Everything that a fault may get its hands on."""

    site: Site
    settings: Settings
    """What the workers have: every address is a proxy's."""
    up: parts.Parts
    proxies: Mapping[str, Proxy]
    """In front of ``triton``, ``milvus`` and each Kafka node, by the names that ``Parts`` has for them."""
    disk: Volume
    crew: Crew
    desk: Desk
    books: Books
    traffic: Traffic
    manifest: Manifest
    policy: PolicyFile
    pictures: Sequence[bytes]
    stops: list[float] = field(default_factory=list)
    """Seconds from SIGTERM to the end of each worker that was told to stop."""

    @property
    def nodes(self) -> list[str]:
        """The Kafka nodes."""
        return [name for name in self.proxies if name.startswith("kafka")]

    @property
    def sqlite(self) -> Path | None:
        """The ledger's file, where it is one."""
        url = make_url(self.manifest.ledger)
        return Path(url.database or "") if url.get_backend_name() == "sqlite" else None

    # -- parts --------------------------------------------------------------------------------------------------------

    def server(self, part: str) -> psutil.Process | None:
        """Return the process of a part that answers its clients; None where it is dead."""
        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(self.up.running.children[part]).children()
            return children[0] if children else None
        return None

    def signal(self, part: str, number: signal.Signals) -> None:
        """Send a signal to a part, and to whatever it runs where it is to hang."""
        server = self.server(part)
        if server is None:
            return
        with suppress(psutil.NoSuchProcess):
            family = server.children(recursive=True) if number in (signal.SIGSTOP, signal.SIGCONT) else []
            for process in [server, *family]:
                process.send_signal(number)

    # -- the state of the road ----------------------------------------------------------------------------------------

    async def heal(self) -> None:
        """Undo whatever a fault may have left behind."""
        for proxy in self.proxies.values():
            proxy.heal()
        self.disk.heal()
        for part in self.up.running.children:
            self.signal(part, signal.SIGCONT)
            if self.server(part) is None:
                await self.up.start_again(part)
        for hand, process in self.crew.running():
            self.crew.send(process, signal.SIGCONT)
            hand.hurry()
        for role, count in STAFF.items():
            await self.crew.restaff(role)
            await self.crew.have(role, count)

    @property
    def left(self) -> int:
        """How many rows have yet to end, or to be there."""
        return max(0, self.traffic.rows - self.books.now.ended)

    async def drained(self, seconds: float) -> bool:
        """Wait until no message waits, and whatever was asked has its end on this very cluster; return if it has."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while loop.time() < deadline:
            for hand in self.crew.hands:
                hand.hurry()
            with suppress(DependencyUnavailable, DBAPIError):
                # In this order: what is not waited for any more has its row, and the row its end.
                if await self._all_is_read() and await self.all_is_registered():
                    now = await self.books.look()
                    if now.ended == now.rows:
                        return True
            await asyncio.sleep(0.5)
        return False

    async def all_is_registered(self) -> bool:
        """Whether the ledger knows every sample that was asked for, poison not counted. Raises DBAPIError."""
        asked = [sample_id for sample_id, one in Demands(self.manifest) if one.needed and not one.poison]
        return await self.books.know(asked)

    async def _all_is_read(self) -> bool:
        """Whether no message waits for a worker on the cluster to which the ledger delivers.

        After the loss of a disk that is another one than before, until the reconciler has found it and taken back what
        the ledger had noted as delivered. Raises DependencyUnavailable and DBAPIError.
        """
        async with Backlog(self.manifest.kafka, timeout_seconds=20) as backlog:
            if await backlog.cluster() != await self.books.deliver_to():
                return False
            for role in ROLES.values():
                names = [topic.name for topic in role.sources]
                if await backlog.oldest_waiting(role.group(self.settings.group), names) is not None:
                    return False
        return True


@asynccontextmanager
async def laid(site: Site, beside: Road | None = None) -> AsyncIterator[Road]:
    """Lay a road and have it staffed and busy; end everything on leaving.

    Args:
        site: What it is laid on.
        beside: Another road, whose Triton and Milvus, people and pictures this one shares.
    """
    async with AsyncExitStack() as stack:
        disk = stack.enter_context(volume(site.folder / "disk", may_mount=site.may_mount, megabytes=site.megabytes))
        policy = PolicyFile(site.folder / "policy.toml")
        front = _Front(site.kafka_nodes, random.Random(site.seed))
        settings = _settings(site, disk, policy, beside)
        up = await stack.enter_async_context(
            parts.start(settings, weights=fetch_weights, kafka_nodes=site.kafka_nodes, kafka_properties=front.kafka)
        )
        direct = up.running.fill(settings)
        if beside is None:
            people, pictures = await _enrolled(direct)
            front.part("triton", direct.address("triton"))
            front.part("milvus", direct.address("milvus").removeprefix("http://"))
        else:
            people, pictures = await _consented(direct), beside.pictures
        for proxy in front.proxies.values():
            await stack.enter_async_context(proxy.running())
        proxied = front.settings(direct)
        manifest = Manifest(
            direct.address("kafka"),
            direct.address("ledger"),
            direct.address("images"),
            direct.address("milvus"),
            direct.group,
            policies=policy.versions,
        )
        books = await stack.enter_async_context(Books(direct.address("ledger")).kept())
        plant(Path(direct.address("images")))
        desk = Desk(site.folder / "orders")
        road = Road(
            site,
            proxied,
            up,
            front.proxies,
            disk,
            crew=Crew(_environment(proxied, desk), site.folder / "logs"),
            desk=desk,
            books=books,
            traffic=_traffic(site, manifest, people, pictures, books),
            manifest=manifest,
            policy=policy,
            pictures=pictures,
        )
        stack.enter_context(road.crew.counted())
        stack.push_async_callback(lambda: road.crew.dismiss(list(road.crew.hands)))
        for role, count in STAFF.items():
            await road.crew.have(role, count)
        yield road


@dataclass
class _Front:
    """The proxies of a road, while it is laid."""

    nodes: int
    draw: random.Random
    proxies: dict[str, Proxy] = field(default_factory=dict)

    def kafka(self, node: kafka.Node) -> dict[str, str]:
        """Give a node a second listener, which sends its clients through a proxy; ours is the first one."""
        name = "kafka" if self.nodes == 1 else f"kafka-{node.id}"
        if name not in self.proxies:  # a node that starts again is where it was
            behind, before = free_ports(2)
            self.proxies[name] = Proxy(before, behind, draw=self.draw)
        behind, before = self.proxies[name].behind, self.proxies[name].port
        ours = f"PLAINTEXT://{node.address}"
        return {
            "listeners": f"{ours},CONTROLLER://{HOST}:{node.controller_port},{_PROXIED}://{HOST}:{behind}",
            "advertised.listeners": f"{ours},{_PROXIED}://{HOST}:{before}",
            "listener.security.protocol.map": f"CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,{_PROXIED}:PLAINTEXT",
        }

    def part(self, name: str, address: str) -> None:
        """Put a proxy in front of a part."""
        port = int(address.rpartition(":")[2])
        (before,) = free_ports(1)
        self.proxies[name] = Proxy(before, port, draw=self.draw)

    def settings(self, direct: Settings) -> Settings:
        """Return the settings with the proxies' addresses."""
        nodes = [proxy.address for name, proxy in self.proxies.items() if name.startswith("kafka")]
        through = {"kafka": ",".join(nodes)}
        if "triton" in self.proxies:
            through["triton"] = self.proxies["triton"].address
            through["milvus"] = f"http://{self.proxies['milvus'].address}"
        return direct.model_copy(update=through)


def _settings(site: Site, disk: Volume, policy: PolicyFile, beside: Road | None) -> Settings:
    return Settings(
        data_dir=site.folder / "parts",
        ledger=site.ledger or f"sqlite:///{disk.folder / 'ledger.db'}",
        images=str(disk.folder / "images"),
        policy=str(policy.path),
        session_timeout_seconds=SESSION_SECONDS,
        call_timeout_seconds=CALL_SECONDS,
        reconcile_every_seconds=3.0,
        reconcile_after_seconds=15.0,
        stuck_after_seconds=STUCK_SECONDS,
        threads=1,
        triton=beside and beside.settings.triton,
        milvus=beside and beside.settings.milvus,
    )


def _environment(settings: Settings, desk: Desk) -> dict[str, str]:
    env = worker_env(settings)
    path = ":".join(filter(None, [str(REPOSITORY), env.get("PYTHONPATH", "")]))
    return {**env, "LIKENESS_TEST_ORDERS": str(desk.folder), "PYTHONPATH": path}


def _traffic(site: Site, manifest: Manifest, people: Sequence[str], pictures: Sequence[bytes], books: Books) -> Traffic:
    *people, withdrawn = people
    source = f"faults-{site.folder.name}"
    return Traffic(
        manifest.kafka,
        manifest,
        source=source,
        people=people,
        withdrawn=withdrawn,
        pictures=pictures,
        drops=drops(f"{source}-poison", people[0], random.Random(site.seed + 2)),
        ended=lambda: books.now.ended,
        draw=random.Random(site.seed + 1),
        waiting=site.waiting,
    )


async def _enrolled(settings: Settings) -> tuple[list[str], Sequence[bytes]]:
    """Enrol synthetic identities, the last of whom withdraws; return their names and some pictures of the others."""
    async with examining_services(settings, create_gallery=True) as services:
        names = await enrol_synthetic(IDENTITIES, services, model="face_gan")
        await services.consent.withdraw(names[-1], at=services.now(), note="a test")
        found = [await services.gallery.references(name) for name in names[:-1]]
        refs = [await services.images.find(reference.image_sha256) for one in found for reference in one]
        return names, [await services.images.get(ref) for ref in refs if ref is not None]


async def _consented(settings: Settings) -> list[str]:
    """Give consent anew for whom another road has enrolled: the consent register is a part of the ledger."""
    examiner = FaceExaminer(settings, report=print)
    async with open_services(settings, examiner, create_gallery=True) as services:
        names = await services.gallery.names()
        for name in names:
            await services.consent.grant(name, evidence="synthetic", at=services.now(), expires=None)
        await services.consent.withdraw(names[-1], at=services.now(), note="a test")
        return names
