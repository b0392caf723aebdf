"""Option 3: check under a lock, create, save, all in one transaction.

The lock is the deal's row, which exists: a lock on rest payments that do not exist yet would lock nothing. An
UPDATE takes it on both engines (SQLite has no FOR UPDATE) and counts how often it was taken.
"""

from scenarios.incidents.deal_1680.deployed.database import DATABASE, INSERT_PAYMENT, Deal, payment_row
from scenarios.incidents.deal_1680.deployed.second_payment_scheduler import is_rest_of
from scenarios.incidents.deal_1680.deployed.session_creation import SessionCreation, rest_form
from scenarios.incidents.subscription_224.deployed.deployment import Connection


class CreatedUnderALock(SessionCreation):
    """The transaction stays open while Stripe works: up to 80 seconds, on SQLite with every other writer waiting."""

    async def create(self, deal: Deal) -> None:
        """Check again under the lock, and create and save before it is let go."""
        async with self.deployment.open_async_connection(DATABASE) as conn:
            await conn.execute("UPDATE deals SET locks = locks + 1 WHERE id = ?", (deal.id,))
            if await self.exists(conn, deal.id):
                await conn.commit()
                return
            session = await self.stripe.create_session(rest_form(deal))
            # A process that dies here takes its lock and its transaction along, and leaves the session.
            await conn.execute(INSERT_PAYMENT, payment_row(deal, session["id"]))
            await conn.commit()
        await self.tell(deal, session)

    async def exists(self, conn: Connection, deal_id: int) -> bool:
        """Step 1 of the option."""
        async with conn.execute(
            "SELECT 1 FROM payments WHERE deal_id = ? AND payment_type = 'rest' AND status IN ('open', 'paid')",
            (deal_id,),
        ) as cursor:
            return await cursor.fetchone() is not None


class CreatedUnderALockAskingStripe(CreatedUnderALock):
    """Under the lock Stripe's list is asked as well, which would find the session that a dead process has left."""

    async def exists(self, conn: Connection, deal_id: int) -> bool:
        """In the database or in Stripe's list, where this shop has less than a page of open ones."""
        if await super().exists(conn, deal_id):
            return True
        page = await self.stripe.list_sessions({"limit": "100", "status": "open"})
        return any(is_rest_of(session, deal_id) for session in page["data"])
