"""The parts of one command: started with a line of progress each, and ended with it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType

from rich.live import Live
from rich.table import Table

from streams.cli.terminal.output import console
from streams.cli.wiring.services import fetch_weights
from streams.embedded import parts
from streams.embedded.parts import Parts
from streams.embedded.starting import Progress
from streams.settings import Settings

_MARKS = {"downloading": "[cyan]⭳[/]", "starting": "[yellow]…[/]", "ready": "[green]✓[/]"}


@asynccontextmanager
async def running_parts(settings: Settings, *, fresh: bool, kafka_nodes: int = 1) -> AsyncIterator[Parts]:
    """Start the parts, show how far they are until all are ready, and end them on leaving."""
    async with AsyncExitStack() as stack:
        with PartsDisplay() as display:
            context = parts.start(
                settings, fresh=fresh, report=display.tell, weights=fetch_weights, kafka_nodes=kafka_nodes
            )
            started = await stack.enter_async_context(context)
        yield started


class PartsDisplay:
    """A live table on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        """Nothing is shown before it is entered."""
        self._latest: dict[str, Progress] = {}
        self._live = Live(console=console, refresh_per_second=8, transient=False)

    def __enter__(self) -> "PartsDisplay":
        """Show the table."""
        if console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave the last state on the screen."""
        if console.is_terminal:
            self._live.stop()

    def tell(self, progress: Progress) -> None:
        """Show one step; may be called from any thread."""
        before = self._latest.get(progress.part)
        self._latest[progress.part] = progress
        if console.is_terminal:
            self._live.update(self._table())
        elif before is None or before.phase != progress.phase:
            console.print(
                f"{progress.seconds:6.1f} s  {progress.part:6}  {progress.phase:11}  {progress.detail}",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for progress in self._latest.values():
            table.add_row(
                _MARKS[progress.phase], progress.part, progress.phase, progress.detail, f"{progress.seconds:.1f} s"
            )
        return table
