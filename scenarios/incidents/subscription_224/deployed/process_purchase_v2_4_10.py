"""`process_subscription_purchase` as deployed in v2.4.10, check by check; it extends one payment twice.

Between reading a payment as `paid` (checks 4 to 8) and writing `completed` (check 20) nothing is claimed. Checks 6 and 8
only read again before the effect, and check 14 makes each of two increments stick.
"""

# ruff: noqa: SIM117 - the two `async with` of the seed's code

import logging
import time

from scenarios.incidents.subscription_224.deployed.deployment import Connection
from scenarios.incidents.subscription_224.deployed.purchase_steps import (
    FIND_SUBSCRIPTION_BEFORE_INSERT,
    INSERT_SUBSCRIPTION,
    PURCHASE_MESSAGE,
    Outcome,
    PurchaseSteps,
    extension_message,
)
from scenarios.incidents.subscription_224.deployed.values import (
    DEFAULT_GRACE_PERIOD,
    FREE_V2RAY_TARIFF_ID,
    MAX_REASONABLE_EXPIRY,
    VERY_RECENT_S,
    VERY_RECENT_WHEN_CREATING_S,
    Payment,
    PaymentStatus,
    Subscription,
    Tariff,
    is_manually_set,
    looks_like_its_own_purchase,
)

logger = logging.getLogger(__name__)


class SubscriptionPurchaseService(PurchaseSteps):
    """The purchase service of one process, v2.4.10."""

    async def process_subscription_purchase(self, payment_id: str) -> Outcome:
        """Turn a paid payment into a subscription or a longer one; True also when there was nothing left to do."""
        # Check 1
        payment = await self.payment_repo.get_by_payment_id(payment_id)
        if not payment:
            return False, "Payment not found"
        # Check 2
        if not (payment.metadata and payment.metadata.get("key_type") == "subscription"):
            return False, "Not a subscription payment"
        # Check 3
        if payment.protocol != "v2ray":
            return False, "Protocol is not v2ray"
        # Check 4
        if payment.status == PaymentStatus.COMPLETED:
            logger.info("Payment already completed, skipping")
            return True, None
        # Check 5
        if payment.status != PaymentStatus.PAID:
            return False, "Payment is not paid"
        # Check 6: called "atomic" in the seed; it is a second read
        payment_status_check = await self.payment_repo.get_by_payment_id(payment_id)
        if payment_status_check and payment_status_check.status == PaymentStatus.COMPLETED:
            logger.info("Payment was completed by another process (race condition detected), skipping")
            return True, None
        # Check 7
        tariff = await self.tariff_repo.get_tariff(payment.tariff_id)
        if not tariff:
            return False, "Tariff not found"
        # Check 8
        payment_check = await self.payment_repo.get_by_payment_id(payment_id)
        if payment_check and payment_check.status == PaymentStatus.COMPLETED:
            logger.info("Payment was completed by another process, skipping")
            return True, None
        return await self._decide(payment, tariff)

    async def _decide(self, payment: Payment, tariff: Tariff) -> Outcome:
        """Extension, purchase, or only the notice of a purchase.

        Check 11 of the seed uses check 9's `conn`, so one connection serves both reads. That it is closed before the
        decision is carried out is inferred; no transaction is open on it then.
        """
        now = int(time.time())
        grace_threshold = now - DEFAULT_GRACE_PERIOD
        async with self.open_async_connection(self.db_path) as conn:
            # Check 9
            existing_subscription = await self._find_active_subscription(
                conn, payment.user_id, grace_threshold
            )
            # Check 10
            has_active_free_subscription = False
            if existing_subscription:
                has_active_free_subscription = existing_subscription.tariff_id == FREE_V2RAY_TARIFF_ID or (
                    existing_subscription.price_rub is not None and existing_subscription.price_rub == 0
                )
            # Check 11
            is_its_own_purchase = False
            if existing_subscription and not has_active_free_subscription:
                is_its_own_purchase = await self._is_its_own_purchase(
                    conn, payment, tariff, existing_subscription, now
                )

        if existing_subscription and has_active_free_subscription:  # Check 10: always an extension
            return await self._extend_subscription(
                payment, tariff, existing_subscription, now, is_purchase=False
            )
        if existing_subscription and is_its_own_purchase:  # Check 11: a notice, no extension
            return await self._send_purchase_notification_for_existing_subscription(
                payment, existing_subscription.id
            )
        # Check 12
        if existing_subscription:
            return await self._extend_subscription(
                payment, tariff, existing_subscription, now, is_purchase=False
            )
        return await self._create_subscription(payment, tariff, now)

    async def _is_its_own_purchase(
        self,
        conn: Connection,
        payment: Payment,
        tariff: Tariff,
        existing_subscription: Subscription,
        now: int,
    ) -> bool:
        """Check 11: under an hour old, ending as expected, and no other completed payment since it was created.

        The payment that created the subscription is older than it (by a second or more), so it is not counted.
        """
        created_at = existing_subscription.created_at
        if not looks_like_its_own_purchase(
            created_at, existing_subscription.expires_at, tariff, now, VERY_RECENT_S
        ):
            return False
        async with conn.execute(
            """
            SELECT COUNT(*) FROM payments
            WHERE user_id = ? AND tariff_id = ? AND status = 'completed'
            AND protocol = 'v2ray' AND metadata LIKE '%subscription%'
            AND created_at >= ? AND payment_id != ?
            """,
            (payment.user_id, payment.tariff_id, created_at, payment.payment_id),
        ) as cursor:
            other_completed_count = (await cursor.fetchone())[0]
        return bool(other_completed_count == 0)

    async def _extend_subscription(
        self,
        payment: Payment,
        tariff: Tariff,
        existing_subscription: Subscription,
        now: int,
        *,
        is_purchase: bool,
    ) -> Outcome:
        """Extend, then tell, then complete. No caller in the seed passes `is_purchase=True`."""
        subscription_id = existing_subscription.id
        # Check 13; that the expiry is the one check 9 read is inferred
        if is_manually_set(existing_subscription.expires_at, now):
            new_expires_at = existing_subscription.expires_at
            await self.subscription_repo.extend_subscription_async(subscription_id, new_expires_at, tariff.id)
        else:
            # Check 14: the effect, committed before anything says that this payment has had it
            new_expires_at = await self.subscription_repo.extend_subscription_by_duration_async(
                subscription_id, tariff.duration_sec, tariff.id, max_expires_at=MAX_REASONABLE_EXPIRY
            )
        # Check 15: whichever way check 13 went
        traffic_limit_mb = tariff.traffic_limit_mb or 0
        await self.subscription_repo.update_subscription_traffic_limit_async(
            subscription_id, traffic_limit_mb
        )
        # Check 16
        reset_success = await self.reset_subscription_traffic(subscription_id)
        if not reset_success:
            logger.warning("Failed to reset the traffic of subscription %s", subscription_id)
        # Check 17
        if is_purchase and await self._purchase_notification_sent(subscription_id):
            await self._mark_completed(payment)
            return True, None
        # Check 18: a failed notice leaves the payment `paid`, and the next run extends again
        msg = extension_message(new_expires_at)
        notification_sent = await self._send_notification_simple(payment.user_id, msg)
        if not notification_sent:
            return False, "Failed to send notification"
        # Check 19: after the effect, in a transaction of its own
        await self._update_subscription_id(payment, subscription_id)
        # Check 20: False when another run completed the payment meanwhile; nobody asks
        await self._mark_completed(payment)
        return True, None

    async def _create_subscription(self, payment: Payment, tariff: Tariff, now: int) -> Outcome:
        """Create, make keys, tell, complete; or adopt what another run has created meanwhile."""
        # Check 21
        grace_threshold = now - DEFAULT_GRACE_PERIOD
        async with self.open_async_connection(self.db_path) as conn:
            async with conn.execute(
                """
                SELECT id, user_id, subscription_token, created_at, expires_at, tariff_id, is_active, last_updated_at, notified
                FROM subscriptions
                WHERE user_id = ? AND is_active = 1 AND expires_at > ?
                ORDER BY created_at DESC
                LIMIT 1
                """,
                (payment.user_id, grace_threshold),
            ) as cursor:
                existing_subscription_row = await cursor.fetchone()
        # Check 22; the seed shows nothing for a subscription that is not its own, so that case goes on to check 23
        if existing_subscription_row:
            subscription_id = existing_subscription_row[0]
            created_at, expires_at = existing_subscription_row[3], existing_subscription_row[4]
            purchase_notification_sent = await self._purchase_notification_sent(subscription_id)
            if (
                looks_like_its_own_purchase(created_at, expires_at, tariff, now, VERY_RECENT_WHEN_CREATING_S)
                and not purchase_notification_sent
            ):
                return await self._send_purchase_notification_for_existing_subscription(
                    payment, subscription_id
                )
        # Check 23
        if (tariff.duration_sec or 0) <= 0:
            return False, "Invalid tariff duration_sec"
        # Check 24
        expires_at, traffic_limit_mb = await self._terms_of_new_subscription(payment, tariff, now)
        # Check 25
        subscription_token = await self._unique_subscription_token()
        if not subscription_token:
            return False, "Failed to generate unique subscription token"
        # Check 26: one subscription for two payments, and the second is still completed below
        async with self.open_async_connection(self.db_path) as conn:
            await conn.execute("BEGIN IMMEDIATE")
            try:
                async with conn.execute(
                    FIND_SUBSCRIPTION_BEFORE_INSERT, (payment.user_id, grace_threshold)
                ) as check_cursor:
                    existing = await check_cursor.fetchone()
                if existing:
                    subscription_id = existing[0]
                    await conn.commit()
                    await self.payment_repo.update_subscription_id(payment.payment_id, subscription_id)
                else:
                    cursor = await conn.execute(
                        INSERT_SUBSCRIPTION,
                        (payment.user_id, subscription_token, now, expires_at, tariff.id, traffic_limit_mb),
                    )
                    subscription_id = cursor.lastrowid
                    await conn.commit()
                    await self.payment_repo.update_subscription_id(payment.payment_id, subscription_id)
            except Exception:
                await conn.rollback()
                raise
        # Check 27
        await self._create_keys_on_servers(payment, subscription_id)
        # Check 28; it does not set `purchase_notification_sent`, in the seed's code either
        notification_sent = await self._send_notification_simple(payment.user_id, PURCHASE_MESSAGE)
        if not notification_sent:
            return False, "Failed to send notification"
        await self._mark_completed(payment)
        return True, None

    async def _send_purchase_notification_for_existing_subscription(
        self, payment: Payment, subscription_id: int
    ) -> Outcome:
        """Helper 29: tell of a purchase and complete the payment, granting nothing; its body is inferred.

        It takes check 17's shape, because the flag belongs to the subscription: who was told of one purchase is not
        told of the next.
        """
        if await self._purchase_notification_sent(subscription_id):
            await self._mark_completed(payment)
            return True, None
        notification_sent = await self._send_notification_simple(payment.user_id, PURCHASE_MESSAGE)
        if not notification_sent:
            return False, "Failed to send notification"
        async with self.open_async_connection(self.db_path) as conn:
            await conn.execute(
                "UPDATE subscriptions SET purchase_notification_sent = 1 WHERE id = ?", (subscription_id,)
            )
            await conn.commit()
        await self._update_subscription_id(payment, subscription_id)
        await self._mark_completed(payment)
        return True, None

    async def _purchase_notification_sent(self, subscription_id: int) -> bool:
        """The read of check 17; check 22 needs it too, and its SELECT does not have the column."""
        async with self.open_async_connection(self.db_path) as conn:
            async with conn.execute(
                "SELECT purchase_notification_sent FROM subscriptions WHERE id = ?", (subscription_id,)
            ) as check_cursor:
                notif_row = await check_cursor.fetchone()
        return bool(notif_row and notif_row[0])

    async def _update_subscription_id(self, payment: Payment, subscription_id: int) -> None:
        """Check 19: link the payment to its subscription, or leave it to the monitoring task and go on."""
        if await self.payment_repo.update_subscription_id(payment.payment_id, subscription_id):
            logger.info("Updated payment %s subscription_id to %s", payment.payment_id, subscription_id)
        else:
            logger.error(
                "CRITICAL: Failed to update subscription_id for payment %s after retries. "
                "Payment will remain without subscription_id. This should be fixed by monitoring task.",
                payment.payment_id,
            )
