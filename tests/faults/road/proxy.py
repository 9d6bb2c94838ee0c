"""A TCP proxy in this process, between everybody and one server: it passes bytes until it is told otherwise."""

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from streams.embedded.loopback import HOST

_CHUNK = 64 * 1024
#: Closing sends a reset instead of an orderly end.
_RESET = struct.pack("ii", 1, 0)


@dataclass(eq=False)
class Link:
    """One client's connection, and the server's end of it."""

    ends: tuple[asyncio.StreamWriter, asyncio.StreamWriter]

    def close(self) -> None:
        """End it in order: what was passed on arrives."""
        for writer in self.ends:
            writer.close()

    def reset(self) -> None:
        """Break it off in both directions."""
        for writer in self.ends:
            raw = writer.get_extra_info("socket")
            if raw is not None:
                with suppress(OSError):
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()


@dataclass
class Proxy:
    """Listens on a port of its own; everything that is done to it lasts as long as a ``with`` does."""

    port: int
    behind: int
    """The server's port."""
    delay_seconds: float = 0.0
    """Every piece waits for so long, each way."""
    torn: float = 0.0
    """Of every piece, the chance that half of it passes and the connection is reset."""
    refuses: bool = False
    draw: random.Random = field(default_factory=random.Random)
    _links: set[Link] = field(default_factory=set)
    _serving: set["asyncio.Task[None]"] = field(default_factory=set)
    _open: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def address(self) -> str:
        """Where clients find it."""
        return f"{HOST}:{self.port}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Proxy"]:
        """Listen."""
        self._open.set()
        server = await asyncio.start_server(self._begin, HOST, self.port)
        try:
            yield self
        finally:
            server.close()
            self.reset()
            for serving in list(self._serving):
                serving.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)
            await server.wait_closed()

    def reset(self) -> None:
        """Reset every connection that there is."""
        for link in list(self._links):
            link.reset()

    @asynccontextmanager
    async def cut(self) -> AsyncIterator[None]:
        """Nobody is connected, and nobody gets a connection."""
        self.refuses = True
        self.reset()
        try:
            yield
        finally:
            self.refuses = False

    @asynccontextmanager
    async def hung(self, *, forgotten: bool) -> AsyncIterator[None]:
        """Connections stay, new ones are taken, and nothing passes.

        Args:
            forgotten: What was connected is reset in the end, as by a firewall that has forgotten it; else it goes on.
        """
        self._open.clear()
        try:
            yield
        finally:
            if forgotten:
                self.reset()
            self._open.set()

    @asynccontextmanager
    async def slow(self, seconds: float) -> AsyncIterator[None]:
        """Every piece takes so much longer, each way."""
        self.delay_seconds = seconds
        try:
            yield
        finally:
            self.delay_seconds = 0.0

    @asynccontextmanager
    async def tearing(self, chance: float) -> AsyncIterator[None]:
        """Connections are reset in the middle of what they carry."""
        self.torn = chance
        try:
            yield
        finally:
            self.torn = 0.0

    def heal(self) -> None:
        """Undo whatever is done."""
        self.refuses, self.delay_seconds, self.torn = False, 0.0, 0.0
        self._open.set()

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client; whatever goes wrong with its connection is its business alone."""
        if self.refuses:
            Link((writer, writer)).reset()
            return
        try:
            from_server, to_server = await asyncio.open_connection(HOST, self.behind)
        except OSError:
            Link((writer, writer)).reset()
            return
        link = Link((writer, to_server))
        self._links.add(link)
        pumps = [
            asyncio.create_task(self._pump(reader, to_server, link)),
            asyncio.create_task(self._pump(from_server, writer, link)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._links.discard(link)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            link.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: Link) -> None:
        with suppress(OSError):
            while piece := await reader.read(_CHUNK):
                if self.delay_seconds:
                    await asyncio.sleep(self.delay_seconds)
                await self._open.wait()
                if self.torn and self.draw.random() < self.torn:
                    writer.write(piece[: len(piece) // 2])
                    await writer.drain()
                    link.reset()
                    return
                writer.write(piece)
                await writer.drain()
