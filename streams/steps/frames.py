"""Source frames out of the image store, for requests that bring one."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from streams.core.deadletter import Burial
from streams.errors import ImageAltered, ImageMissing
from streams.events import IMAGE_BYTES, DeadReason, ImageRef
from streams.ports import Services
from streams.steps.make import Order


async def with_frames(orders: Sequence[Order], services: Services) -> tuple[list[Order], list[Burial]]:
    """Read the source frames, each once; return the orders with theirs, and what cannot be had.

    Orders that bring none, or whose image is made already, come back as they are.
    """
    wanted = list({order.frame: None for order in orders if order.frame and not order.subject.image})
    read = dict(zip(wanted, await asyncio.gather(*(_read(frame, services) for frame in wanted)), strict=True))
    ready: list[Order] = []
    buried: list[Burial] = []
    for order in orders:
        found = read.get(order.frame) if order.frame and not order.subject.image else None
        if isinstance(found, tuple):
            reason, detail, name = found
            buried.append(Burial(order.subject.sample_id, order.message, reason, detail, exception=name))
        else:
            ready.append(order if found is None else replace(order, prompt=replace(order.prompt, frame=found)))
    return ready, buried


async def _read(frame: ImageRef, services: Services) -> bytes | tuple[DeadReason, str, str]:
    """Return the bytes, or why there are none: the reason, in words, and the exception that says so."""
    if frame.size > IMAGE_BYTES:
        return DeadReason.IMAGE_TOO_LARGE, f"the source frame has {frame.size} bytes; allowed are {IMAGE_BYTES}", ""
    try:
        return await services.images.get(frame)
    except ImageMissing as error:
        return DeadReason.IMAGE_MISSING, f"the source frame: {error}", type(error).__name__
    except ImageAltered as error:
        return DeadReason.IMAGE_ALTERED, f"the source frame: {error}", type(error).__name__
