"""The deployed code of subscription #224 run in sequence: it works on a quiet day, and where it is wrong without any race.

There is no scheduler here and nothing overlaps; what two runs do to each other is the incident's own test.
"""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import aiosqlite
import pytest
import trio
from trio.testing import MockClock

from scenarios.incidents.subscription_224.deployed import (
    entry_points_before_v2_4_10,
    entry_points_v2_4_10,
    process_purchase_before_v2_4_10,
    process_purchase_v2_4_10,
)
from scenarios.incidents.subscription_224.deployed.database import deployed_schema, retry_async_db_operation
from scenarios.incidents.subscription_224.deployed.deployment import Deployment
from scenarios.incidents.subscription_224.deployed.process_purchase_v2_4_10 import SubscriptionPurchaseService
from scenarios.incidents.subscription_224.deployed.values import MANUAL_EXPIRY_THRESHOLD

HOUR, DAY = 3600, 86_400
NOW = 1_767_904_043  # 2026-01-08 20:27:23 UTC, when #224's payment was made
USER, MONTH, TRIAL = 7, 1, 2
MONTH_SEC, MONTH_TRAFFIC_MB = 30 * DAY, 50_000


class InlineConnection(aiosqlite.Connection):
    """aiosqlite without its thread: every call runs where it is awaited."""

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        await trio.lowlevel.checkpoint()
        return fn(*args, **kwargs)

    async def __aenter__(self) -> "InlineConnection":
        self._connection = self._connector()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._conn.close()
        self._connection = None


def open_async_connection(db_path: str) -> InlineConnection:
    return InlineConnection(lambda: sqlite3.connect(db_path), iter_chunk_size=64)


@dataclass
class Shop:
    """A database file with one user, two tariffs and two servers, and everyone whom the deployed code calls."""

    db_path: str
    now: int = NOW
    told: list[str] = field(default_factory=list)
    bot_is_blocked: bool = False
    broken_servers: set[int] = field(default_factory=set)

    async def send_message(self, user_id: int, text: str) -> bool:
        assert user_id == USER
        if self.bot_is_blocked:
            raise RuntimeError("403 Forbidden: bot was blocked by the user")
        self.told.append(text)
        return True

    async def is_paid(self, payment_id: str) -> bool:
        return payment_id.startswith("p-")

    async def create_key(self, server_id: int, user_id: int) -> str:
        if server_id in self.broken_servers:
            raise OSError(f"server {server_id} does not answer")
        return f"key-{user_id}-{server_id}"

    async def reset_traffic(self, server_id: int, key_uuid: str) -> bool:
        return key_uuid.endswith(f"-{server_id}")

    @property
    def deployment(self) -> Deployment:
        return Deployment(open_async_connection, notifier=self, provider=self, servers=self)

    @property
    def purchases(self) -> SubscriptionPurchaseService:
        return SubscriptionPurchaseService(self.deployment, self.db_path)

    async def buy(self, payment_id: str) -> tuple[bool, str | None]:
        return await self.purchases.process_subscription_purchase(payment_id)

    def sql(self, statement: str, *parameters: object) -> list[Any]:
        with closing(sqlite3.connect(self.db_path)) as conn, conn:
            return conn.execute(statement, parameters).fetchall()

    def pays(self, payment_id: str, *, status: str = "paid") -> None:
        self.sql(
            "INSERT INTO payments (payment_id, user_id, tariff_id, status, protocol, metadata, created_at) "
            "VALUES (?, ?, ?, ?, 'v2ray', '{\"key_type\": \"subscription\"}', ?)",
            *(payment_id, USER, MONTH, status, self.now),
        )

    def has_subscription(
        self, *, created_at: int, expires_at: int, tariff_id: int = MONTH, mb: int = 0
    ) -> None:
        self.sql(
            "INSERT INTO subscriptions (id, user_id, created_at, expires_at, tariff_id, traffic_limit_mb) "
            "VALUES (224, ?, ?, ?, ?, ?)",
            *(USER, created_at, expires_at, tariff_id, mb),
        )

    def expiries(self) -> list[int]:
        return [expires_at for (expires_at,) in self.sql("SELECT expires_at FROM subscriptions ORDER BY id")]

    def status(self, payment_id: str) -> str:
        return str(self.sql("SELECT status FROM payments WHERE payment_id = ?", payment_id)[0][0])


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    shop = Shop(str(tmp_path / "shop.db"))
    with closing(sqlite3.connect(shop.db_path)) as conn:
        conn.executescript(deployed_schema("sqlite"))
    shop.sql("INSERT INTO users VALUES (?, 0)", USER)
    shop.sql("INSERT INTO tariffs VALUES (?, 'month', 200, ?, ?)", MONTH, MONTH_SEC, MONTH_TRAFFIC_MB)
    shop.sql("INSERT INTO tariffs VALUES (?, 'trial', 0, ?, 1000)", TRIAL, 3 * DAY)
    shop.sql("INSERT INTO v2ray_servers (name, is_active) VALUES ('a', 1), ('b', 1), ('switched off', 0)")
    monkeypatch.setattr(time, "time", lambda: shop.now)
    return shop


both_services = pytest.mark.parametrize(
    "version", [process_purchase_before_v2_4_10, process_purchase_v2_4_10]
)
both_entries = pytest.mark.parametrize("version", [entry_points_before_v2_4_10, entry_points_v2_4_10])
every_path = pytest.mark.parametrize(
    "enter",
    [
        lambda entry: entry.yookassa_webhook("p-1"),
        lambda entry: entry.platega_webhook("p-1"),
        lambda entry: entry.wait_for_payment_with_protocol("p-1"),
        lambda entry: entry.process_pending_paid_payments(),
        lambda entry: entry.retry_failed_subscription_notifications(),
    ],
    ids=["yookassa", "platega", "polling", "pending-paid", "retry-notifications"],
)


@both_services
async def test_a_purchase_creates_one_subscription_with_keys_and_completes(
    shop: Shop, version: ModuleType
) -> None:
    """A paid payment of a user without a subscription must end as one subscription, one key a server, one notice."""
    shop.pays("p-1")
    service = version.SubscriptionPurchaseService(shop.deployment, shop.db_path)
    assert await service.process_subscription_purchase("p-1") == (True, None)
    assert await service.process_subscription_purchase("p-1") == (True, None)
    assert shop.expiries() == [NOW + MONTH_SEC]
    assert shop.sql("SELECT status, subscription_id FROM payments") == [("completed", 1)]
    assert shop.sql("SELECT server_id, subscription_id FROM v2ray_keys") == [(1, 1), (2, 1)]
    assert len(shop.told) == 1


@both_services
async def test_an_extension_adds_the_duration_once(shop: Shop, version: ModuleType) -> None:
    """A second run in sequence finds the payment completed and must change nothing."""
    shop.has_subscription(created_at=NOW - 20 * DAY, expires_at=NOW + 10 * DAY)
    shop.pays("p-1")
    service = version.SubscriptionPurchaseService(shop.deployment, shop.db_path)
    for _ in range(2):
        assert await service.process_subscription_purchase("p-1") == (True, None)
    assert shop.expiries() == [NOW + 10 * DAY + MONTH_SEC]
    assert shop.sql("SELECT status, subscription_id FROM payments") == [("completed", 224)]


@both_entries
@every_path
async def test_every_entry_point_processes_a_paid_payment_once(
    shop: Shop, version: ModuleType, enter: Callable[[Any], Any]
) -> None:
    """Each of the five paths alone, run twice, must complete the payment and grant its duration once."""
    shop.pays("p-1")
    entry = version.EntryPoints(shop.deployment, shop.db_path)
    await enter(entry)
    await enter(entry)
    assert (shop.status("p-1"), shop.expiries()) == ("completed", [NOW + MONTH_SEC])


@both_entries
async def test_only_webhooks_and_polling_make_a_pending_payment_paid(shop: Shop, version: ModuleType) -> None:
    """The background tasks select `paid`; a pending payment must wait for the provider's word."""
    shop.pays("p-1", status="pending")
    entry = version.EntryPoints(shop.deployment, shop.db_path)
    assert await entry.process_pending_paid_payments() == []
    assert await entry.retry_failed_subscription_notifications() == []
    await entry.yookassa_webhook("p-1")
    assert shop.status("p-1") == "completed"


async def test_a_payment_that_is_never_paid_is_polled_for_a_quarter_of_an_hour(
    shop: Shop, autojump_clock: MockClock
) -> None:
    """The poller must give up, and must not have touched the payment."""
    entry = entry_points_v2_4_10.EntryPoints(shop.deployment, shop.db_path)
    start = trio.current_time()
    assert not await entry.wait_for_payment_with_protocol("unknown")
    assert trio.current_time() - start == 900


async def test_an_active_subscription_keeps_a_payment_from_the_pending_paid_task(shop: Shop) -> None:
    """So #224, active until the day after its payment, reaches a background task only as a failed notification."""
    shop.has_subscription(created_at=NOW - 2 * DAY, expires_at=NOW + DAY, tariff_id=TRIAL)
    shop.pays("p-1")
    entry = entry_points_v2_4_10.EntryPoints(shop.deployment, shop.db_path)
    assert await entry.process_pending_paid_payments() == []
    assert await entry.retry_failed_subscription_notifications() == ["p-1"]


async def test_a_failing_notice_extends_by_thirty_days_at_every_retry(shop: Shop) -> None:
    """Check 18 keeps the payment `paid` after check 14 has extended; only check 13 stops it, after 61 extensions."""
    shop.has_subscription(created_at=NOW - 20 * DAY, expires_at=NOW + DAY)
    shop.pays("p-1")
    shop.bot_is_blocked = True
    entry = entry_points_v2_4_10.EntryPoints(shop.deployment, shop.db_path)
    for _ in range(12):
        await entry.retry_failed_subscription_notifications()
    assert shop.expiries() == [NOW + DAY + 360 * DAY]
    assert shop.status("p-1") == "paid"
    for _ in range(60):
        await entry.retry_failed_subscription_notifications()
    assert shop.expiries() == [NOW + DAY + 61 * MONTH_SEC]
    assert shop.status("p-1") == "paid"


async def test_a_failing_notice_of_a_purchase_turns_into_extensions_after_an_hour(shop: Shop) -> None:
    """Check 11 takes the retry for its own purchase for an hour, and check 12 calls it an extension from then on."""
    shop.pays("p-1")
    shop.bot_is_blocked = True
    assert await shop.buy("p-1") == (False, "Failed to send notification")
    shop.now = NOW + HOUR - 1
    await shop.buy("p-1")
    assert shop.expiries() == [NOW + MONTH_SEC]
    shop.now = NOW + HOUR
    await shop.buy("p-1")
    assert shop.expiries() == [NOW + 2 * MONTH_SEC]


async def test_a_second_purchase_within_the_hour_is_swallowed(shop: Shop) -> None:
    """Check 11 takes the second payment for the first one's retry: a notice, `completed`, and no time."""
    shop.pays("p-1")
    shop.now += 60  # the customer pays; a payment as old as its subscription would be counted by check 11
    await shop.buy("p-1")
    shop.now += 600
    shop.pays("p-2")
    assert await shop.buy("p-2") == (True, None)
    assert shop.expiries() == [NOW + 60 + MONTH_SEC]
    assert (shop.status("p-1"), shop.status("p-2")) == ("completed", "completed")
    assert len(shop.told) == 2


async def test_a_third_purchase_within_the_hour_extends(shop: Shop) -> None:
    """Check 11's counter then sees the second payment, so of three payments two are granted."""
    for payment_id in ("p-1", "p-2", "p-3"):
        shop.pays(payment_id)
        shop.now += 60
        await shop.buy(payment_id)
    assert shop.expiries() == [NOW + 60 + 2 * MONTH_SEC]


async def test_a_payment_that_finds_anothers_subscription_while_creating_is_swallowed(shop: Shop) -> None:
    """Check 26 links the second payment to the first one's subscription, makes keys again, and completes it."""
    shop.pays("p-1")
    shop.pays("p-2")

    class FirstPaymentArrivesDuringCheck25(SubscriptionPurchaseService):
        async def _unique_subscription_token(self) -> str | None:
            await shop.buy("p-1")
            return await super()._unique_subscription_token()

    service = FirstPaymentArrivesDuringCheck25(shop.deployment, shop.db_path)
    assert await service.process_subscription_purchase("p-2") == (True, None)
    assert shop.expiries() == [NOW + MONTH_SEC]
    assert shop.sql("SELECT status, subscription_id FROM payments") == [("completed", 1), ("completed", 1)]
    assert shop.sql("SELECT server_id FROM v2ray_keys") == [(1,), (2,), (1,), (2,)]


async def test_an_extension_in_the_grace_period_loses_the_hours_since_the_end(shop: Shop) -> None:
    """Check 14 adds to an expiry in the past: 23 hours late, 30 days are 29 days and an hour."""
    shop.has_subscription(created_at=NOW - 40 * DAY, expires_at=NOW - 23 * HOUR)
    shop.pays("p-1")
    await shop.buy("p-1")
    assert shop.expiries() == [NOW + 29 * DAY + HOUR]


async def test_after_the_grace_period_a_user_has_two_active_subscriptions(shop: Shop) -> None:
    """At exactly 24 hours check 9 finds nothing, and the old row stays active beside the new one."""
    shop.has_subscription(created_at=NOW - 40 * DAY, expires_at=NOW - 24 * HOUR)
    shop.pays("p-1")
    await shop.buy("p-1")
    assert shop.expiries() == [NOW - 24 * HOUR, NOW + MONTH_SEC]
    assert shop.sql("SELECT COUNT(*) FROM subscriptions WHERE is_active = 1") == [(2,)]


@pytest.mark.parametrize("expires_at", [MANUAL_EXPIRY_THRESHOLD, NOW + 5 * 365 * DAY + 1])
async def test_a_user_with_an_expiry_taken_for_manual_pays_for_nothing(shop: Shop, expires_at: int) -> None:
    """Check 13 leaves a VIP's expiry alone, and that of a buyer beyond five years; both payments are completed."""
    shop.has_subscription(created_at=NOW - 20 * DAY, expires_at=expires_at)
    shop.pays("p-1")
    assert await shop.buy("p-1") == (True, None)
    assert (shop.expiries(), shop.status("p-1")) == ([expires_at], "completed")


async def test_unlimited_traffic_is_overwritten_by_the_tariffs_limit(shop: Shop) -> None:
    """Check 15 follows check 13 whatever it said: a VIP's 0, which is unlimited, becomes the tariff's limit."""
    shop.has_subscription(created_at=NOW - 20 * DAY, expires_at=MANUAL_EXPIRY_THRESHOLD, mb=0)
    shop.sql("UPDATE users SET is_vip = 1")
    shop.pays("p-1")
    await shop.buy("p-1")
    assert shop.sql("SELECT traffic_limit_mb FROM subscriptions") == [(MONTH_TRAFFIC_MB,)]


async def test_a_vip_who_buys_first_gets_the_vip_terms(shop: Shop) -> None:
    """Check 24: the year 2100 and no traffic limit."""
    shop.sql("UPDATE users SET is_vip = 1")
    shop.pays("p-1")
    await shop.buy("p-1")
    assert shop.sql("SELECT expires_at, traffic_limit_mb FROM subscriptions") == [(4102434000, 0)]


async def test_used_traffic_is_given_back_at_every_retry(shop: Shop) -> None:
    """Check 16 runs before the notice of check 18, so a user who blocks the bot gets free traffic for ever."""
    shop.pays("p-1")
    await shop.buy("p-1")
    shop.now += 2 * HOUR
    shop.pays("p-2")
    shop.bot_is_blocked = True
    for _ in range(2):
        shop.sql("UPDATE v2ray_keys SET traffic_used_mb = 900")
        assert await shop.buy("p-2") == (False, "Failed to send notification")
        assert shop.sql("SELECT DISTINCT traffic_used_mb FROM v2ray_keys") == [(0,)]


async def test_a_trial_is_extended_and_its_tariff_switched(shop: Shop) -> None:
    """Check 10: #224's payment is stacked on what was left of the free days, even minutes after they began."""
    shop.has_subscription(created_at=NOW - 60, expires_at=NOW - 60 + 3 * DAY, tariff_id=TRIAL)
    shop.pays("p-1")
    await shop.buy("p-1")
    assert shop.sql("SELECT expires_at, tariff_id FROM subscriptions") == [(NOW - 60 + 33 * DAY, MONTH)]


async def test_a_server_that_fails_is_left_without_a_key_for_ever(shop: Shop) -> None:
    """Check 27 goes on to the next server, and the completed payment is never looked at again."""
    shop.broken_servers.add(1)
    shop.pays("p-1")
    assert await shop.buy("p-1") == (True, None)
    assert shop.sql("SELECT server_id FROM v2ray_keys") == [(2,)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("UPDATE payments SET payment_id = 'other'", "Payment not found"),
        ("UPDATE payments SET metadata = '{}'", "Not a subscription payment"),
        ("UPDATE payments SET protocol = 'outline'", "Protocol is not v2ray"),
        ("UPDATE payments SET status = 'pending'", "Payment is not paid"),
        ("DELETE FROM tariffs", "Tariff not found"),
        ("UPDATE tariffs SET duration_sec = 0", "Invalid tariff duration_sec"),
    ],
)
async def test_a_payment_that_is_not_due_is_refused_with_the_seeds_reason(
    shop: Shop, change: str, reason: str
) -> None:
    """Checks 1, 2, 3, 5, 7 and 23 must leave everything as it was."""
    shop.pays("p-1")
    shop.sql(change)
    assert await shop.buy("p-1") == (False, reason)
    assert shop.expiries() == []


async def test_a_locked_database_is_tried_three_times(autojump_clock: MockClock) -> None:
    """The retry of check 19 must wait 0.1 s, then 0.2 s, and raise another error at once."""
    errors: list[Exception] = [sqlite3.OperationalError("database is locked")] * 2

    async def operation() -> str:
        if errors:
            raise errors.pop()
        return "done"

    async def tried() -> str:
        return await retry_async_db_operation(
            operation, max_attempts=3, initial_delay=0.1, operation_name="operation", operation_context={}
        )

    start = trio.current_time()
    assert await tried() == "done"
    assert trio.current_time() - start == pytest.approx(0.3)
    errors.append(sqlite3.OperationalError("no such table: payments"))
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await tried()


def test_the_postgresql_schema_numbers_its_own_rows() -> None:
    """Every id of the SQLite schema must have become an identity column, and nothing else may differ."""
    sqlite, postgresql = deployed_schema("sqlite"), deployed_schema("postgresql")
    assert sqlite.count("id INTEGER PRIMARY KEY") == postgresql.count("IDENTITY PRIMARY KEY") == 6
    assert len(sqlite.splitlines()) == len(postgresql.splitlines())
