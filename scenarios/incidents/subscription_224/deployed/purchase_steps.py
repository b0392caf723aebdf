"""The steps of a purchase that were the same before v2.4.10 and in it.

It decides nothing: the two `process_purchase_*` modules hold the order of the steps, which is where they differ.
"""

# ruff: noqa: SIM117 - the two `async with` of the seed's code

import logging
import time
import uuid
from typing import Final

from scenarios.incidents.subscription_224.deployed.database import (
    PaymentRepository,
    SubscriptionRepository,
    TariffRepository,
    UserRepository,
)
from scenarios.incidents.subscription_224.deployed.deployment import Connection, Deployment
from scenarios.incidents.subscription_224.deployed.values import (
    VIP_EXPIRES_AT,
    VIP_TRAFFIC_LIMIT_MB,
    Payment,
    PaymentStatus,
    Subscription,
    Tariff,
)

logger = logging.getLogger(__name__)

Outcome = tuple[bool, str | None]
"""What every step of a purchase ends with: whether it went well, and if not, why."""

FIND_ACTIVE_SUBSCRIPTION: Final = """
    SELECT s.id, s.user_id, s.subscription_token, s.created_at, s.expires_at,
           s.tariff_id, s.is_active, s.last_updated_at, s.notified, s.purchase_notification_sent,
           t.price_rub
    FROM subscriptions s
    LEFT JOIN tariffs t ON s.tariff_id = t.id
    WHERE s.user_id = ? AND s.is_active = 1 AND s.expires_at > ?
    ORDER BY s.created_at DESC
    LIMIT 1
"""

FIND_SUBSCRIPTION_BEFORE_INSERT: Final = """
    SELECT id FROM subscriptions
    WHERE user_id = ? AND is_active = 1 AND expires_at > ?
    LIMIT 1
"""

INSERT_SUBSCRIPTION: Final = """
    INSERT INTO subscriptions (user_id, subscription_token, created_at, expires_at, tariff_id, is_active, notified, traffic_limit_mb)
    VALUES (?, ?, ?, ?, ?, 1, 0, ?)
"""

PURCHASE_MESSAGE: Final = "Your subscription is active."
"""Inferred text."""


def extension_message(new_expires_at: int) -> str:
    """Inferred text; the date is in it so that a reader of a run sees which expiry the user was told."""
    return f"Your subscription is extended until {new_expires_at}."


class PurchaseSteps:
    """One process's purchase service without its decisions; it keeps nothing between two calls."""

    def __init__(self, deployment: Deployment, db_path: str) -> None:
        self.open_async_connection = deployment.open_async_connection
        self.db_path = db_path
        self.notifier = deployment.notifier
        self.servers = deployment.servers
        self.payment_repo = PaymentRepository(deployment.open_async_connection, db_path)
        self.tariff_repo = TariffRepository(deployment.open_async_connection, db_path)
        self.user_repo = UserRepository(deployment.open_async_connection, db_path)
        self.subscription_repo = SubscriptionRepository(deployment.open_async_connection, db_path)

    async def _find_active_subscription(
        self, conn: Connection, user_id: int, grace_threshold: int
    ) -> Subscription | None:
        """Check 9: the newest of the user's active subscriptions that ended no longer ago than the grace period."""
        async with conn.execute(FIND_ACTIVE_SUBSCRIPTION, (user_id, grace_threshold)) as cursor:
            existing_subscription_row = await cursor.fetchone()
        return None if existing_subscription_row is None else Subscription.from_row(existing_subscription_row)

    async def _terms_of_new_subscription(self, payment: Payment, tariff: Tariff, now: int) -> tuple[int, int]:
        """Check 24: the expiry and the traffic limit in MB of a new subscription."""
        is_vip = await self.user_repo.is_user_vip(payment.user_id)
        if is_vip:
            return VIP_EXPIRES_AT, VIP_TRAFFIC_LIMIT_MB
        return now + tariff.duration_sec, tariff.traffic_limit_mb or 0

    async def _unique_subscription_token(self) -> str | None:
        """Check 25: a token that no subscription had when it was looked up; None after ten tries."""
        for _ in range(10):
            token = str(uuid.uuid4())
            if not await self.subscription_repo.get_subscription_by_token_async(token):
                return token
        return None

    async def _create_keys_on_servers(self, payment: Payment, subscription_id: int) -> None:
        """Check 27: a key on every active V2Ray server.

        Inferred beyond the loop itself: the network call, then a row for the key; a server that fails is logged and
        left out; nobody looks whether the subscription already has a key there.
        """
        async with self.open_async_connection(self.db_path) as conn:
            async with conn.execute("SELECT id FROM v2ray_servers WHERE is_active = 1 ORDER BY id") as cursor:
                v2ray_servers = await cursor.fetchall()
        for (server_id,) in v2ray_servers:
            try:
                key_uuid = await self.servers.create_key(server_id, payment.user_id)
            except Exception:
                logger.exception("Failed to create a key on server %s", server_id)
                continue
            async with self.open_async_connection(self.db_path) as conn:
                await conn.execute(
                    "INSERT INTO v2ray_keys (server_id, user_id, subscription_id, v2ray_uuid, created_at) VALUES (?, ?, ?, ?, ?)",
                    (server_id, payment.user_id, subscription_id, key_uuid, int(time.time())),
                )
                await conn.commit()

    async def reset_subscription_traffic(self, subscription_id: int) -> bool:
        """Check 16: set the traffic of all keys to zero. A module function in the seed; its body is inferred."""
        async with self.open_async_connection(self.db_path) as conn:
            async with conn.execute(
                "SELECT id, server_id, v2ray_uuid FROM v2ray_keys WHERE subscription_id = ? ORDER BY id",
                (subscription_id,),
            ) as cursor:
                keys = await cursor.fetchall()
        reset_success = True
        for key_id, server_id, key_uuid in keys:
            try:
                reset = await self.servers.reset_traffic(server_id, key_uuid)
            except Exception:
                logger.exception("Failed to reset the traffic of key %s", key_id)
                reset = False
            if not reset:
                reset_success = False
                continue
            async with self.open_async_connection(self.db_path) as conn:
                await conn.execute("UPDATE v2ray_keys SET traffic_used_mb = 0 WHERE id = ?", (key_id,))
                await conn.commit()
        return reset_success

    async def _send_notification_simple(self, user_id: int, msg: str) -> bool:
        """Tell the user; False when Telegram refused or failed. That an exception counts as False is inferred."""
        try:
            return await self.notifier.send_message(user_id, msg)
        except Exception:
            logger.exception("Failed to send a notification to user %s", user_id)
            return False

    async def _mark_completed(self, payment: Payment) -> bool:
        """Checks 20 and 28: `paid` to `completed`; False when it was not `paid` any more."""
        return await self.payment_repo.try_update_status(
            payment.payment_id, PaymentStatus.COMPLETED, PaymentStatus.PAID
        )
