"""``contestUtils.ts``: `awardTicketsForPayment`, in the guide's improved version with a transaction."""

from __future__ import annotations

import contextlib
import math
import random
import string
import time
from datetime import UTC, datetime
from typing import Any

from scenarios.incidents.ticket_award.deployed.bot_db import BotDb, Connection

TICKETS = {"plan_1m": 1, "plan_3m": 3, "plan_12m": 12}

ACTIVE_CONTEST = """
    SELECT id, starts_at, ends_at, attribution_window_days FROM contests
    WHERE is_active = 1 ORDER BY starts_at DESC LIMIT 1
"""
REFERRAL = "SELECT referrer_id, bound_at FROM user_referrals WHERE referred_id = ?"
LEDGER = """
    INSERT INTO ticket_ledger (id, contest_id, referrer_id, referred_id, order_id, delta, reason, created_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
EVENT = (
    "SELECT id, status FROM ref_events WHERE contest_id = ? AND referrer_id = ? AND referred_id = ? LIMIT 1"
)
QUALIFY = "UPDATE ref_events SET status = 'qualified', qualified_at = ? WHERE id = ?"
NEW_EVENT = """
    INSERT INTO ref_events (id, contest_id, referrer_id, referred_id, bound_at, status, qualified_at)
    VALUES (?, ?, ?, ?, ?, 'qualified', ?)
"""


def tickets_from_plan_id(plan_id: str) -> int:
    """``getTicketsFromPlanId``."""
    return TICKETS[plan_id]


def js_date(text: str | None) -> float:
    """``new Date(text)`` as a number; an Invalid Date is NaN, which is neither before nor after anything."""
    try:
        return datetime.fromisoformat(text or "").timestamp()
    except ValueError:
        return math.nan


def random_id(prefix: str) -> str:
    """``Date.now()`` and some of ``Math.random()``."""
    letters = "".join(random.choice(string.ascii_lowercase + string.digits) for _ in range(6))
    return f"{prefix}_{int(time.time() * 1000)}_{letters}"


class ContestUtils:
    """Awards; a subclass may change how ids are made and what the transaction does."""

    def __init__(self, db: BotDb) -> None:
        self.db = db

    async def award_tickets_for_payment(
        self, tg_id: int, order_id: str, plan_id: str, order_created_at: str | None
    ) -> bool:
        """True: awarded. False: no contest, or outside its period. Raises what the database raises."""
        async with self.db.event_loop if self.db.synchronous else contextlib.nullcontext():
            try:
                await self.db.attach()
                async with self.db.connection() as connection:
                    return await self._award(connection, tg_id, order_id, plan_id, order_created_at)
            finally:
                self.db.detach()

    async def _award(
        self, connection: Connection, tg_id: int, order_id: str, plan_id: str, order_created_at: str | None
    ) -> bool:
        contest = await _first(connection, ACTIVE_CONTEST)
        if contest is None:
            return False
        contest_id, starts_at, ends_at, _window_days = contest
        order_date = js_date(order_created_at)
        if order_date < js_date(starts_at) or order_date > js_date(ends_at):
            return False
        referral = await _first(connection, REFERRAL, tg_id)
        referrer_id = referral[0] if referral is not None else None
        try:
            await self.transaction(
                connection, contest_id, tg_id, referrer_id, order_id, tickets_from_plan_id(plan_id)
            )
        except BaseException:
            await connection.rollback()
            raise
        return True

    async def transaction(
        self,
        connection: Connection,
        contest_id: str,
        referred_id: int,
        referrer_id: int | None,
        order_id: str,
        delta: int,
    ) -> None:
        """``db.transaction(...)``: BEGIN DEFERRED, by the guide's recommendation."""
        await connection.execute("BEGIN DEFERRED")
        await self.write(connection, contest_id, referred_id, referrer_id, order_id, delta)
        await connection.commit()

    async def write(
        self,
        connection: Connection,
        contest_id: str,
        referred_id: int,
        referrer_id: int | None,
        order_id: str,
        delta: int,
    ) -> None:
        """Lines for the buyer and for who brought them, and the event."""
        now = datetime.now(UTC).isoformat()
        own = self.ticket_id("ticket_self", contest_id, order_id)
        line = (own, contest_id, referred_id, referred_id, order_id, delta, "SELF_PURCHASE", now)
        if not await self.insert(connection, line) or referrer_id is None:
            return
        theirs = self.ticket_id("ticket_ref", contest_id, order_id)
        line = (theirs, contest_id, referrer_id, referred_id, order_id, delta, "INVITEE_PAYMENT", now)
        await self.insert(connection, line)
        event = await _first(connection, EVENT, contest_id, referrer_id, referred_id)
        if event is not None:
            await connection.execute(QUALIFY, (now, event[0]))
        else:
            made = (random_id("ref"), contest_id, referrer_id, referred_id, now, now)
            await connection.execute(NEW_EVENT, made)

    async def insert(self, connection: Connection, line: tuple[Any, ...]) -> bool:
        """Writes a line; whether it did."""
        await connection.execute(LEDGER, line)
        return True

    def ticket_id(self, prefix: str, _contest_id: str, _order_id: str) -> str:
        """A line's id."""
        return random_id(prefix)


async def _first(connection: Connection, sql: str, *parameters: Any) -> Any:
    async with connection.execute(sql, parameters) as cursor:
        return await cursor.fetchone()
