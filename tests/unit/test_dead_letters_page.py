"""The page on dead letters lists what there is: every reason, every header, and every limit that it names."""

import re
from datetime import UTC, datetime
from pathlib import Path

from streams.adapters.images import decoder as decoder_process
from streams.core.deadletter import Burial, explanation, outcome
from streams.core.records import Message
from streams.events import IMAGE_BYTES, DeadReason
from streams.kafka import foreign_records
from streams.steps.ends import LARGEST_DEAD_LETTER

PAGE = (Path(__file__).parents[2] / "docs" / "DEAD_LETTERS.md").read_text()


def listed(heading: str) -> list[str]:
    """Return the names in the first column of the table under a heading."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    firsts = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return [name for first in firsts for name in re.findall(r"`([^`]+)`", first)]


def test_every_reason_is_listed_once():
    assert sorted(listed("Reasons")) == sorted(DeadReason)


def test_every_header_is_listed_once():
    burial = Burial("id", Message("t", 0, 0, None, b"", ()), DeadReason.NOT_JSON, "why")
    end = outcome(burial, stage="judge", version="v", policy_version="p", now=datetime(2030, 1, 1, tzinfo=UTC))
    assert sorted(listed("Headers")) == sorted(explanation(end.record.headers))


def test_the_limits_are_those_that_hold():
    assert f"{LARGEST_DEAD_LETTER:,}" in PAGE
    assert f"{IMAGE_BYTES // 10**6} MB" in PAGE
    assert f"inflates to more than {foreign_records.INFLATED_BYTES >> 20} MiB" in PAGE
    assert f"a record to more than {foreign_records.RECORD_BYTES >> 20} MiB" in PAGE
    assert f"{decoder_process.MEMORY_BYTES / (1 << 30):g} GiB of address space" in PAGE
