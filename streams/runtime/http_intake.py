"""The intake over HTTP: what it acknowledges is in the ledger.

Every answer to a call is JSON; one that refuses says what was expected, what came and what to do, as
``{"error": …}``. What is no HTTP at all is answered by the server, in plain text.
"""

import asyncio
import hmac
import json
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import BaseModel

from streams.core.receipts import Receipts
from streams.errors import BadInput, DependencyUnavailable, Unready
from streams.events import TRACE_HEADERS, Headers
from streams.ports import Clock, Courier, Ledger
from streams.runtime.http_body import CONTENT_TYPES, Wrong, read
from streams.steps.intake import intake, standing

log = logging.getLogger(__name__)

#: Bytes: the longest body.
LARGEST_BODY = 256 * 1024
#: The most calls that are worked on at one time; those beyond are told to come again.
IN_WORK = 64
#: Seconds that a body may take to arrive, and the ledger to answer.
BODY_SECONDS, LEDGER_SECONDS = 10.0, 10.0
#: Seconds after which a caller should try again: where others are in the way, and where a part is down.
SOON, LATER = 1, 5
#: Seconds that calls may take to end once the service was told to stop.
STOP_SECONDS = 15.0

#: What both trace headers may consist of: anything else is dropped.
_TRACE = re.compile(r"[\x20-\x7e]{1,512}")
_SAMPLE_ID = re.compile(r"[0-9a-f]{32}")

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
#: For those who watch over the service: without a token, and however much there is to do.
_OPEN = ("/health", "/ready")


class HttpIntake:
    """Takes requests, and says where samples stand."""

    def __init__(
        self, ledger: Ledger, courier: Courier, *, now: Clock, token: str = "", in_work: int = IN_WORK
    ) -> None:
        """Take the parts.

        Args:
            ledger: Where requests are registered.
            courier: Takes them on.
            now: The clock.
            token: What callers must show; empty where anybody who reaches the service may ask.
            in_work: The most calls that are worked on at one time.
        """
        self._ledger, self._courier, self._now = ledger, courier, now
        self._token, self._free = token, in_work

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application(
            middlewares=[_in_words, self._known_callers, self._few_at_once], client_max_size=LARGEST_BODY
        )
        app.on_response_prepare.append(_in_json)
        app.add_routes(
            [
                web.post("/requests", self._requests),
                web.get("/samples/{sample_id}", self._sample),
                web.get("/health", self._health),
                web.get("/ready", self._ready),
            ]
        )
        return app

    # -- what is asked ------------------------------------------------------------------------------------------------

    async def _requests(self, call: web.Request) -> web.Response:
        """202: durable. 409: asked before with another content. Anything else: nothing is acknowledged."""
        _readable(call)
        asked = read(await _body(call), call.content_type)
        if isinstance(asked, Wrong):
            return _refusal(asked.status, asked.text)
        async with asyncio.timeout(LEDGER_SECONDS):
            receipts = await intake(asked.requests, self._ledger, self._courier, now=self._now, trace=_trace(call))
        return _conflict(receipts, asked.alone) if receipts.conflicts else _accepted(receipts, asked.alone)

    async def _sample(self, call: web.Request) -> web.Response:
        sample_id = call.match_info["sample_id"]
        if not _SAMPLE_ID.fullmatch(sample_id):
            return _refusal(400, f"expected a sample id, 32 hexadecimal digits in lower case, got {sample_id[:100]!r}")
        async with asyncio.timeout(LEDGER_SECONDS):
            found = await standing(sample_id, self._ledger)
        if found is None:
            return _refusal(404, f"no sample {sample_id} is registered")
        return _answer(200, found)

    async def _health(self, _: web.Request) -> web.Response:
        """Answers as long as the process can."""
        return web.json_response({"alive": True})

    async def _ready(self, _: web.Request) -> web.Response:
        """Answers well while requests can be acknowledged: the ledger alone decides."""
        async with asyncio.timeout(LEDGER_SECONDS):
            await self._ledger.registered([])
        return web.json_response({"ready": True})

    # -- around every call --------------------------------------------------------------------------------------------

    @web.middleware
    async def _known_callers(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        shown = request.headers.get("Authorization", "").encode(errors="surrogateescape")
        if (
            self._token
            and request.path not in _OPEN
            and not hmac.compare_digest(shown, f"Bearer {self._token}".encode())
        ):
            came = "another one" if shown else "none"  # which one, no log and no answer should hold
            said = f"expected the header Authorization: Bearer …, with the token of LIKENESS_INTAKE_TOKEN, got {came}"
            return _refusal(401, said, {"WWW-Authenticate": "Bearer"})
        return await handler(request)

    @web.middleware
    async def _few_at_once(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        if request.path in _OPEN:
            return await handler(request)
        if not self._free:
            return _refusal(429, f"too many calls at once: try again in {SOON} s", _again(SOON))
        self._free -= 1
        try:
            return await handler(request)
        finally:
            self._free += 1


@web.middleware
async def _in_words(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Make an answer of whatever went wrong; what is not foreseen stays an error of the server, with a traceback."""
    try:
        return await handler(request)
    except (DependencyUnavailable, Unready, TimeoutError) as error:
        # Where the ledger lies, and what it says, is for the log alone: anybody may ask whether it is ready.
        said = str(error) or f"nothing came for {LEDGER_SECONDS:g} s"
        log.warning("%s %s: the ledger cannot be used: %s", request.method, request.path, said)
        unusable = f"the ledger cannot be used now, nothing was acknowledged: try again in {LATER} s"
        return _refusal(503, unusable, _again(LATER))
    except web.HTTPRequestEntityTooLarge:
        came = "more" if request.content_length is None else f"{request.content_length}"
        return _refusal(413, f"expected a body of at most {LARGEST_BODY} bytes, got {came}: send the requests in parts")
    except web.HTTPException as error:
        allowed = {name: value for name, value in error.headers.items() if name == "Allow"}
        return _refusal(error.status, f"{request.method} {request.path}: {error.reason}", allowed)


async def _in_json(call: web.Request, answer: web.StreamResponse) -> None:
    """Say in JSON too what aiohttp answers by itself: above all where something was raised that nobody foresaw."""
    if answer.status < 400 or answer.content_type == "application/json" or not isinstance(answer, web.Response):
        return
    said = f"{call.method} {call.path}: {answer.reason}"
    if answer.status >= 500:
        said = "something unforeseen went wrong here, nothing was acknowledged: asking again is safe; the log has more"
    body = json.dumps({"error": said}).encode()
    answer.content_type, answer.charset, answer.body = "application/json", "utf-8", body
    answer.headers["Content-Length"] = str(len(body))  # it was reckoned already


def _readable(call: web.Request) -> None:
    """Refuse a body that would be read otherwise than it was meant."""
    encoding, charset = call.headers.get("Content-Encoding", "identity"), (call.charset or "utf-8").lower()
    if call.content_type not in CONTENT_TYPES or charset not in ("utf-8", "utf8") or encoding != "identity":
        came = f"{call.content_type[:100]!r} in {charset[:40]!r}, encoded as {encoding[:40]!r}"
        wanted = f"the Content-Type {' or '.join(CONTENT_TYPES)}, in UTF-8, not compressed"
        raise web.HTTPUnsupportedMediaType(reason=f"expected {wanted}, got {came}")


async def _body(call: web.Request) -> bytes:
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await call.read()
    except TimeoutError as error:
        raise web.HTTPRequestTimeout(reason=f"expected the body within {BODY_SECONDS:g} s, got a part of it") from error
    except (web.RequestPayloadError, ConnectionResetError) as error:
        raise web.HTTPBadRequest(reason="expected the whole body, got a part of it") from error


def _trace(call: web.Request) -> Headers:
    found = ((name, call.headers.get(name, "")) for name in TRACE_HEADERS)
    return tuple((name, value.encode()) for name, value in found if _TRACE.fullmatch(value))


def _accepted(receipts: Receipts, alone: bool) -> web.Response:
    return _answer(202, receipts.requests[0] if alone else receipts)


def _conflict(receipts: Receipts, alone: bool) -> web.Response:
    said = "asked before under the same source and request_id, with another content: choose another request_id"
    conflicts = ", ".join(f"{one.request_id} of {one.source}" for one in receipts.conflicts)
    rest = {} if alone else receipts.model_dump(mode="json")
    return web.json_response({"error": f"request {conflicts}: {said}", **rest}, status=409)


def _answer(status: int, said: BaseModel) -> web.Response:
    # What was not said is left out: a sample in flight has no verdict, not an empty one.
    return web.json_response(text=said.model_dump_json(exclude_unset=True), status=status)


def _refusal(status: int, text: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response({"error": text}, status=status, headers=headers)


def _again(seconds: int) -> dict[str, str]:
    return {"Retry-After": str(seconds)}


def _told_in_a_line(record: logging.LogRecord) -> bool:
    """Take the traceback off what strangers send that is no HTTP: it says nothing, and any of them can cause it."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError):
        said = f"{record.getMessage()}: no HTTP: {error.message!r}"
        record.msg, record.args, record.exc_info, record.levelno = said, (), None, logging.WARNING
    return True


@asynccontextmanager
async def listening(app: web.Application, host: str, port: int) -> AsyncIterator[str]:
    """Serve until left, then let calls that are under way end; gives the URL.

    Raises:
        BadInput: If nothing can listen there.
    """
    logger = log.getChild("server")
    logger.addFilter(_told_in_a_line)
    runner = web.AppRunner(app, access_log=None, logger=logger, shutdown_timeout=STOP_SECONDS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            said = f"nothing can listen on {host}:{port}: {error.strerror or error}; choose another --listen"
            raise BadInput(said) from error
        chosen = runner.addresses[0][1]
        yield f"http://{f'[{host}]' if ':' in host else host}:{chosen}"
    finally:
        await runner.cleanup()
