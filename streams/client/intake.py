"""Ask for samples through the intake: what it acknowledges is durable."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, NoReturn

import aiohttp
from pydantic import TypeAdapter
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_delay, wait_random_exponential

from streams.core.receipts import REQUESTS_AT_ONCE, Receipts, Standing
from streams.errors import BadInput, DependencyUnavailable, RequestConflict
from streams.events import GenerationRequested, Headers, SampleJudged

#: Seconds: the upper end of the first pause and of the longest one; a pause is drawn between 0 and it.
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0
#: Seconds that one call may take.
CALL_SECONDS = 30.0

_requests = TypeAdapter(tuple[GenerationRequested, ...])
_jitter = wait_random_exponential(multiplier=FIRST_PAUSE, max=LONGEST_PAUSE)


class _ComeAgain(DependencyUnavailable):
    """The intake cannot take anything now, and says so or does not answer."""

    def __init__(self, detail: str, after_seconds: float = 0.0) -> None:
        super().__init__("intake", detail)
        self.after_seconds = after_seconds


class Intake:
    """Asks the service of ``likeness intake``. What is down is waited for: asking again changes nothing."""

    def __init__(self, url: str, *, token: str = "", give_up_after_seconds: float = 120.0) -> None:
        """Take where it is. Nothing is connected yet.

        Args:
            url: Such as ``http://127.0.0.1:8080``.
            token: What its LIKENESS_INTAKE_TOKEN says, where it has one.
            give_up_after_seconds: How long an intake may be down before that is an error.
        """
        self._url, self._patience = url.rstrip("/"), give_up_after_seconds
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def __aenter__(self) -> "Intake":
        """Prepare to connect."""
        timeout = aiohttp.ClientTimeout(total=CALL_SECONDS)
        self._session = aiohttp.ClientSession(headers=self._headers, timeout=timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Disconnect."""
        await self._session.close()

    async def request(self, *requests: GenerationRequested, trace: Headers = ()) -> list[str]:
        """Ask for samples; return their ids, in order. Each of them will have one end, whatever happens to the brokers.

        Args:
            requests: What is asked for. The same request sent again changes nothing.
            trace: Trace headers to hand on.

        Raises:
            RequestConflict: If one was asked before with another content; the others are durable.
            BadInput: If the intake refuses what is asked, or who asks.
            DependencyUnavailable: If it is down for too long: some may be durable, asking again is safe.
        """
        headers = {name: (value or b"").decode() for name, value in trace}
        ids: dict[tuple[str, str], tuple[str, ...]] = {}
        conflicts: list[str] = []
        for start in range(0, len(requests), REQUESTS_AT_ONCE):
            answered = await self._post(requests[start : start + REQUESTS_AT_ONCE], headers)
            ids |= {(one.source, one.request_id): one.sample_ids for one in answered.requests}
            conflicts += [f"{one.request_id} of {one.source}" for one in answered.conflicts]
        if conflicts:
            raise RequestConflict(
                f"asked before with another content: {', '.join(conflicts)}; choose another request_id for what is new"
            )
        return [sample_id for one in requests for sample_id in ids[one.source, one.request_id]]

    async def sample(self, sample_id: str) -> Standing[SampleJudged] | None:
        """Return where a sample stands, with its verdict once there is one; None for one that nobody asked for.

        Raises:
            BadInput: If that is no id, or the intake refuses who asks.
            DependencyUnavailable: If it is down for too long.
        """
        status, said = await self._answer("GET", f"/samples/{sample_id}")
        if status == 404:
            return None
        return Standing[SampleJudged].model_validate_json(said) if status == 200 else self._refuse(status, said)

    async def _post(self, requests: Sequence[GenerationRequested], headers: Mapping[str, str]) -> Receipts:
        body = _requests.dump_json(tuple(requests))
        headers = {**headers, "Content-Type": "application/json"}
        status, said = await self._answer("POST", "/requests", data=body, headers=headers)
        return Receipts.model_validate_json(said) if status in (202, 409) else self._refuse(status, said)

    async def _answer(self, method: str, path: str, **options: Any) -> tuple[int, bytes]:
        """Ask again while the intake is down or busy, with full jitter, and no earlier than it says."""

        async def once() -> tuple[int, bytes]:
            try:
                async with self._session.request(method, self._url + path, allow_redirects=False, **options) as answer:
                    said = await answer.read()
            except (aiohttp.ClientError, TimeoutError) as error:
                raise _ComeAgain(f"{self._url}: {error or 'no answer'}") from error
            if answer.status == 429 or answer.status >= 500:
                raise _ComeAgain(f"{self._url}: {_error(said)}", _seconds(answer.headers.get("Retry-After", "")))
            return answer.status, said

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(_ComeAgain), wait=_pause, stop=stop_after_delay(self._patience), reraise=True
        )
        result: tuple[int, bytes] = await retrying(once)
        return result

    def _refuse(self, status: int, said: bytes) -> NoReturn:
        remedy = "; give the token of its LIKENESS_INTAKE_TOKEN" if status == 401 else ""
        raise BadInput(f"the intake at {self._url} refuses this ({status}): {_error(said)}{remedy}")


def _pause(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return _jitter(state) + (error.after_seconds if isinstance(error, _ComeAgain) else 0.0)


def _seconds(text: str) -> float:
    """Read a Retry-After; dates, which our intake never sends, count as nothing."""
    return min(float(text), LONGEST_PAUSE) if text.isdecimal() else 0.0


def _error(said: bytes) -> str:
    """Return the words of a refusal; those of somebody else's server, such as a proxy, as they are."""
    try:
        found = TypeAdapter(dict[str, Any]).validate_json(said).get("error")
    except ValueError:
        found = None
    return str(found or said[:200].decode(errors="replace"))
