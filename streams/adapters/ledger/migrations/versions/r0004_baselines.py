"""From when on a stream says anew what is in control: charts have a baseline that can be set."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column; none of the scopes that are there has a baseline."""
    op.add_column("drift_scope", sa.Column("baseline", sa.BigInteger))
