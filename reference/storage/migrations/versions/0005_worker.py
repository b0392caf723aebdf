"""When each sweep of the worker is due."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005_worker"
down_revision: str | None = "0004_messages"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "sweeps",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.CheckConstraint("fence >= 0 AND failures >= 0", name=op.f("ck_sweeps_counters")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_sweeps")),
    )
