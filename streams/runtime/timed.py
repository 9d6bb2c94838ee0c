"""Services whose calls are timed, without the steps or the adapters knowing."""

import dataclasses
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar, cast

from streams.ports import VALUES

S = TypeVar("S")


class Observe(Protocol):
    """Takes in one call that has ended, well or not."""

    def __call__(self, part: str, call: str, arguments: tuple[Any, ...], seconds: float) -> None:
        """Note that ``part.call(*arguments)`` took so many seconds."""


def timed(services: S, observe: Observe) -> S:
    """Return services, which are a dataclass, of which every asynchronous call is observed."""
    if not dataclasses.is_dataclass(services) or isinstance(services, type):
        raise TypeError(f"expected services as a dataclass, got {type(services).__name__}")
    ports = {
        field.name: _Timed(field.name, getattr(services, field.name), observe)
        for field in dataclasses.fields(services)
        if field.name not in VALUES
    }
    return dataclasses.replace(services, **cast(dict[str, Any], ports))


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
