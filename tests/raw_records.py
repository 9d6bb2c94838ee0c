"""Record batches as another client may write them: header names of any bytes, any codec, any time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

Codec = Literal["none", "gzip", "snappy", "lz4", "zstd"]
_CODECS: tuple[Codec, ...] = ("none", "gzip", "snappy", "lz4", "zstd")

#: Larger than what is built here: how much a batch may hold is for the broker to say.
_ROOM = 1 << 30


class RawName(str):
    """A header name whose bytes are what they are: aiokafka itself writes UTF-8 alone."""

    raw: bytes

    def __new__(cls, raw: bytes) -> "RawName":
        name = super().__new__(cls, repr(raw))
        name.raw = raw
        return name

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        del encoding, errors
        return self.raw


@dataclass(frozen=True)
class RawRecord:
    """One record before it is written."""

    value: bytes | None
    key: bytes | None = None
    headers: Sequence[tuple[str | bytes, bytes | None]] = ()
    time_ms: int | None = None


def batch(*records: RawRecord, codec: Codec = "none") -> bytes:
    """Return the records as one batch."""
    return bytes(_fill(records, codec).build())


def _fill(records: Sequence[RawRecord], codec: Codec) -> _DefaultRecordBatchBuilderPy:
    builder = _DefaultRecordBatchBuilderPy(2, _CODECS.index(codec), 0, -1, -1, -1, _ROOM)
    for offset, record in enumerate(records):
        headers = [(RawName(name) if isinstance(name, bytes) else name, value) for name, value in record.headers]
        assert builder.append(offset, record.time_ms, record.key, record.value, headers)
    return builder


async def send(producer: AIOKafkaProducer, place: TopicPartition, *records: RawRecord, codec: Codec = "none") -> int:
    """Publish the records as one batch; return the offset of the first one."""
    whole: Any = producer.create_batch()
    for record in records:
        whole.append(timestamp=record.time_ms, key=None, value=None, headers=[])  # which it counts
    whole._builder = _fill(records, codec)
    delivery = await producer.send_batch(whole, place.topic, partition=place.partition)
    return int((await delivery).offset)
