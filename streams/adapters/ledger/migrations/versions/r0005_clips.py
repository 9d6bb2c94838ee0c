"""The clips: frames that are judged together, and what was said of them."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the tables and indexes."""
    op.create_table(
        "clip",
        sa.Column("clip", sa.String(32), primary_key=True),
        sa.Column("clip_id", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("source", sa.String(200), nullable=False),
        sa.Column("identity", sa.String(200), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("space", sa.String(200), nullable=False),
        sa.Column("edition", sa.BigInteger, nullable=False),
        sa.Column("waiting", sa.Integer, nullable=False),
        sa.Column("whole", sa.Integer, nullable=False),
        sa.Column("oldest", sa.BigInteger, nullable=False),
        sa.Column("newest", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("body", sa.Text),
    )
    op.create_index("ix_clip_waiting", "clip", ["waiting", "newest"])
    op.create_index("ix_clip_identity", "clip", ["identity", "newest"])
    op.create_table(
        "clip_frame",
        sa.Column("clip", sa.String(32), primary_key=True),
        sa.Column("sample_id", sa.String(32), primary_key=True),
        sa.Column("frame_index", sa.Integer, nullable=False),
        sa.Column("frames", sa.Integer),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("decision", sa.String(16), nullable=False),
        sa.Column("similarity", sa.Double),
    )
    op.create_table(
        "clip_clock",
        sa.Column("the_only_row", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("until", sa.BigInteger, nullable=False),
    )
