"""Ask the ledger before writing to it: before the transaction, in it, or in one that has begun as a writer."""

from __future__ import annotations

from scenarios.incidents.ticket_award.deployed.bot_db import Connection
from scenarios.incidents.ticket_award.deployed.contest_utils import ContestUtils

AWARDED = "SELECT id FROM ticket_ledger WHERE contest_id = ? AND order_id = ? LIMIT 1"


async def is_awarded(connection: Connection, contest_id: str, order_id: str) -> bool:
    """Whether the ledger has a line of this order."""
    async with connection.execute(AWARDED, (contest_id, order_id)) as cursor:
        return await cursor.fetchone() is not None


class AskedBefore(ContestUtils):
    """Asks, then begins the transaction."""

    async def transaction(
        self,
        connection: Connection,
        contest_id: str,
        referred_id: int,
        referrer_id: int | None,
        order_id: str,
        delta: int,
    ) -> None:
        """As in the guide, unless it was awarded."""
        if not await is_awarded(connection, contest_id, order_id):
            await super().transaction(connection, contest_id, referred_id, referrer_id, order_id, delta)


class AskedWithin(ContestUtils):
    """Asks within the transaction, which is DEFERRED: it reads first and wants to write then."""

    begin = "BEGIN DEFERRED"

    async def transaction(
        self,
        connection: Connection,
        contest_id: str,
        referred_id: int,
        referrer_id: int | None,
        order_id: str,
        delta: int,
    ) -> None:
        """As in the guide, unless it was awarded."""
        await connection.execute(self.begin)
        if not await is_awarded(connection, contest_id, order_id):
            await self.write(connection, contest_id, referred_id, referrer_id, order_id, delta)
        await connection.commit()


class AskedAsWriter(AskedWithin):
    """The same, IMMEDIATE: on SQLite nobody else writes from the question on."""

    begin = "BEGIN IMMEDIATE"
