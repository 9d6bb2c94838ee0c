"""PostgreSQL as the ledger's database, for workers on several machines: no call waits for ever.

A server that lives ends what takes long (the timeouts below, in the order in which they strike). One that hangs, or a
network that swallows everything, ends nothing: then ``HangUp`` ends the connection from this side.
"""

import os
import socket
import threading
from contextlib import suppress
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL

#: Seconds for one attempt to connect to one host.
CONNECT_SECONDS = 5
#: Seconds after which the server ends a transaction whose worker has stopped between two statements: its locks would
#: hold up everybody else.
IDLE_IN_TRANSACTION_SECONDS = 10
#: Seconds for one statement, waiting for the locks of others included.
STATEMENT_SECONDS = 15
#: Seconds for a whole call; above all the others, so that it strikes only where the server itself does nothing.
CALL_SECONDS = 30

_OPTIONS = (
    f"-c statement_timeout={STATEMENT_SECONDS}s"
    f" -c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_SECONDS}s"
    # A commit that was confirmed is on disk, and on the standbys that the server is told to wait for.
    " -c synchronous_commit=on"
)
_CONNECTION = {
    "application_name": "likeness",
    "connect_timeout": CONNECT_SECONDS,
    # A machine that is gone says nothing: the kernel asks after so many idle seconds, and gives up soon.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    # A pooler between us and the server may hand each transaction to another session, which knows no statement of ours.
    "prepare_threshold": None,
}


def engine_of(url: URL) -> Engine:
    """Return an engine with every timeout set; what the URL itself says goes first."""
    ours = {name: value for name, value in _CONNECTION.items() if name not in url.query}
    theirs = url.query.get("options", "")
    options = " ".join([_OPTIONS, *([theirs] if isinstance(theirs, str) else theirs)]).strip()
    return create_engine(
        url,
        # Each statement sees what others have committed before it: `register` and `decide` read what won.
        isolation_level="READ COMMITTED",
        pool_timeout=CONNECT_SECONDS,
        connect_args={**ours, "options": options},
    )


class HangUp:
    """Ends the connection that a call holds, from another thread, however deep the call hangs in it."""

    def __init__(self, after_seconds: float) -> None:
        """Hold nothing yet; whoever makes the call sets the clock."""
        self.after_seconds = after_seconds
        self._lock = threading.Lock()
        self._line: socket.socket | None = None
        self.done = False

    def hold(self, connection: Any) -> None:
        """Keep an eye on the line under the driver's connection, and on no other any more."""
        self.let_go()
        # A descriptor of our own: the driver may close its one, and the number may go to somebody else.
        line = socket.socket(fileno=os.dup(connection.fileno()))
        with self._lock:
            self._line = line
            if self.done:
                self._shut()

    def let_go(self) -> None:
        """Keep an eye on nothing: the connection goes on to serve another call, or is gone."""
        with self._lock:
            if self._line is not None:
                self._line.close()
            self._line = None

    def __call__(self) -> None:
        """End the connection, or whatever one this call gets next: whoever waits for it in its thread wakes up."""
        with self._lock:
            self.done = True
            self._shut()

    def _shut(self) -> None:
        if self._line is not None:
            with suppress(OSError):  # it was shut already
                self._line.shutdown(socket.SHUT_RDWR)


class Calls(threading.local):
    """The call that this thread makes."""

    current: HangUp | None = None


def let_hang_up(engine: Engine, calls: Calls) -> None:
    """Show every connection of the engine to the call that uses it, from before its first word to the server."""

    def taken(connection: Any, *_: Any) -> None:
        if calls.current is not None:
            calls.current.hold(connection)

    def given_back(*_: Any) -> None:
        if calls.current is not None:
            calls.current.let_go()

    # First of all listeners: SQLAlchemy's own asks the server questions.
    event.listen(engine, "connect", taken, insert=True)
    event.listen(engine, "checkout", taken)
    event.listen(engine, "checkin", given_back)
