"""The Faust app of one role, with every setting that delivery rests on."""

from typing import TypeVar

import faust
from faust import streams as faust_streams
from mode import CrashingSupervisor

from streams.errors import Unready
from streams.kafka.foreign_records import tolerate_foreign_records
from streams.runtime.agents import add_agent
from streams.runtime.consumer import Consumer
from streams.runtime.metrics import Metrics
from streams.runtime.patience import Patience
from streams.runtime.roles import Role
from streams.settings import Settings

S = TypeVar("S")

#: The release whose acknowledgement of offsets was read and tested.
FAUST_RELEASE = "0.15.3"


def build_app(
    settings: Settings, services: S, role: Role[S], patience: Patience, metrics: Metrics | None = None
) -> faust.App:
    """Return an app that runs the role's agent once it is started."""
    _refuse_other_faust()
    tolerate_foreign_records()
    session = settings.session_timeout_seconds
    app = faust.App(
        role.group(settings.group),
        broker=f"kafka://{(settings.kafka or '').replace(',', ';')}",
        processing_guarantee="at_least_once",
        agent_supervisor=CrashingSupervisor,
        stream_wait_empty=False,  # safe: a batch that is cut off is not acknowledged, and comes again
        stream_buffer_maxsize=4 * role.batch_size(settings),
        stream_processing_timeout=3600.0,
        stream_publish_on_commit=False,
        broker_max_poll_records=16 * role.batch_size(settings),
        broker_max_poll_interval=1e9,  # a worker that waits for a dependency must stay in its group
        broker_session_timeout=session,
        broker_heartbeat_interval=session / 6,
        broker_rebalance_timeout=2 * session,
        broker_request_timeout=3 * session,
        broker_commit_interval=1.0,
        broker_commit_livelock_soft_timeout=3600.0,
        consumer_auto_offset_reset="earliest",
        consumer_metadata_max_age_ms=5000,
        producer_acks=-1,
        producer_request_timeout=120.0,
        producer_threaded=False,
        table_standby_replicas=0,
        store="memory://",
        datadir=str(settings.data_dir / "faust"),
        topic_allow_declare=False,
        topic_disable_leader=True,
        key_serializer="raw",
        value_serializer="raw",
        web_enabled=False,
        debug=False,
    )
    app.transport.Consumer = Consumer  # type: ignore[misc]  # a class variable; this transport is the app's
    add_agent(app, role, services, settings, patience, metrics)
    return app


def _refuse_other_faust() -> None:
    """Refuse a Faust that would lose messages.

    Raises:
        Unready: If the release is another one, or the compiled stream iterator is missing: the pure Python one
            acknowledges messages that it skips after a rebalance.
    """
    if faust.__version__ != FAUST_RELEASE:
        raise Unready(
            f"expected faust-streaming {FAUST_RELEASE}, got {faust.__version__}:"
            f" pip install 'faust-streaming=={FAUST_RELEASE}'"
        )
    if getattr(faust_streams, "_CStreamIterator", None) is None:
        raise Unready(
            "faust-streaming's compiled stream iterator is missing: install its binary wheel"
            " (pip install --only-binary :all: --force-reinstall faust-streaming) and unset NO_CYTHON"
        )
