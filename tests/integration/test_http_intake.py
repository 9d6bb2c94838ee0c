"""The intake over HTTP, asked as any program would ask it; and by its own client."""

import asyncio
import json
import shutil
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.adapters.ledger.database import Database
from streams.adapters.ledger.samples import SqlLedger
from streams.client import Intake
from streams.core.ids import generated_sample_id
from streams.core.ledger import Outcome, State
from streams.core.receipts import REQUESTS_AT_ONCE
from streams.core.records import Record
from streams.errors import BadInput, DependencyUnavailable, RequestConflict
from streams.events import GenerationRequested, to_json
from streams.runtime.http_body import CONTENT_TYPES
from streams.runtime.http_intake import LARGEST_BODY, HttpIntake, listening
from streams.testing.courier import StubCourier
from streams.testing.messages import TRACE, request
from streams.testing.services import FrozenClock

ONE = generated_sample_id("shop", "r-1", 0)
SHOWN = "open sésame"
JSON = {"Content-Type": "application/json"}


class SlowCourier(StubCourier):
    """Takes its time."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.go = asyncio.Event(), asyncio.Event()

    async def hand_over(self, *arguments: Any, **options: Any) -> bool:
        self.asked.set()
        await self.go.wait()
        return await super().hand_over(*arguments, **options)


class Asking:
    """A service that listens, and somebody who asks it."""

    def __init__(self, ledger: SqlLedger, stack: AsyncExitStack) -> None:
        self.ledger, self._stack = ledger, stack
        self.courier = StubCourier()

    async def listen(self, **options: Any) -> str:
        """Have it listen; return its address."""
        service = HttpIntake(self.ledger, options.pop("courier", self.courier), now=FrozenClock(), **options)
        self.app = service.app()
        self.url = await self._stack.enter_async_context(listening(self.app, "127.0.0.1", 0))
        self.session = await self._stack.enter_async_context(aiohttp.ClientSession())
        return self.url

    async def post(self, body: object, headers: dict[str, str] = JSON) -> tuple[int, dict, aiohttp.ClientResponse]:
        """Post a body, as bytes or as what is written as JSON."""
        data = to_json(body) if isinstance(body, GenerationRequested) else body
        data = data if isinstance(data, bytes) else json.dumps(data).encode()
        async with self.session.post(self.url + "/requests", data=data, headers=headers) as answer:
            return answer.status, await answer.json(), answer

    async def get(self, path: str, **options: Any) -> tuple[int, dict]:
        async with self.session.get(self.url + path, **options) as answer:
            return answer.status, await answer.json()


@pytest.fixture
async def asking(ledger: SqlLedger) -> AsyncIterator[Asking]:
    async with AsyncExitStack() as stack:
        yield Asking(ledger, stack)


@pytest.fixture
async def lost_ledger(tmp_path: Path) -> AsyncIterator[SqlLedger]:
    """A ledger whose folder is gone, as that of a disk that is not mounted."""
    database = Database(f"sqlite:///{tmp_path}/gone/ledger.db")
    shutil.rmtree(tmp_path / "gone")
    yield SqlLedger(database)
    await database.close()


def as_json(one: GenerationRequested) -> dict:
    return json.loads(to_json(one))


async def test_a_request_is_acknowledged_once_it_is_registered(asking: Asking):
    await asking.listen()

    status, said, _ = await asking.post(request(count=2))

    ids = [generated_sample_id("shop", "r-1", index) for index in range(2)]
    assert (status, said) == (202, {"source": "shop", "request_id": "r-1", "sample_ids": ids, "published": True})
    assert sorted(await asking.ledger.registered(ids)) == sorted(ids)
    assert [one.request for one in asking.courier.handed] == [request(count=2)]


async def test_several_requests_come_as_an_array_or_as_lines(asking: Asking):
    await asking.listen()
    wanted = [request(request_id=f"r-{number}") for number in range(3)]

    for body, kind in [
        (b"[" + b",".join(map(to_json, wanted)) + b"]", "application/json"),
        (b"\n".join(map(to_json, wanted)), "application/x-ndjson; charset=UTF-8"),
    ]:
        status, said, _ = await asking.post(body, {"Content-Type": kind})
        assert (status, [one["request_id"] for one in said["requests"]]) == (202, ["r-0", "r-1", "r-2"])


async def test_the_same_request_again_has_the_same_answer(asking: Asking):
    await asking.listen()

    assert (await asking.post(request()))[:2] == (await asking.post(request()))[:2]


async def test_a_request_with_another_content_is_a_conflict_and_only_that(asking: Asking):
    await asking.listen()
    await asking.post(request(seed=1))

    status, said, _ = await asking.post(request(seed=2))
    assert status == 409
    assert "request r-1 of shop: asked before" in said["error"]

    status, said, _ = await asking.post([as_json(request(seed=2)), as_json(request(request_id="r-2"))])
    assert (status, said["conflicts"]) == (409, [{"source": "shop", "request_id": "r-1"}])
    assert [one["request_id"] for one in said["requests"]] == ["r-2"]
    assert [(one.request.request_id, one.request.seed) for one in asking.courier.handed] == [("r-1", 1), ("r-2", 7)]


async def test_a_request_is_acknowledged_while_kafka_is_down_and_the_answer_says_so(asking: Asking):
    asking.courier.reaches = False
    await asking.listen()

    status, said, _ = await asking.post(request())

    assert (status, said["published"]) == (202, False)
    assert ONE in await asking.ledger.registered([ONE])


async def test_while_the_ledger_is_down_nothing_is_acknowledged_and_the_process_still_lives(
    asking: Asking, lost_ledger: SqlLedger
):
    asking.ledger = lost_ledger
    await asking.listen()

    status, said, answer = await asking.post(request())

    assert (status, answer.headers["Retry-After"]) == (503, "5")
    assert "nothing was acknowledged" in said["error"]
    assert "gone" not in said["error"]  # where the ledger lies is nobody's business
    assert asking.courier.handed == []
    assert (await asking.get("/ready"))[0] == 503
    assert (await asking.get(f"/samples/{ONE}"))[0] == 503
    assert await asking.get("/health") == (200, {"alive": True})


async def test_it_is_ready_where_the_ledger_answers(asking: Asking):
    await asking.listen()

    assert await asking.get("/ready") == (200, {"ready": True})


async def test_of_too_many_calls_at_once_those_beyond_are_told_to_come_again(asking: Asking):
    slow = SlowCourier()
    await asking.listen(courier=slow, in_work=1)
    first = asyncio.create_task(asking.post(request()))
    await slow.asked.wait()

    status, _, answer = await asking.post(request(request_id="r-2"))
    assert (status, answer.headers["Retry-After"]) == (429, "1")
    assert (await asking.get("/ready"))[0] == 200

    slow.go.set()
    assert (await first)[0] == 202
    assert (await asking.post(request(request_id="r-2")))[0] == 202


async def test_the_trace_of_a_caller_is_handed_on_and_nothing_else_under_its_name(asking: Asking):
    await asking.listen()
    [(name, value)] = TRACE

    await asking.post(request(), {**JSON, name: value.decode(), "X-Other": "1"})
    await asking.post(request(request_id="r-2"), {**JSON, name: "ä", "tracestate": "x" * 513})

    assert [one.trace for one in asking.courier.handed] == [TRACE, ()]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=utf-16"},
        {**JSON, "Content-Encoding": "gzip"},
    ],
)
async def test_a_body_that_may_mean_something_else_is_not_read(asking: Asking, headers: dict[str, str]):
    await asking.listen()

    status, said, _ = await asking.post(request(), headers)

    assert status == 415
    assert all(kind in said["error"] for kind in CONTENT_TYPES)


async def test_a_body_has_a_largest_size(asking: Asking):
    await asking.listen()

    assert (await asking.post(to_json(request()).ljust(LARGEST_BODY)))[0] == 202
    status, said, _ = await asking.post(b" " * (LARGEST_BODY + 1))
    assert status == 413
    assert str(LARGEST_BODY) in said["error"]


async def test_what_is_no_request_is_refused_in_words(asking: Asking):
    await asking.listen()

    assert (await asking.post(b"{"))[0] == 400
    status, said, _ = await asking.post({"source": "shop"})
    assert status == 422
    assert "request_id: Field required" in said["error"]
    status, said = await asking.get("/requests")
    assert (status, set(said)) == (405, {"error"})
    assert (await asking.get("/nowhere"))[0] == 404


async def test_only_who_shows_the_token_is_served_and_those_who_watch(asking: Asking):
    url = await asking.listen(token=SHOWN)
    shown = {"Authorization": f"Bearer {SHOWN}"}

    for wrong in ({}, {"Authorization": "Bearer open"}, {"Authorization": SHOWN}):
        status, said, answer = await asking.post(request(), {**JSON, **wrong})
        assert (status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert "LIKENESS_INTAKE_TOKEN" in said["error"]
        assert (await asking.get(f"/samples/{ONE}", headers=wrong))[0] == 401
        assert (await asking.get("/nowhere", headers=wrong))[0] == 401
    assert asking.courier.handed == []

    assert (await asking.post(request(), {**JSON, **shown}))[0] == 202
    assert [(await asking.get(path))[0] for path in ("/health", "/ready")] == [200, 200]
    async with Intake(url, token=SHOWN) as intake:
        assert await intake.request(request()) == [ONE]
    async with Intake(url) as intake:
        with pytest.raises(BadInput, match=r"401.*LIKENESS_INTAKE_TOKEN"):
            await intake.request(request())


async def test_a_sample_stands_where_the_ledger_says(asking: Asking):
    await asking.listen()
    assert (await asking.get(f"/samples/{ONE}"))[0] == 404
    assert (await asking.get("/samples/nonsense"))[0] == 400
    await asking.post(request())
    assert await asking.get(f"/samples/{ONE}") == (200, {"sample_id": ONE, "state": "in_flight"})

    record = Record(
        "samples.accepted", ONE.encode(), b'{"decision": "accepted", "colour": "blue"}', (), datetime.now(UTC)
    )
    await asking.ledger.decide([Outcome(ONE, State.ACCEPTED, record)])

    verdict = {"decision": "accepted", "colour": "blue"}
    assert await asking.get(f"/samples/{ONE}") == (200, {"sample_id": ONE, "state": "accepted", "verdict": verdict})


# -- whatever comes over the wire --------------------------------------------------------------------------------------


def test_whatever_is_posted_is_never_an_error_of_the_server(ledger_folder: Path):
    headers = st.fixed_dictionaries(
        {"Content-Type": st.sampled_from([*CONTENT_TYPES, "application/json; charset=ä", "text/plain", ";", ""])},
        optional={
            name: st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40)
            for name in ("Content-Encoding", "traceparent", "tracestate", "Authorization", "Expect", "X-Anything")
        },
    )
    names = st.sampled_from(["source", "request_id", "identity", "seed", "strength", "count", "model", "version"])
    values = st.sampled_from(["shop", "anna", 0, 1, 64, 65, -1, 2**62, 2**70, 0.5, -0.0, True, None, "", "ä", [], {}])
    item = st.dictionaries(names, values, max_size=8)
    bodies = st.binary(max_size=100) | (item | st.lists(item, max_size=3)).map(lambda one: json.dumps(one).encode())
    paths = st.sampled_from(["/requests", "/samples/" + ONE, "/samples/%00", "/%ff", "//", "/health"])

    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        database = Database(f"sqlite:///{ledger_folder}/fuzzed.db")
        runner.run(database.open())
        asking = Asking(SqlLedger(database), stack)
        runner.run(asking.listen())
        statuses: set[int] = set()

        async def call(method: str, path: str, body: bytes, sent: dict[str, str]) -> int:
            async with asking.session.request(method, asking.url + path, data=body, headers=sent) as answer:
                await answer.read()
                return answer.status

        @settings(max_examples=100)
        @given(method=st.sampled_from(["POST", "POST", "PUT", "GET"]), path=paths, body=bodies, sent=headers)
        def check(method: str, path: str, body: bytes, sent: dict[str, str]) -> None:
            status = runner.run(call(method, path, body, sent))
            statuses.add(status)
            assert status < 500

        check()
        assert runner.run(call("POST", "/requests", to_json(request()), JSON)) == 202
        assert len(statuses) > 1
        runner.run(stack.aclose())
        runner.run(database.close())


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 100\r\n\r\n{",
        b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"Content-Length: -1\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"Expect: 200-ok\r\nContent-Length: 2\r\n\r\n{}",
        b"\xff: \xff\r\n\r\n",
    ],
)
async def test_a_call_that_breaks_off_or_is_no_http_disturbs_nobody(asking: Asking, caplog, rest: bytes):
    url = await asking.listen()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    writer.write(b"POST /requests HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + rest)
    writer.write_eof()
    answered = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await writer.wait_closed()

    assert b" 500 " not in answered
    assert (await asking.post(request()))[0] == 202
    assert "Traceback" not in caplog.text


async def test_what_nobody_foresaw_is_answered_in_json_and_told_in_the_log(asking: Asking, caplog):
    class Broken(StubCourier):
        async def hand_over(self, *arguments: Any, **options: Any) -> bool:
            raise ZeroDivisionError("nobody foresaw this")

    await asking.listen(courier=Broken())

    status, said, answer = await asking.post(request())

    assert (status, answer.content_type, list(said)) == (500, "application/json", ["error"])
    assert "asking again is safe" in said["error"]
    assert "foresaw this" not in said["error"]
    assert "nobody foresaw this" in caplog.text
    assert await asking.get("/health") == (200, {"alive": True})


async def test_what_the_server_refuses_by_itself_is_json_too(asking: Asking):
    await asking.listen()
    assert "error" in (await asking.post(request(), {**JSON, "Expect": "200-ok"}))[1]
    assert "error" in (await asking.get("/nowhere"))[1]


async def test_a_caller_that_is_gone_before_its_answer_leaves_no_error_and_holds_no_place(asking: Asking, caplog):
    slow = SlowCourier()
    url = await asking.listen(courier=slow, in_work=1)
    _, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    body = to_json(request())
    head = f"POST /requests HTTP/1.1\r\nHost: x\r\nContent-Type: {JSON['Content-Type']}\r\nContent-Length: {len(body)}"
    writer.write(head.encode() + b"\r\n\r\n" + body)
    await slow.asked.wait()
    peer: socket.socket = writer.get_extra_info("socket")
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # it leaves with a reset
    writer.transport.abort()
    slow.go.set()

    async with Intake(url) as intake:  # tries again while the only place is taken
        assert await intake.request(request()) == [ONE]
    assert "Traceback" not in caplog.text


# -- its own client ----------------------------------------------------------------------------------------------------


async def test_the_client_returns_the_ids_of_all_samples_in_order_however_many(asking: Asking):
    url = await asking.listen()
    wanted = [request(request_id=f"r-{number}", count=2) for number in range(REQUESTS_AT_ONCE + 1)]

    async with Intake(url) as intake:
        ids = await intake.request(*wanted, trace=TRACE)
        assert await intake.request() == []

    assert ids == [generated_sample_id("shop", one.request_id, index) for one in wanted for index in range(2)]
    assert {one.trace for one in asking.courier.handed} == {TRACE}


async def test_the_client_names_conflicts_and_the_others_are_durable(asking: Asking):
    url = await asking.listen()
    async with Intake(url) as intake:
        await intake.request(request(seed=1))

        with pytest.raises(RequestConflict, match="r-1 of shop"):
            await intake.request(request(seed=2), request(request_id="r-2"))

        other = await intake.sample(generated_sample_id("shop", "r-2", 0))
        assert other is not None
        assert other.state is State.IN_FLIGHT
        assert await intake.sample("0" * 32) is None


async def test_the_client_asks_again_until_it_is_answered(asking: Asking):
    def gone(call: web.Request) -> web.Response:
        assert call.transport is not None
        call.transport.abort()
        return web.Response()

    failing: list[Callable[[web.Request], web.Response]] = [
        lambda _: web.Response(status=502, text="<html>bad gateway</html>"),
        lambda _: web.json_response({"error": "busy"}, status=429, headers={"Retry-After": "0"}),
        gone,
        lambda _: web.json_response(["odd"], status=503, headers={"Retry-After": "Fri, 01 Jan 2030 00:00:00 GMT"}),
    ]

    @web.middleware
    async def in_between(request: web.Request, handler) -> web.StreamResponse:
        return failing.pop(0)(request) if failing else await handler(request)

    service = HttpIntake(asking.ledger, asking.courier, now=FrozenClock())
    app = service.app()
    app.middlewares.insert(0, in_between)

    async with listening(app, "127.0.0.1", 0) as url, Intake(url) as intake:
        assert await intake.request(request()) == [ONE]
    assert failing == []


async def test_the_client_gives_up_on_an_intake_that_is_not_there(unused_tcp_port: int):
    async with Intake(f"http://127.0.0.1:{unused_tcp_port}", give_up_after_seconds=0.1) as intake:
        with pytest.raises(DependencyUnavailable, match="intake is unavailable"):
            await intake.request(request())


async def test_what_nothing_can_listen_on_is_named(asking: Asking):
    url = await asking.listen()
    port = int(url.rpartition(":")[2])

    with pytest.raises(BadInput, match=rf"127\.0\.0\.1:{port}.*choose another --listen"):
        async with listening(web.Application(), "127.0.0.1", port):
            pass
