"""Everything bad that a stranger can put on our topics, and how each piece of it must end.

``corpus`` is what to send, and ``publish`` sends it as no client of ours would. Some of it points at what
``planted.plant`` lays into an image store. Every piece ends as a dead letter, flagged, or judged: none is lost,
none stops its partition, and no worker dies of any.
"""

import base64
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from aiokafka import AIOKafkaProducer, TopicPartition
from PIL import Image

from streams import topics
from streams.core.ids import generated_sample_id, training_sample_id
from streams.events import TYPES, GenerationRequested, ReasonCode, SampleJudged
from tests import pictures
from tests.killing_decoder import MARK
from tests.planted import things
from tests.raw_records import Codec, RawRecord, send

REQUESTS, SAMPLES, TRAINING = (
    t.name for t in (topics.GENERATION_REQUESTS, topics.GENERATION_SAMPLES, topics.TRAINING_SAMPLES)
)

#: A picture that is taken for one, until the decoder of a worker that was made for tests meets it.
KILLER = pictures.marked(pictures.encoded(pictures.noise(), "PNG"), MARK)

_FACE = Path(__file__).parent / "integration" / "faces" / "anna-1.png"
_ANYTHING = tuple(code.value for code in ReasonCode)
_NOBODY = (ReasonCode.NO_CONSENT.value, ReasonCode.NO_REFERENCE.value)

#: Kafka's own limit of a batch is 1,048,588 bytes: a value, or a header, of as much as fits beside the rest.
_NEARLY_ALL = 1_048_300


@dataclass(frozen=True)
class Poison:
    """One message, and how it must end."""

    name: str
    topic: str
    value: bytes | None
    end: Literal["dead", "flagged", "judged"]
    reasons: tuple[str, ...]
    """One of these is the dead letter's reason, or the primary reason of the verdict; empty: any, or none."""
    sample_ids: tuple[str, ...] = ()
    """Samples that end by it; where there are none, it ends under the id that its own place gives."""
    key: bytes | None = None
    headers: Sequence[tuple[str | bytes, bytes | None]] = ()
    codec: Codec = "none"
    time_ms: int | None = None


def corpus(run: str = "poison", identity: str = "synthetic-01") -> list[Poison]:
    """Return all of it.

    Args:
        run: Names the requests and the training run; with another name, all of it is new.
        identity: Somebody who is enrolled.
    """
    made = _Maker(run, identity)
    return [
        *_no_json(),
        *_no_message(made),
        *_odd_envelopes(made),
        *_odd_requests(made),
        *_odd_samples(made),
        *_claims(made),
        *_images(made),
    ]


def killer(run: str = "poison", identity: str = "synthetic-01") -> Poison:
    """Return a sample that only a judge made for tests dies of."""
    return _Maker(run, identity).pictured("a picture that kills its decoder", KILLER, "dead", ("crash-loop",))


class _Maker:
    """Makes bodies that are right but for what is wrong with them, each with a name of its own."""

    def __init__(self, run: str, identity: str) -> None:
        self.run, self.identity = run, identity
        self._step = 0

    def request(self, **fields: Any) -> bytes:
        self._step += 1
        body = {"source": self.run, "request_id": f"{self.run}-{self._step}", "identity": "nobody", "seed": 1}
        return json.dumps(body | fields).encode()

    def asked(self, name: str, value: bytes, **how: Any) -> Poison:
        """Return a request that is one: nobody agreed to be shown, so its sample is flagged."""
        body = json.loads(value)
        sample_id = generated_sample_id(body["source"], body["request_id"], 0)
        return Poison(name, REQUESTS, value, "flagged", _NOBODY, (sample_id,), **how)

    def sample(self, **fields: Any) -> dict[str, Any]:
        self._step += 1
        body = {"run_id": self.run, "step": self._step, "index": 0, "identity": self.identity, "model": "gan"}
        return body | fields

    def trained(
        self, name: str, body: dict[str, Any], end: Literal["dead", "flagged"], reasons: Iterable[str]
    ) -> Poison:
        """Return a training sample that is known by its own name."""
        sample_id = training_sample_id(body["run_id"], body["step"], body["index"])
        return Poison(name, TRAINING, json.dumps(body).encode(), end, tuple(reasons), (sample_id,))

    def pictured(self, name: str, picture: bytes, end: Literal["dead", "flagged"], reasons: Iterable[str]) -> Poison:
        return self.trained(name, self.sample(inline_image=base64.b64encode(picture).decode()), end, reasons)


def _no_json() -> Iterable[Poison]:
    values: dict[str, bytes | None] = {
        "not JSON": b"this is no JSON",
        "no value": None,
        "an empty value": b"",
        "a value that is not UTF-8": b'{"source": "\xff\xfe"}',
        "an overlong form of UTF-8": b'{"source": "\xc0\xaf"}',
        "UTF-16": '{"source": "shop"}'.encode("utf-16"),
        "a byte order mark": b'\xef\xbb\xbf{"source": "shop"}',
        "NaN": b'{"seed": NaN}',
        "infinity": b'{"strength": -Infinity}',
        "half an object": b'{"source": "shop", "requ',
        "deeply nested lists": b"[" * 200_000,
        "deeply nested objects": b'{"a":' * 100_000,
        "half a surrogate": b'{"source": "\\ud800"}',
        "binary zeros": b"\0" * 1000,
    }
    for topic in (REQUESTS, SAMPLES, TRAINING):
        yield from (
            Poison(f"{name}, on {topic}", topic, value, "dead", ("not-json",)) for name, value in values.items()
        )


def _no_message(made: _Maker) -> Iterable[Poison]:
    values = {
        "a list": b"[]",
        "a text": b'"text"',
        "a number": b"1e400",
        "nothing in an object": b"{}",
        "lists nested as deeply as may be": b'{"source": ' + b"[" * 190 + b"]" * 190 + b"}",
    }
    for topic in (REQUESTS, SAMPLES, TRAINING):
        for name, value in values.items():
            yield Poison(f"{name}, on {topic}", topic, value, "dead", ("schema-invalid", "not-json"))
        yield Poison(f"another version, on {topic}", topic, b'{"version": 2}', "dead", ("version-unknown",))
    other = (("ce_type", TYPES[SampleJudged].encode()),)
    yield Poison("another event's type", REQUESTS, made.request(), "dead", ("schema-invalid",), headers=other)
    fields: dict[str, dict[str, Any]] = {
        "a count of none": {"count": 0},
        "a count of too many": {"count": 65},
        "a count beyond all numbers": {"count": 10**400},
        "a seed that no database holds": {"seed": 2**63},
        "a strength that is none": {"strength": "strong"},
        "control characters in an id": {"request_id": "r\r\n\x00\x1b[2J"},
        "an id that climbs": {"request_id": "../../../etc/passwd"},
        "an id without end": {"request_id": "r" * 100_000},
        "an id of right-to-left marks": {"source": "shop\u202etac"},
        "an identity like a filter": {"identity": '" or identity != "'},
        "an identity like another filter": {"identity": "x' || true || '"},
        "an identity like SQL": {"identity": "'; DROP TABLE sample; --"},
        "an identity like a template": {"identity": "{{ 7 * 7 }}${jndi:ldap://127.0.0.1/a}"},
    }
    for name, field in fields.items():
        yield Poison(name, REQUESTS, made.request(**field), "dead", ("schema-invalid",))


def _odd_envelopes(made: _Maker) -> Iterable[Poison]:
    dead, large = ("not-json",), b"x" * _NEARLY_ALL
    many = [(f"name-{number}", b"") for number in range(20_000)]
    forged = [
        ("likeness.dlq.id", b"0" * 32),
        ("likeness.dlq.reason", b"crash-loop"),
        ("likeness.dlq.topic", b"nowhere"),
    ]
    yield made.asked("a header name that is not UTF-8", made.request(), headers=[(b"\xff\xfe", b"x"), ("fine", b"y")])
    yield made.asked("a header name of half a surrogate", made.request(), headers=[(b"\xed\xa0\x80", None)])
    yield made.asked("headers of 900 kB", made.request(), headers=[("large", large[:900_000])])
    yield made.asked("a trace without end", made.request(), headers=[("tracestate", large[:900_000])])
    yield made.asked("twenty thousand headers", made.request(), headers=many)
    yield made.asked("headers without values", made.request(), headers=[("ce_type", None), ("", None), ("", b"")])
    yield made.asked("a key that is not UTF-8", made.request(), key=b"\xff\x00\xfe")
    yield made.asked("a key of a megabyte", made.request(), key=large[:-500])
    yield made.asked("a time long before all others", made.request(), time_ms=1)
    for codec in ("gzip", "snappy", "lz4", "zstd"):
        yield made.asked(f"a request in {codec}", made.request(), codec=codec)
        odd = [(b"\xff", codec.encode())]
        yield made.asked(f"a header name that is not UTF-8, in {codec}", made.request(), codec=codec, headers=odd)
    yield Poison(
        "a header name that is not UTF-8 on no message", TRAINING, b"x", "dead", dead, headers=[(b"\x80", b"")]
    )
    yield Poison("headers of a megabyte on no message", TRAINING, b"x", "dead", dead, headers=[("large", large)])
    yield Poison("headers of a megabyte and no value", TRAINING, None, "dead", dead, headers=[("large", large)])
    yield Poison("a key of a megabyte on no message", TRAINING, b"x", "dead", dead, key=large)
    yield Poison("the largest value that Kafka takes", TRAINING, large, "dead", dead)
    yield Poison("headers of a dead letter", TRAINING, b"x", "dead", dead, headers=forged)
    unreadable = ("batch-unreadable",)
    for codec in ("gzip", "lz4", "zstd"):
        bomb = b"\0" * (100 << 20)
        yield Poison(f"a hundred megabytes in {codec}", TRAINING, bomb, "dead", unreadable, codec=codec)
        yield Poison(f"ten megabytes in {codec}", SAMPLES, bomb[: 10 << 20], "dead", unreadable, codec=codec)


def _odd_requests(made: _Maker) -> Iterable[Poison]:
    twice = made.request()[:-1] + b', "identity": "nobody-else", "seed": 2}'
    yield made.asked("a field that is there twice", twice)
    yield made.asked("fields that nobody knows", made.request(__proto__={"admin": True}, constructor=1))
    yield made.asked("an identity like a number", made.request(identity="0"))
    yield made.asked("an identity like a word of Milvus", made.request(identity="in"))
    yield made.asked("the longest names", made.request(source=made.run.ljust(200, "s"), identity="i" * 200))
    yield made.asked("a seed in exponents", made.request().replace(b'"seed": 1', b'"seed": 1e3'))
    plain = (("ce_type", TYPES[GenerationRequested].encode()), ("ce_id", b"\xff"), ("ce_time", b"yesterday"))
    yield made.asked("CloudEvents headers that say nothing", made.request(), headers=plain)


def _odd_samples(made: _Maker) -> Iterable[Poison]:
    small = base64.b64encode(pictures.encoded(pictures.noise(), "PNG")).decode()
    pointer = {"sha256": "0" * 64, "size": 5}
    fields: dict[str, dict[str, Any]] = {
        "no image": {},
        "two images": {"inline_image": small, "image": pointer},
        "an inline image that is not base64": {"inline_image": "not base64!"},
        "an inline image in the other base64": {"inline_image": "-_-_" * 20},
        "an inline image that is no text": {"inline_image": [1, 2, 3]},
        "an empty inline image": {"inline_image": ""},
        "an inline image of more than 512 KiB": {"inline_image": base64.b64encode(b"x" * (512 * 1024 + 1)).decode()},
        "a step that no database holds": {"inline_image": small, "step": 2**63},
        "an image of nothing": {"image": pointer | {"size": 0}},
        "an image of less than nothing": {"image": pointer | {"size": -1}},
    }
    for name, field in fields.items():
        yield Poison(name, TRAINING, json.dumps(made.sample() | field).encode(), "dead", ("schema-invalid",))
    body = made.sample(inline_image=small)
    names = {"request_id": body.pop("run_id"), "source": made.run, "model_version": "1", "seed": 1, "strength": 0}
    stolen = json.dumps(body | names | {"sample_id": "0" * 32}).encode()
    yield Poison("a sample under another one's id", SAMPLES, stolen, "dead", ("schema-invalid",))


def _claims(made: _Maker) -> Iterable[Poison]:
    """Pointers into the image store, and out of it."""
    claims = [
        "../../../../etc/passwd",
        "/etc/passwd",
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data/",
        "http://127.0.0.1:1/",
        "s3://bucket/key",
        "0" * 63,
        "0" * 65,
        "G" * 64,
        "A" * 64,
        "0" * 63 + "\n",
        "\uff10" * 64,
        "",
    ]
    for claim in claims:
        value = json.dumps(made.sample(image={"sha256": claim, "size": 5})).encode()
        yield Poison(f"an image at {claim[:40]!r} of {len(claim)}", TRAINING, value, "dead", ("schema-invalid",))
    for thing in things():
        body = made.sample(image={"sha256": thing.sha256, "size": thing.size})
        yield made.trained(f"an image that is {thing.name}", body, "dead", (thing.reason,))


def _images(made: _Maker) -> Iterable[Poison]:
    for name, picture in pictures.bombs().items():
        yield made.pictured(name, picture, "dead", ("image-too-large",))
    for name, picture in pictures.broken().items():
        yield made.pictured(name, picture, "dead", ("image-undecodable",))
    with Image.open(_FACE) as face:
        for name, picture in pictures.odd(face.convert("RGB")).items():
            yield made.pictured(name, picture, "flagged", _ANYTHING)


async def publish(kafka: str, poisons: Sequence[Poison]) -> list[tuple[int, int]]:
    """Send each in a batch of its own, the partitions taking turns; return where each lies: partition and offset."""
    places = []
    async with AIOKafkaProducer(bootstrap_servers=kafka, acks="all") as producer:
        for number, poison in enumerate(poisons):
            record = RawRecord(poison.value, poison.key, poison.headers, poison.time_ms)
            place = TopicPartition(poison.topic, number % topics.PARTITIONS)
            places.append((place.partition, await send(producer, place, record, codec=poison.codec)))
    return places
