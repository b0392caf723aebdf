"""The one table of the worker's own: when each sweep is due, and who is at it.

It protects cost, never correctness: two workers in the same sweep are safe and ask every provider twice. And it is why a daily
run that nobody was up for at 09:00 is made up for when somebody is.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Integer, Table, Text

from reference.storage.schema import instant, metadata

sweeps = Table(
    "sweeps",
    metadata,
    Column("name", Text, primary_key=True),
    instant("next_at"),
    instant("lease_until", nullable=True),
    Column("fence", Integer, nullable=False, server_default="0"),
    instant("started_at", nullable=True),
    instant("finished_at", nullable=True),
    Column("failures", Integer, nullable=False, server_default="0"),  # in a row
    Column("last_error", Text),
    CheckConstraint("fence >= 0 AND failures >= 0", name="counters"),
)
