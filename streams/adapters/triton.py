"""Generators behind a Triton server, over gRPC."""

import asyncio
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from tritonclient.grpc import InferInput, InferRequestedOutput
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from streams.core.faces import Pixels
from streams.errors import DependencyUnavailable, GeneratorRejected
from streams.ports import Prompt

#: Every generator's tensors: name -> (data type, shape with the batch first; -1 is any size).
INPUTS: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "seed": ("INT64", (-1, 1)),
    "conditioning": ("FP32", (-1, -1)),
    "strength": ("FP32", (-1, 1)),
}
OUTPUTS: Mapping[str, tuple[str, tuple[int, ...]]] = {"image": ("UINT8", (-1, -1, -1, 3))}
#: The parameter of a model's configuration that says how many values its conditioning has.
LENGTH = "conditioning_length"

#: What a server says of a request that it will never serve, however often it is asked. All else may pass.
_REFUSALS = frozenset({"INVALID_ARGUMENT", "OUT_OF_RANGE"})

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


class TritonGenerator:
    """Implements ``streams.ports.Generator``. One for one event loop: open it on the loop that uses it."""

    def __init__(self, address: str, *, timeout_seconds: float) -> None:
        """Take Triton's gRPC address, ``host:port``, and how long one call may take."""
        self._address = address
        self._timeout = timeout_seconds
        self._client: InferenceServerClient | None = None
        self._served: dict[tuple[str, str], _Served] = {}

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
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    async def version(self, model: str) -> str:
        """Return the newest version that is ready to serve.

        Raises:
            GeneratorRejected: If the server is ready and has no such model, or has one that is no generator.
            DependencyUnavailable: If the server does not answer or is not ready, or the model is there and not ready.
        """
        metadata = await self._or_unknown(model, self._open.get_model_metadata(model, client_timeout=self._timeout))
        if not metadata.versions:
            raise DependencyUnavailable("triton", f"model {model!r} has no version that is ready")
        newest = max(metadata.versions, key=lambda version: (len(version), version))  # numbers as text: "10" > "9"
        await self._known(model, newest)
        return str(newest)

    async def conditioning_length(self, model: str) -> int:
        """Return how many values a conditioning has for the newest version. Raises as ``version`` does."""
        return (await self._known(model, await self.version(model))).conditioning_length

    async def generate(self, model: str, version: str, prompts: Sequence[Prompt]) -> list[Pixels]:
        """Make one image a prompt, in order, in as few batches as the model takes.

        Raises:
            GeneratorRejected: If any prompt is refused; then none counts as made.
            DependencyUnavailable: If the server does not answer, or does not serve that version now.
        """
        if any(not prompt.conditioning for prompt in prompts):
            raise GeneratorRejected(
                f"expected a conditioning for model {model!r}, got none: enrol the identity with its conditioning for"
                " this model"
            )
        batches = _batches(prompts, (await self._known(model, version)).batch)
        # Wait for all of them even where one fails: no call outlives this one.
        made = await asyncio.gather(*(self._infer(model, version, b) for b in batches), return_exceptions=True)
        images: list[Pixels] = []
        for result in made:
            if isinstance(result, BaseException):
                raise result
            images.extend(result)
        return images

    async def _infer(self, model: str, version: str, prompts: Sequence[Prompt]) -> list[Pixels]:
        result = await self._ask(
            model,
            self._open.infer(
                model,
                _inputs(prompts),
                model_version=version,
                outputs=[InferRequestedOutput(name) for name in OUTPUTS],
                client_timeout=self._timeout,
            ),
        )
        images = result.as_numpy("image")
        if images is None or images.dtype != np.uint8 or images.ndim != 4 or len(images) != len(prompts):
            got = "nothing" if images is None else f"{images.dtype} {images.shape}"
            raise self._misdeployed(
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
        wrong = [*_differences("input", INPUTS, metadata.inputs), *_differences("output", OUTPUTS, metadata.outputs)]
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
        self._served[model, version] = _Served(int(config.max_batch_size), int(length))
        return self._served[model, version]

    async def _or_unknown(self, model: str, call: Awaitable[T]) -> T:
        """Await a call about a model; one that is not among those of a server that is ready is unknown."""
        try:
            return await self._ask(model, call)
        except DependencyUnavailable as error:
            cause = error.__cause__
            if not isinstance(cause, InferenceServerException) or _code(cause) != "NOT_FOUND":
                raise
            calls = self._open
            index = await self._ask(model, calls.get_model_repository_index(client_timeout=self._timeout))
            if any(row.name == model for row in index.models):
                raise
            if not index.models:
                raise self._misdeployed("it has no models at all: correct its model repository") from error
            if not await self._ask(model, calls.is_server_ready(client_timeout=self._timeout)):
                waits = ", ".join(sorted({row.name for row in index.models if row.state != "READY"})) or "itself"
                raise self._misdeployed(f"it is not ready, for want of {waits}") from error
            served = ", ".join(sorted({row.name for row in index.models}))
            raise GeneratorRejected(
                f"expected a model that is served (there are: {served}), got {model!r}: ask for one of those or"
                " put it into the model repository"
            ) from error

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


def _code(error: InferenceServerException) -> str:
    """Return gRPC's status, such as ``UNAVAILABLE``; the client gives it as ``StatusCode.UNAVAILABLE``."""
    return str(error.status() or "UNKNOWN").removeprefix("StatusCode.")


def _batches(prompts: Sequence[Prompt], size: int) -> Iterator[Sequence[Prompt]]:
    """Cut prompts into runs of at most ``size`` whose conditionings are equally long, in order."""
    for _, run in groupby(prompts, key=lambda prompt: len(prompt.conditioning)):
        alike = list(run)
        yield from (alike[start : start + size] for start in range(0, len(alike), size))


def _inputs(prompts: Sequence[Prompt]) -> list[InferInput]:
    columns: dict[str, npt.NDArray[Any]] = {
        "seed": np.array([[prompt.seed] for prompt in prompts], dtype=np.int64),
        "conditioning": np.array([prompt.conditioning for prompt in prompts], dtype=np.float32),
        "strength": np.array([[prompt.strength] for prompt in prompts], dtype=np.float32),
    }
    inputs = []
    for name, values in columns.items():
        tensor = InferInput(name, list(values.shape), INPUTS[name][0])
        tensor.set_data_from_numpy(values)
        inputs.append(tensor)
    return inputs


def _differences(
    side: str, expected: Mapping[str, tuple[str, tuple[int, ...]]], served: Sequence[Any]
) -> Iterator[str]:
    """Say how a model's tensors differ from the contract; a fixed size where any will do is no difference."""
    found = {tensor.name: (tensor.datatype, tuple(tensor.shape)) for tensor in served}
    if found.keys() != expected.keys():
        yield f"expected {side}s {', '.join(sorted(expected))}, got {', '.join(sorted(found)) or 'none'}"
        return
    for name, (dtype, shape) in expected.items():
        got_dtype, got_shape = found[name]
        fits = len(shape) == len(got_shape) and all(
            want in (-1, got) for want, got in zip(shape, got_shape, strict=True)
        )
        if dtype != got_dtype or not fits:
            yield f"expected {side} {name} {dtype} {list(shape)}, got {got_dtype} {list(got_shape)}"
