"""A worker like any other, in hands that break it: ``python -m tests.faults.road.worker ROLE``.

It is the very command of the product. Around the services that it composes, and around Faust's own send, ack and
commit, lie points at which it does what it is told; nothing of that is in the code that is shipped.
``LIKENESS_TEST_ORDERS`` names the folder where orders lie. ``python -m tests.faults.mutations.mutants NAME
tests.faults.road.worker ROLE`` runs the same with one promise broken.
"""

import functools
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from faust.streams import Stream
from faust.transport.consumer import ThreadDelegateConsumer
from faust.transport.drivers.aiokafka import Producer

import streams.runtime.worker as shipped
from streams.cli.main import main
from streams.ports import Services
from streams.settings import Settings
from tests.faults.road.orders import Orders

Passed = Callable[[], None]


class Tapped:
    """Something of ours with points before or after some of its methods."""

    def __init__(self, inner: Any, *, before: Mapping[str, Passed], after: Mapping[str, Passed]) -> None:
        """Tap the methods that are named."""
        self._inner, self._before, self._after = inner, before, after

    def __getattr__(self, name: str) -> Any:
        """Return the inner one's, with its points."""
        found = getattr(self._inner, name)
        if name not in self._before and name not in self._after:
            return found
        return _tapped(found, self._before.get(name), self._after.get(name))


def _tapped(method: Callable[..., Awaitable[Any]], before: Passed | None, after: Passed | None) -> Any:
    @functools.wraps(method)
    async def tapped(*arguments: Any, **named: Any) -> Any:
        if before is not None:
            before()
        result = await method(*arguments, **named)
        if after is not None:
            after()
        return result

    return tapped


def tap_services(services: Services, orders: Orders) -> Services:
    """Return the services with the points that lie at them."""
    at = orders.passing
    ledger = {
        "register": at("registered"),
        "attempt": at("attempted"),
        "pin_images": at("pinned"),
        "decide": at("decided"),
        "published": at("noted"),
    }
    return replace(
        services,
        generator=Tapped(services.generator, before={}, after={"generate": at("made")}),
        gallery=Tapped(services.gallery, before={"remember": at("judged")}, after={"remember": at("remembered")}),
        ledger=Tapped(services.ledger, before={"published": at("delivered")}, after=ledger),
    )


def tap_faust(orders: Orders) -> None:
    """Put points behind Faust's send, ack and commit, in this process."""
    for kind, method, point in (
        (Producer, "send", "sent"),
        (Stream, "ack", "acked"),
        (ThreadDelegateConsumer, "_commit", "committed"),
    ):
        setattr(kind, method, _tapped(getattr(kind, method), None, orders.passing(point)))


def tap_image_store(root: str, orders: Orders) -> None:
    """Put a point between the write and the rename of an image: Python tells who asks of every rename."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("os.rename", "os.link") and str(arguments[0]).startswith(root):
            orders.passed("image-put")

    sys.addaudithook(hook)


def break_work(role: str) -> None:
    """Have the product's command work with what is broken, and be the same in all else."""
    orders = Orders(Path(os.environ["LIKENESS_TEST_ORDERS"]), role)
    whole = shipped.work

    async def work(settings: Settings, services: Services, *others: Any) -> None:
        tap_faust(orders)
        tap_image_store(settings.address("images"), orders)
        await whole(settings, tap_services(services, orders), *others)

    shipped.work = work  # type: ignore[assignment]  # whatever comes after the services is handed on


if __name__ == "__main__":
    _role = sys.argv[1]
    break_work(_role)
    sys.argv[1:] = ["worker", "--role", _role, "--unsupervised"]
    main()
