"""The guide's code run in sequence on real SQLite files: what it does on a quiet day, and what SQLite itself says."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from scenarios.incidents.ticket_award.deployed.award_retry_scheduler import MAX_ATTEMPTS, AwardRetryScheduler
from scenarios.incidents.ticket_award.deployed.bot_db import SCHEMA, BotDb
from scenarios.incidents.ticket_award.deployed.contest_utils import ContestUtils, js_date
from scenarios.incidents.ticket_award.deployed.payments import PaymentsRoute

IN_TIME, TOO_EARLY = "2026-01-05T12:00:00+00:00", "2025-12-31T12:00:00+00:00"


class InlineConnection(aiosqlite.Connection):
    """aiosqlite without its thread: every call runs where it is awaited."""

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    async def __aenter__(self) -> InlineConnection:
        self._connection = self._connector()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._conn.close()
        self._connection = None


class Shop:
    """A bot's database with a contest and a buyer who was brought, and the API in front of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.failures = 0
        self.broken_vpn = False
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(SCHEMA)
            connection.execute("INSERT INTO contests VALUES ('january', '2026-01-01', '2026-02-01', 30, 1)")
            connection.execute("INSERT INTO user_referrals VALUES (7, 5, '2026-01-02')")
            connection.commit()
        self.contests = ContestUtils(BotDb(self.open, self.can_attach))
        self.scheduler = AwardRetryScheduler(self.contests.award_tickets_for_payment)
        self.route = PaymentsRoute(self.contests, self.scheduler, self.activate)

    def open(self, _path: str) -> InlineConnection:
        return InlineConnection(lambda: sqlite3.connect(self.path), iter_chunk_size=64)

    async def can_attach(self) -> bool:
        self.failures -= 1
        return self.failures < 0

    async def activate(self, _tg_id: int, _order_id: str) -> None:
        if self.broken_vpn:
            raise ConnectionError("502")

    async def told(self, event: str = "payment.succeeded", **metadata: Any) -> int:
        return await self.route.webhook({"event": event, "object": {"id": "p-1", "metadata": metadata}})

    def ledger(self) -> list[Any]:
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(
                "SELECT order_id, reason, referrer_id, delta FROM ticket_ledger ORDER BY order_id, reason DESC"
            ).fetchall()


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "bot.db")


ORDER = {"order_id": "o-1", "telegram_id": 7, "plan_id": "plan_3m", "created_at": IN_TIME}


async def test_on_a_quiet_day_the_buyer_and_who_brought_them_have_tickets(shop: Shop) -> None:
    """One webhook, two lines, one event."""
    assert await shop.told(**ORDER) == 200
    assert shop.ledger() == [("o-1", "SELF_PURCHASE", 7, 3), ("o-1", "INVITEE_PAYMENT", 5, 3)]


async def test_the_same_webhook_again_gives_the_same_tickets_again(shop: Shop) -> None:
    """Nothing is concurrent: the first one's activation failed."""
    shop.broken_vpn = True
    assert await shop.told(**ORDER) == 500
    shop.broken_vpn = False
    assert await shop.told(**ORDER) == 200
    assert len(shop.ledger()) == 4


@pytest.mark.parametrize(
    ("event", "changes", "status"),
    [
        ("payment.canceled", {}, 200),
        ("payment.succeeded", {"order_id": None}, 400),
        ("payment.succeeded", {"created_at": TOO_EARLY}, 200),
    ],
    ids=["another_event", "without_an_order", "too_early"],
)
async def test_what_gives_no_tickets(shop: Shop, event: str, changes: dict[str, Any], status: int) -> None:
    """400 makes YooKassa come again for a day, with the same body."""
    assert await shop.told(event, **{**ORDER, **changes}) == status
    assert shop.ledger() == []


async def test_a_missing_date_is_inside_every_period(shop: Shop) -> None:
    """NaN is neither before nor after."""
    assert await shop.told(**{**ORDER, "created_at": None}) == 200
    assert len(shop.ledger()) == 2
    assert not js_date(None) < js_date(IN_TIME)
    assert not js_date(None) > js_date(IN_TIME)


async def test_three_attempts_are_four_executions(shop: Shop) -> None:
    """One in the webhook and three in the queue; the entry goes one tick later."""
    shop.failures = 99
    assert await shop.told(**ORDER) == 200
    for _tick in range(MAX_ATTEMPTS):
        await shop.scheduler.process_retry_queue()
    assert 99 - shop.failures == 4
    assert len(shop.scheduler.retry_queue) == 1
    await shop.scheduler.process_retry_queue()
    assert 99 - shop.failures == 4
    assert shop.scheduler.retry_queue == {}


async def test_a_retry_that_works_ends_the_matter(shop: Shop) -> None:
    """As meant."""
    shop.failures = 1
    await shop.told(**ORDER)
    await shop.scheduler.process_retry_queue()
    assert (len(shop.ledger()), shop.scheduler.retry_queue) == (2, {})


# What SQLite itself says ---------------------------------------------------------------------------------------------


@pytest.fixture
def two_writers(tmp_path: Path) -> Iterator[tuple[sqlite3.Connection, sqlite3.Connection]]:
    """Two connections to one file in WAL mode, with a busy timeout of five seconds."""
    path = tmp_path / "wal.db"
    with closing(sqlite3.connect(path)) as setup:
        setup.execute("PRAGMA journal_mode = WAL")
        setup.execute("CREATE TABLE ledger (id TEXT)")
        setup.commit()
    with (
        closing(sqlite3.connect(path, isolation_level=None, timeout=5.0)) as one,
        closing(sqlite3.connect(path, isolation_level=None, timeout=5.0)) as two,
    ):
        yield one, two


def test_detach_after_a_failed_attach_hides_the_cause(tmp_path: Path) -> None:
    """Python keeps the first error as the context of the second; JavaScript keeps nothing."""
    missing = str(tmp_path / "missing" / "bot.db")
    with (
        closing(sqlite3.connect(":memory:")) as connection,
        pytest.raises(sqlite3.OperationalError, match="no such database: bot_db") as caught,
    ):
        try:
            connection.execute("ATTACH DATABASE ? AS bot_db", (missing,))
        finally:
            connection.execute("DETACH DATABASE bot_db")
    assert "unable to open database" in str(caught.value.__context__)


def test_a_deferred_transaction_that_has_read_is_not_let_wait(
    two_writers: tuple[sqlite3.Connection, sqlite3.Connection],
) -> None:
    """SQLITE_BUSY_SNAPSHOT comes at once: the busy timeout is for those who have not read."""
    reader, writer = two_writers
    reader.execute("BEGIN DEFERRED")
    assert reader.execute("SELECT COUNT(*) FROM ledger").fetchone() == (0,)
    writer.execute("INSERT INTO ledger VALUES ('theirs')")

    with pytest.raises(sqlite3.OperationalError) as caught:
        reader.execute("INSERT INTO ledger VALUES ('ours')")
    assert caught.value.sqlite_errorname == "SQLITE_BUSY_SNAPSHOT"
