"""How far a command is that looks at thousands of images: a bar on a terminal, now and then a line elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

from streams.cli.terminal.output import console

#: Elsewhere than on a terminal, a line follows after so many images.
_LINE_EVERY = 500


@contextmanager
def counted(what: str) -> Iterator[Callable[[int, int], None]]:
    """Give what is to be told how many are done, and of how many."""
    if console.is_terminal:
        with Progress(
            *Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn(), console=console
        ) as bar:
            task = bar.add_task(what)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return
    said = 0

    def line(done: int, total: int) -> None:
        nonlocal said
        if done == total or done - said >= _LINE_EVERY:
            said = done
            console.print(f"{what}: {done} of {total}", highlight=False)

    yield line
