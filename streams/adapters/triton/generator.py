"""Generators behind a Triton server, over gRPC."""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TypeVar

import numpy as np
from tritonclient.grpc import InferRequestedOutput
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from streams.adapters.triton.frames import Frames
from streams.adapters.triton.standstill import Standstill
from streams.adapters.triton.tensors import (
    CENTROID,
    CONDITIONED_ON,
    FRAME,
    INPUTS,
    LENGTH,
    OUTPUTS,
    differences,
    frame_size,
    inputs,
)
from streams.core.faces import Pixels
from streams.errors import DependencyUnavailable, GeneratorRejected, VersionRetired
from streams.ports import Prompt

#: What a server says of a request that it will never serve, however often it is asked. All else may pass.
_REFUSALS = frozenset({"INVALID_ARGUMENT", "OUT_OF_RANGE"})

#: What it says of a model or a version that it does not have, or does not have ready.
_NOT_SERVED = frozenset({"NOT_FOUND", "UNAVAILABLE"})
#: What it says where a model breaks off: the model may be ill, or the prompt more than it bears.
_BREAKDOWNS = frozenset({"INTERNAL", "UNKNOWN"})
#: So often a prompt must fail, each time while the model is well, before it counts as the prompt's own fault.
_TRIES = 3
#: Seconds between these.
_TRIES_PAUSE = 0.2
#: So often a server is looked at while it is waited for what it lacks.
_LOOKS = 10

#: gRPC's own pause between attempts to connect grows to two minutes; the caller has a breaker and waits on that.
_RECONNECT_MS = 2000
#: An image may be larger than gRPC's 4 MB for a whole answer.
_MESSAGE_BYTES = 2**31 - 1

T = TypeVar("T")


@dataclass(frozen=True)
class _Served:
    """What is known of one version of a model that keeps the contract."""

    batch: int
    """The most samples that it takes at once."""
    conditioning_length: int
    takes_centroids: bool
    frame_size: tuple[int, int] | None
    """Height and width of source frames; None where it takes none."""

    def conditioned(self, prompt: Prompt) -> Prompt:
        """Return the prompt with the conditioning that this model takes."""
        return replace(prompt, conditioning=prompt.centroid) if self.takes_centroids else prompt


class TritonGenerator:
    """Implements ``streams.ports.Generator``. One for one event loop: open it on the loop that uses it."""

    def __init__(self, address: str, *, timeout_seconds: float, standstill_seconds: float = 5.0) -> None:
        """Nothing is connected yet.

        Args:
            address: Triton's gRPC address, ``host:port``.
            timeout_seconds: How long one call may take.
            standstill_seconds: For how long the server must have had the same models ready before one that is not
                among them counts as not served: in a redeploy it is missing for a moment.
        """
        self._address = address
        self._timeout = timeout_seconds
        self._standstill = Standstill(standstill_seconds)
        self._client: InferenceServerClient | None = None
        self._served: dict[tuple[str, str], _Served] = {}
        self._frames = Frames()

    async def open(self) -> None:
        """Make the channel. Does not wait for the server: the first call says whether it is there."""
        options = [
            ("grpc.max_send_message_length", _MESSAGE_BYTES),
            ("grpc.max_receive_message_length", _MESSAGE_BYTES),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", _RECONNECT_MS),
        ]
        self._client = InferenceServerClient(self._address, channel_args=options)

    async def close(self) -> None:
        """Close the channel. A second time changes nothing."""
        await asyncio.to_thread(self._frames.close)
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    async def version(self, model: str) -> str:
        """Return the newest version that is ready to serve.

        Raises:
            GeneratorRejected: If the server has others ready, and this one is absent or does not load, for seconds; or
                if it is no generator.
            DependencyUnavailable: If the server does not answer, has nothing ready, or is loading this model.
        """
        newest = _newest(await self._versions(model))
        await self._known(model, newest)
        return newest

    async def conditioning_length(self, model: str) -> int:
        """Return how many values a conditioning has for the newest version. Raises as ``version`` does."""
        return (await self._known(model, await self.version(model))).conditioning_length

    async def generate(self, model: str, version: str, prompts: Sequence[Prompt]) -> list[Pixels]:
        """Make an image of each of the first prompts, in order: as many as the model takes at once.

        Raises:
            GeneratorRejected: If any of these is refused, or breaks the model off while it makes others.
            VersionRetired: If the server has the model ready, and not in this version.
            DependencyUnavailable: If the server does not answer, or the model is ill.
        """
        try:
            known = await self._known(model, version)
            prompts = [known.conditioned(prompt) for prompt in prompts]
            if any(not prompt.conditioning for prompt in prompts):
                raise GeneratorRejected(
                    f"expected a conditioning for model {model!r}, got none: enrol the identity with its conditioning"
                    " for this model, or ask for a model that takes centroids"
                )
            if known.frame_size is None and any(prompt.frame is not None for prompt in prompts):
                raise GeneratorRejected(f"expected no source frame for model {model!r}, which takes none: leave it out")
            return await self._make(model, version, _together(prompts, known.batch), known)
        except DependencyUnavailable as error:
            if _status(error) not in _NOT_SERVED:
                raise
            versions = await self._versions(model)
            if version in versions:
                raise
            newest = _newest(versions)
            await self._known(model, newest)
            raise VersionRetired(model, version, newest) from error

    async def _make(self, model: str, version: str, prompts: Sequence[Prompt], known: _Served) -> list[Pixels]:
        """Make images; where that breaks the model off, find out whose fault it is.

        A prompt is at fault if it fails again and again while a prompt that shows nobody is answered each time.
        """
        fitted: dict[bytes, Pixels] = {}  # the samples of a request share its frame
        for prompt in prompts:
            if prompt.frame is not None and known.frame_size is not None and prompt.frame not in fitted:
                fitted[prompt.frame] = await self._frames.fitted(prompt.frame, *known.frame_size)
        frames = [fitted[prompt.frame] for prompt in prompts if prompt.frame is not None]
        nobody = Prompt(0, (known.conditioning_length**-0.5,) * known.conditioning_length, 0.0)
        for left in reversed(range(_TRIES)):
            try:
                return await self._infer(model, version, prompts, frames)
            except DependencyUnavailable as error:
                if _status(error) not in _BREAKDOWNS:
                    raise
                failure = error
            with suppress(GeneratorRejected):  # that is an answer, too
                await self._infer(model, version, [nobody])
            if left:
                await asyncio.sleep(_TRIES_PAUSE)
        raise GeneratorRejected(
            f"model {model!r} version {version} fails with what is asked, and answers others: {failure.__cause__}:"
            " mend the model, or ask for something else"
        ) from failure

    async def _infer(
        self, model: str, version: str, prompts: Sequence[Prompt], frames: Sequence[Pixels] = ()
    ) -> list[Pixels]:
        result = await self._ask(
            model,
            self._open.infer(
                model,
                inputs(prompts, frames),
                model_version=version,
                outputs=[InferRequestedOutput(name) for name in OUTPUTS],
                client_timeout=self._timeout,
            ),
        )
        images = result.as_numpy("image")
        if images is None or images.dtype != np.uint8 or images.ndim != 4 or len(images) != len(prompts):
            got = "nothing" if images is None else f"{images.dtype} {images.shape}"
            # As with a model of other tensors below: one model that is wrong must not hold up all others.
            raise GeneratorRejected(
                f"expected {len(prompts)} images (H, W, 3) of uint8 from model {model!r}, got {got}: mend the model"
            )
        return list(images)

    async def _known(self, model: str, version: str) -> _Served:
        """Return what is known of a model; the first time, ask the server and hold it against the contract."""
        known = self._served.get((model, version))
        if known is not None:
            return known
        calls = self._open
        metadata = await self._ask(model, calls.get_model_metadata(model, version, client_timeout=self._timeout))
        config = (await self._ask(model, calls.get_model_config(model, version, client_timeout=self._timeout))).config
        length = config.parameters[LENGTH].string_value if LENGTH in config.parameters else ""
        size = frame_size(metadata.inputs)
        required = [tensor for tensor in metadata.inputs if size is None or tensor.name != FRAME]
        wrong = [*differences("input", INPUTS, required), *differences("output", OUTPUTS, metadata.outputs)]
        if config.max_batch_size < 1:
            wrong.append(f"expected max_batch_size of 1 and up, got {config.max_batch_size}")
        if not length.isdecimal():
            wrong.append(f"expected the parameter {LENGTH} as a number, got {length!r}")
        if wrong:
            # Anybody may ask for any model that is served: a request for a wrong one must not hold up all others.
            raise GeneratorRejected(
                f"model {model!r} version {version} is no generator of faces: {'; '.join(wrong)}:"
                " see the README of face_gan for what it must have"
            )
        on = config.parameters[CONDITIONED_ON].string_value if CONDITIONED_ON in config.parameters else ""
        self._served[model, version] = _Served(int(config.max_batch_size), int(length), on == CENTROID, size)
        return self._served[model, version]

    async def _versions(self, model: str) -> list[str]:
        """Return the versions that are ready: at least one. What the server lacks is waited for some seconds."""
        for left in reversed(range(_LOOKS + 1)):
            metadata = None
            try:
                metadata = await self._ask(model, self._open.get_model_metadata(model, client_timeout=self._timeout))
            except DependencyUnavailable as error:
                if _status(error) != "NOT_FOUND":
                    raise
            if metadata is not None and metadata.versions:
                return list(metadata.versions)
            await self._look_for(model)
            if left:
                await asyncio.sleep(self._standstill.seconds / _LOOKS)
        raise self._misdeployed(f"it has no version of model {model!r} ready, and its models come and go")

    async def _look_for(self, model: str) -> None:
        """Return where a model that has no version ready may have one soon.

        Raises:
            GeneratorRejected: If the server serves others and has stood still: this one is not served.
            DependencyUnavailable: If nothing is ready, which is the server's fault, or the model is being loaded.
        """
        index = await self._ask(model, self._open.get_model_repository_index(client_timeout=self._timeout))
        if not index.models:
            raise self._misdeployed("it has no models at all: correct its model repository")
        ready = frozenset((row.name, row.version) for row in index.models if row.state == "READY")
        if not ready:
            waits = ", ".join(sorted({row.name for row in index.models}))
            raise self._misdeployed(f"it is not ready, for want of {waits}")
        found = [row for row in index.models if row.name == model]
        if any(row.state == "LOADING" for row in found):
            raise self._misdeployed(f"it is loading model {model!r}")
        stands_still = self._standstill.holds(ready, time.monotonic())
        if not stands_still or any(row.state == "READY" for row in found):
            return
        served = ", ".join(sorted({name for name, _ in ready}))
        if found:
            why = "; ".join(row.reason for row in found if row.reason) or "no reason is given"
            raise GeneratorRejected(f"model {model!r} is there and not ready: {why}: mend it, or ask for {served}")
        raise GeneratorRejected(
            f"expected a model that is served (there are: {served}), got {model!r}: ask for one of those or"
            " put it into the model repository"
        )

    async def _ask(self, model: str, call: Awaitable[T]) -> T:
        try:
            return await call
        except InferenceServerException as error:
            code = _code(error)
            if code in _REFUSALS:
                raise GeneratorRejected(f"model {model!r} refuses: {error.message()}") from error
            raise DependencyUnavailable("triton", f"{self._address}, {model}: {code}: {error.message()}") from error

    def _misdeployed(self, detail: str) -> DependencyUnavailable:
        return DependencyUnavailable("triton", f"{self._address}: {detail}")

    @property
    def _open(self) -> InferenceServerClient:
        if self._client is None:
            raise RuntimeError("expected an open TritonGenerator: await open() first, on the loop that uses it")
        return self._client


def _status(error: DependencyUnavailable) -> str:
    """Return the gRPC status of the call that failed; "" where the server said something else that is wrong."""
    return _code(error.__cause__) if isinstance(error.__cause__, InferenceServerException) else ""


def _code(error: InferenceServerException) -> str:
    """Return gRPC's status, such as ``UNAVAILABLE``; the client gives it as ``StatusCode.UNAVAILABLE``."""
    return str(error.status() or "UNKNOWN").removeprefix("StatusCode.")


def _newest(versions: Sequence[str]) -> str:
    """Return the newest of versions, which are numbers as text: "10" > "9"."""
    return max(versions, key=lambda version: (len(version), version))


def _together(prompts: Sequence[Prompt], size: int) -> Sequence[Prompt]:
    """Return the first prompts, at most ``size``, that fit into one tensor each: as long, and with a frame or none."""
    shapes = [(len(prompt.conditioning), prompt.frame is None) for prompt in prompts[:size]]
    count = sum(1 for _ in takewhile(lambda shape: shape == shapes[0], shapes))
    return prompts[:count]
