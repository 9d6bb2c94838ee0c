"""A burst of like records is told by its first ones and a count; nothing else is held back."""

import logging
from collections.abc import Iterator

import pytest

from streams.runtime.logs import FIRST, PERIOD_SECONDS, Bursts, quieten


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Kept(logging.Handler):
    """Keeps what it is told to log."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.levelname} {record.name}: {record.getMessage()}")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kept(clock: Clock) -> Iterator[Kept]:
    """A handler with the filter, on a logger that hands on what it gets from those below it."""
    handler = Kept()
    handler.addFilter(Bursts(handler.handle, clock))
    logger = logging.getLogger("likeness-test")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    logger.propagate = False
    yield handler
    logger.removeHandler(handler)


def client(name: str = "client") -> logging.Logger:
    return logging.getLogger(f"likeness-test.{name}")


def test_the_first_records_of_a_burst_pass_and_the_others_are_counted_when_its_period_is_over(kept, clock):
    for number in range(FIRST + 7):
        client().error("node %d does not answer: %s", number, "refused")
    assert len(kept.lines) == FIRST
    clock.now = PERIOD_SECONDS
    client().error("node %d does not answer: %s", 99, "refused")
    assert kept.lines[FIRST:] == [
        "ERROR likeness-test.client: 7 more like this one were held back: node %d does not answer: %s",
        "ERROR likeness-test.client: node 99 does not answer: refused",
    ]


def test_ten_thousand_records_of_a_long_outage_are_a_few_lines_a_second(kept, clock):
    kinds, each, seconds = 8, 1250, 100.0
    for number in range(each):
        clock.now = number * seconds / each
        for kind in range(kinds):
            client(f"part{kind}").error("it is down, %s", number)
    assert kinds * each == 10_000
    assert len(kept.lines) <= kinds * (FIRST + 2 * seconds / PERIOD_SECONDS)  # then a count and one record a period
    clock.now += PERIOD_SECONDS
    client("other").info("the outage is over")
    counted = sum(int(line.split(": ")[1].split()[0]) for line in kept.lines if "held back" in line)
    passed = sum("it is down" in line and "held back" not in line for line in kept.lines)
    assert counted + passed == 10_000


def test_what_was_held_back_is_told_by_whatever_is_logged_next(kept, clock):
    for _ in range(FIRST + 3):
        client().error("down")
    clock.now = 2 * PERIOD_SECONDS
    client("other").info("something else")
    assert kept.lines[-2:] == [
        "ERROR likeness-test.client: 3 more like this one were held back: down",
        "INFO likeness-test.other: something else",
    ]


def test_a_burst_after_a_quiet_time_is_told_by_its_first_records_again(kept, clock):
    for number in range(3):
        clock.now = 10 * number * PERIOD_SECONDS
        for _ in range(FIRST):
            client().error("down")
    assert kept.lines == ["ERROR likeness-test.client: down"] * 3 * FIRST


def test_records_differ_by_logger_level_and_text_and_not_by_the_numbers_in_it(kept):
    for number in range(3 * FIRST):
        client().error(f"node {number} is down")
        client().warning("node %d is down", number)
        client("other").error("node %d is down", number)
        client().error("disk is full")
    assert len(kept.lines) == 4 * FIRST


def test_a_critical_record_always_passes(kept):
    for _ in range(3 * FIRST):
        client().critical("this process ends itself")
    assert len(kept.lines) == 3 * FIRST


def test_a_record_that_cannot_be_formatted_is_the_handlers_business_and_no_error_of_who_logs(kept):
    for _ in range(3 * FIRST):
        client().error({"not": "a string"})
    assert len(kept.lines) == FIRST


def test_any_number_of_different_records_is_remembered_in_bounded_memory(clock):
    told: list[logging.LogRecord] = []
    bursts = Bursts(told.append, clock)
    for number in range(5000):
        bursts.filter(logging.LogRecord(f"logger-{number}", logging.INFO, "", 0, "said", (), None))
    assert len(bursts._periods) <= 1000
    assert told == []


def test_every_handler_of_a_quietened_logger_holds_back(clock):
    logger, handlers = logging.getLogger("likeness-test.quiet"), [Kept(), Kept()]
    logger.propagate, logger.handlers = False, list(handlers)
    quieten(logger)
    for _ in range(3 * FIRST):
        logger.error("down")
    logger.handlers = []
    assert [len(handler.lines) for handler in handlers] == [FIRST, FIRST]
