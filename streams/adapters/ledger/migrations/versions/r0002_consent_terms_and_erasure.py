"""The terms of consent, what was published of it, and what is left of those who were forgotten.

What was entered before keeps its meaning: generation, by any model, anywhere.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns and the tables."""
    op.add_column("consent", sa.Column("purpose", sa.String(16)))
    op.add_column("consent", sa.Column("models", sa.Text))
    op.add_column("consent", sa.Column("territories", sa.Text))
    op.add_column("consent", sa.Column("evidence_sha256", sa.String(64)))
    op.add_column("consent", sa.Column("entered_at", sa.BigInteger))
    op.add_column("consent", sa.Column("announced_at", sa.BigInteger))
    op.create_index("ix_consent_announced_at", "consent", ["announced_at"])
    op.create_table(
        "erasure_key",
        sa.Column("the_only_row", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("key", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "erasure",
        sa.Column("receipt", sa.String(32), primary_key=True),
        sa.Column("name_hash", sa.String(64), nullable=False),
        sa.Column("called", sa.String(64), nullable=False),
        sa.Column("began_at", sa.BigInteger, nullable=False),
        sa.Column("renamed_at", sa.BigInteger),
        sa.Column("finished_at", sa.BigInteger),
        sa.Column("lifted_at", sa.BigInteger),
        sa.Column("inventory", sa.Text, nullable=False),
    )
    op.create_index("ix_erasure_name_hash", "erasure", ["name_hash"])
    op.create_table(
        "erased_record",
        sa.Column("sample_id", sa.String(32), primary_key=True),
        sa.Column("n", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.Column("envelope", sa.LargeBinary, nullable=False),
    )
