"""Ids that are made of what a line is for, so that a second one collides with the first; and a unique key that says the same."""

from __future__ import annotations

from typing import Any, Final

from scenarios.incidents.ticket_award.deployed.bot_db import Connection
from scenarios.incidents.ticket_award.deployed.contest_utils import LEDGER, ContestUtils

UNIQUE: Final = """
CREATE UNIQUE INDEX one_award_per_order_and_reason ON ticket_ledger (contest_id, order_id, reason, referrer_id);
"""


class DeterministicIds(ContestUtils):
    """The primary key refuses a second award, by an error."""

    def ticket_id(self, prefix: str, contest_id: str, order_id: str) -> str:
        """Contest, order and reason: the same for the same award."""
        return f"{prefix}_{contest_id}_{order_id}"


class OnConflictNothing(ContestUtils):
    """With the unique key: whoever finds the buyer's line there leaves the award as it is."""

    async def insert(self, connection: Connection, line: tuple[Any, ...]) -> bool:
        """Writes a line unless it is there; whether it did."""
        cursor = await connection.execute(f"{LEDGER} ON CONFLICT DO NOTHING", line)
        return bool(cursor.rowcount == 1)
