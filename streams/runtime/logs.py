"""What a worker logs, kept readable: of a burst of like records the first are let through, the others are counted.

A broker that is away makes its client log seventy lines a second, for as long as it is away.
"""

import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

log = logging.getLogger(__name__)

#: So many like records are let through within so many seconds; while a burst goes on, only one.
FIRST, PERIOD_SECONDS = 5, 10.0
#: Characters by which records are alike, beside their logger and level; numbers in them do not count.
_LIKE_CHARACTERS = 80
#: So many kinds of records are remembered at one time.
_KINDS = 1000
_NUMBER = re.compile(r"\d+")

_Kind = tuple[str, int, str]


@dataclass
class _Period:
    """One kind of record, since some moment."""

    since: float
    allowed: int = FIRST
    passed: int = 0
    held: int = 0


class Bursts(logging.Filter):
    """Lets the first records of a burst through, then one a period, and says how many it held back."""

    def __init__(
        self, tell: Callable[[logging.LogRecord], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Take what logs a record that says how many were held back, and a clock of seconds that only goes forward."""
        super().__init__()
        self._tell, self._clock = tell, clock
        self._lock = threading.Lock()
        self._periods: dict[_Kind, _Period] = {}
        self._looked = clock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether the record passes. A critical one always does: it is the last one, or should be read as such."""
        if record.levelno >= logging.CRITICAL or hasattr(record, "held_back"):
            return True
        with self._lock:
            now = self._clock()
            over = self._over(now)
            passes = self._passes(_kind(record), now)
        for kind, held in over:
            self._tell(_told(kind, held))
        return passes

    def _over(self, now: float) -> list[tuple[_Kind, int]]:
        """Begin a new period for every kind whose last one is over; return those of which some were held back."""
        if now - self._looked < PERIOD_SECONDS / 10 and len(self._periods) < _KINDS:
            return []
        self._looked, found = now, []
        for kind, period in list(self._periods.items()):
            if now - period.since < PERIOD_SECONDS and len(self._periods) < _KINDS:
                continue
            del self._periods[kind]
            if period.held:
                found.append((kind, period.held))
                self._periods[kind] = _Period(now, allowed=1)
        return found

    def _passes(self, kind: _Kind, now: float) -> bool:
        period = self._periods.setdefault(kind, _Period(now))
        if period.passed < period.allowed:
            period.passed += 1
            return True
        period.held += 1
        return False


def _kind(record: logging.LogRecord) -> _Kind:
    return record.name, record.levelno, _NUMBER.sub("#", str(record.msg))[:_LIKE_CHARACTERS]


def _told(kind: _Kind, held: int) -> logging.LogRecord:
    name, level, text = kind
    message = "%d more like this one were held back: %s"
    record = logging.LogRecord(name, level, __file__, 0, message, (held, text), None)
    record.held_back = held
    return record


def quieten(logger: logging.Logger) -> None:
    """Have every handler of the logger let through the first of a burst only."""
    for handler in logger.handlers:
        handler.addFilter(Bursts(handler.handle))


def quiet_libraries() -> None:
    """Keep from the log what libraries say of their own doings: an error of theirs is still told."""
    for name in ("faust", "mode", "aiokafka"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def quieten_dying_threads() -> None:
    """From here on a thread that fails is one line: this process is ending, and says why by itself.

    Faust's threads find their connections cancelled and their loop closed under them.
    """

    def tell(failed: threading.ExceptHookArgs) -> None:
        name = failed.thread.name if failed.thread else "a thread"
        log.info("%s ended with %r, while this process was ending", name, failed.exc_value)

    threading.excepthook = tell
