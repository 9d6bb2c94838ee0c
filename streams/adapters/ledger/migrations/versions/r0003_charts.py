"""The charts: samples in windows, what was made of them, and what is to be told."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_KEY = sa.String(1000)


def upgrade() -> None:
    """Make the tables and indexes."""
    op.create_table(
        "drift_scope",
        sa.Column("scope", _KEY, primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("edition", sa.BigInteger, nullable=False),
        sa.Column("newest", sa.BigInteger, nullable=False),
        sa.Column("dirty", sa.BigInteger),
        sa.Column("calibration", sa.Text),
    )
    op.create_table(
        "drift_chart",
        sa.Column("chart", _KEY, primary_key=True),
        sa.Column("scope", _KEY, nullable=False),
    )
    op.create_index("ix_drift_chart_scope", "drift_chart", ["scope"])
    op.create_table(
        "drift_sample",
        sa.Column("chart", _KEY, primary_key=True),
        sa.Column("window", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("sample_id", sa.String(32), primary_key=True),
        sa.Column("scope", _KEY, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("identity", sa.String(200), nullable=False),
        sa.Column("score", sa.Integer),
        sa.Column("margin", sa.Integer),
        sa.Column("reasons", sa.Text, nullable=False),
    )
    op.create_index("ix_drift_sample_scope_window", "drift_sample", ["scope", "window"])
    op.create_table(
        "drift_point",
        sa.Column("chart", _KEY, primary_key=True),
        sa.Column("window", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "drift_step",
        sa.Column("scope", _KEY, primary_key=True),
        sa.Column("step", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "drift_notice",
        sa.Column("subject", sa.String(32), primary_key=True),
        sa.Column("topic", sa.String(200), nullable=False),
        sa.Column("scope", _KEY, nullable=False),
        sa.Column("window", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("ix_drift_notice_scope_window", "drift_notice", ["scope", "window"])
    op.create_table(
        "drift_outbox",
        sa.Column("entry", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("topic", sa.String(200), nullable=False),
        sa.Column("key", sa.LargeBinary),
        sa.Column("value", sa.LargeBinary),
        sa.Column("headers", sa.Text, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("published_at", sa.BigInteger),
    )
    untold = sa.text("published_at IS NULL")
    op.create_index("drift_outbox_untold", "drift_outbox", ["entry"], sqlite_where=untold, postgresql_where=untold)
