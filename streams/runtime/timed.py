"""Services whose calls are timed, without the steps or the adapters knowing."""

import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from streams.ports import each_port

S = TypeVar("S")


class Observe(Protocol):
    """Takes in one call that has ended, well or not."""

    def __call__(self, part: str, call: str, arguments: tuple[Any, ...], seconds: float) -> None:
        """Note that ``part.call(*arguments)`` took so many seconds."""


def timed(services: S, observe: Observe) -> S:
    """Return services, which are a dataclass, of which every asynchronous call is observed."""
    return each_port(services, lambda name, port: _Timed(name, port, observe))


class _Timed:
    def __init__(self, name: str, port: object, observe: Observe) -> None:
        self._name, self._port, self._observe = name, port, observe

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        return self._call(name, method) if inspect.iscoroutinefunction(method) else method

    def _call(self, name: str, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def call(*arguments: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return await method(*arguments, **options)
            finally:
                self._observe(self._name, name, arguments, time.perf_counter() - began)

        return call
