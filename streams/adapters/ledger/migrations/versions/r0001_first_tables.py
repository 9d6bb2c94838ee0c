"""The first tables.

Whatever is there already stays: before there were steps, tables were made when they were first used.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables and indexes that are missing."""
    op.create_table(
        "sample",
        sa.Column("sample_id", sa.String(32), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("identity", sa.String(200)),
        sa.Column("model", sa.String(200)),
        sa.Column("model_version", sa.String(200)),
        sa.Column("seed", sa.BigInteger),
        sa.Column("image_sha256", sa.String(64)),
        sa.Column("image_size", sa.BigInteger),
        sa.Column("registered_at", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("child_deaths", sa.Integer, nullable=False),
        sa.Column("topic", sa.String(200)),
        sa.Column("key", sa.LargeBinary),
        sa.Column("value", sa.LargeBinary),
        sa.Column("headers", sa.Text),
        sa.Column("time", sa.BigInteger),
        sa.Column("measurement", sa.Text),
        sa.Column("published_at", sa.BigInteger),
        if_not_exists=True,
    )
    op.create_index("ix_sample_registered_at", "sample", ["registered_at"], if_not_exists=True)
    undelivered = sa.text("published_at IS NULL")
    op.create_index(
        "sample_undelivered",
        "sample",
        ["registered_at", "sample_id"],
        sqlite_where=undelivered,
        postgresql_where=undelivered,
        if_not_exists=True,
    )
    op.create_table(
        "delivery",
        sa.Column("the_only_row", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("cluster", sa.String(200), nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "redrive",
        sa.Column("sample_id", sa.String(32), primary_key=True),
        sa.Column("n", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.String(40), nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("reopened", sa.Integer, nullable=False),
        sa.Column("topic", sa.String(200), nullable=False),
        sa.Column("key", sa.LargeBinary),
        sa.Column("value", sa.LargeBinary),
        sa.Column("headers", sa.Text, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("sent_at", sa.BigInteger),
        if_not_exists=True,
    )
    op.create_table(
        "consent",
        sa.Column("entry", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("identity", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger),
        sa.Column("note", sa.Text, nullable=False),
        if_not_exists=True,
    )
    op.create_index("ix_consent_identity", "consent", ["identity"], if_not_exists=True)
