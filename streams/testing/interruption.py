"""Break a step off at any of the calls that it makes of its services."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from streams.ports import Services, each_port


class Interrupted(BaseException):
    """Stands for the death of the process: no code may catch it."""


class Interruption:
    """Lets so many calls pass and breaks off the next one, before it has any effect."""

    def __init__(self, after_calls: int | None = None) -> None:
        """Take how many calls pass; None = all of them, which counts them."""
        self._after = after_calls
        self.calls: list[str] = []
        """What was called, in order, such as ``ledger.register``."""

    def wrap(self, services: Services) -> Services:
        """Return services of which every asynchronous call counts."""
        return each_port(services, self.part)

    def part(self, name: str, port: object) -> Any:
        """Return one part of which every asynchronous call counts."""
        return _Breakable(name, port, self)

    def count(self, call: str) -> None:
        """Note a call, or break it off.

        Raises:
            Interrupted: If it is the one that is to fail.
        """
        if self._after is not None and len(self.calls) >= self._after:
            raise Interrupted(call)
        self.calls.append(call)


class _Breakable:
    def __init__(self, name: str, port: object, interruption: Interruption) -> None:
        self._name, self._port, self._interruption = name, port, interruption

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if not inspect.iscoroutinefunction(method):
            return method
        return self._broken(f"{self._name}.{name}", method)

    def _broken(self, call: str, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def counted(*arguments: Any, **options: Any) -> Any:
            self._interruption.count(call)
            return await method(*arguments, **options)

        return counted
