"""A lease lock, as one has it in Redis: whoever holds it works, and after 30 seconds anybody may take it.

Nothing tells the one who held it before. A lock that expires keeps others out only as long as its holder is
quicker.
"""

import time
import uuid
from typing import Final

from scenarios.incidents.deal_1680.deployed.database import DATABASE, Deal
from scenarios.incidents.deal_1680.deployed.session_creation import SessionCreation

LEASE_S: Final = 30


class CreatedUnderALease(SessionCreation):
    """Take the lease, check again, create, save, let go."""

    async def create(self, deal: Deal) -> None:
        """Do nothing if somebody is at it."""
        holder = str(uuid.uuid4())
        if not await self._take(holder):
            return
        try:
            if "rest" not in await self.payments.existing_payments(deal.id):
                await super().create(deal)
        finally:
            await self._write("UPDATE cron_locks SET held_until = 0 WHERE holder = ?", holder)

    async def _take(self, holder: str) -> bool:
        now = int(time.time())
        return await self._write(
            "UPDATE cron_locks SET holder = ?, held_until = ? WHERE name = 'rest' AND held_until <= ?",
            holder,
            now + LEASE_S,
            now,
        )

    async def _write(self, sql: str, *parameters: object) -> bool:
        async with self.deployment.open_async_connection(DATABASE) as conn:
            cursor = await conn.execute(sql, parameters)
            await conn.commit()
            return bool(cursor.rowcount)
