"""Where the parts are: as it is set, or as the embedded parts say. Without the clients that would use them."""

from urllib.parse import urlsplit

from streams.embedded import kafka_topics, state
from streams.embedded.loopback import connects
from streams.errors import BadInput, DependencyUnavailable
from streams.settings import PARTS, Part, Settings

#: How long a part may take to answer a command's first call, in seconds. A worker waits for ever instead.
CONNECT_SECONDS = 10.0


def addressed(settings: Settings, *parts: Part) -> Settings:
    """Return settings in which the named parts have an address, all where none is named.

    What is missing is that of the running embedded parts.

    Raises:
        BadInput: If an address is missing and nothing runs.
    """
    running = state.read(settings.data_dir)
    filled = running.fill(settings) if running else settings
    missing = [name for name in parts or PARTS if getattr(filled, name) is None]
    if missing:
        names = ", ".join(f"LIKENESS_{name.upper()}" for name in missing)
        raise BadInput(f"nothing runs that uses {settings.data_dir}: start it with `likeness up`, or set {names}")
    return filled


async def answering(settings: Settings, *parts: str) -> None:
    """Return where the named parts can be reached: a wrong address is told in seconds, before anything is loaded.

    Raises:
        DependencyUnavailable: If one of them does not answer.
    """
    asks = {"kafka": _kafka_answers, "triton": _triton_answers, "milvus": _milvus_answers}
    for part in parts:
        try:
            await asks[part](settings)
        except DependencyUnavailable as error:
            raise error.with_remedy(f"start it, or correct LIKENESS_{part.upper()}") from error


async def _kafka_answers(settings: Settings) -> None:
    await kafka_topics.answers(settings.address("kafka"), CONNECT_SECONDS)


async def _triton_answers(settings: Settings) -> None:
    await connects("triton", settings.address("triton"), CONNECT_SECONDS)


async def _milvus_answers(settings: Settings) -> None:
    from streams.adapters.milvus.calls import require_address  # it brings Milvus' whole client

    require_address(settings.address("milvus"))
    url = urlsplit(settings.address("milvus"))
    port = url.port or (443 if url.scheme == "https" else 80)
    await connects("milvus", f"{url.hostname}:{port}", CONNECT_SECONDS)
