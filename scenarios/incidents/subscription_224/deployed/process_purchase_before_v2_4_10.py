"""`process_subscription_purchase` as deployed before v2.4.10 (seed 002); line numbers are that file's, from the seed.

Two runs may both extend (one payment, twice the time), or one may overwrite the other (two payments, once the time):
which of the two it is depends on where the second one reads `expires_at`. Two buyers' runs may also insert two rows.
Checks 10, 11, 17, 22 and helper 29 are in seed 004 only and are left out here.
"""

# ruff: noqa: SIM117 - the two `async with` of the seed's code

import time

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
    Payment,
    PaymentStatus,
    Tariff,
    is_manually_set,
    is_v2ray_subscription,
)


class SubscriptionPurchaseService(PurchaseSteps):
    """The purchase service of one process, before v2.4.10."""

    async def process_subscription_purchase(self, payment_id: str) -> Outcome:
        """Turn a paid payment into a subscription or a longer one; True also when there was nothing left to do."""
        payment = await self.payment_repo.get_by_payment_id(payment_id)
        if not payment:
            return False, "Payment not found"
        if not is_v2ray_subscription(payment):
            return False, "Not a subscription payment"
        if payment.status == PaymentStatus.COMPLETED:
            return True, None
        if payment.status != PaymentStatus.PAID:
            return False, "Payment is not paid"
        tariff = await self.tariff_repo.get_tariff(payment.tariff_id)
        if not tariff:
            return False, "Tariff not found"
        # Lines 108-111: the same question again, and again before the effect
        payment_check = await self.payment_repo.get_by_payment_id(payment_id)
        if payment_check and payment_check.status == PaymentStatus.COMPLETED:
            return True, None

        # Lines 181-309, bottleneck 6: what is decided here is carried out much later
        now = int(time.time())
        grace_threshold = now - DEFAULT_GRACE_PERIOD
        async with self.open_async_connection(self.db_path) as conn:
            existing_subscription = await self._find_active_subscription(
                conn, payment.user_id, grace_threshold
            )
        if existing_subscription:
            return await self._extend_subscription(payment, tariff, existing_subscription.id, now)
        return await self._create_subscription(payment, tariff, now)

    async def _extend_subscription(
        self, payment: Payment, tariff: Tariff, subscription_id: int, now: int
    ) -> Outcome:
        """Read, add, write: bottleneck 7.

        What follows the write is v2.4.10's, without the retry of check 19. That the payment stays `paid` when the
        notice fails is seed 002's: its fifth path is named after failed notifications and looks for `paid`.
        """
        # Line 647
        async with self.open_async_connection(self.db_path) as conn:
            async with conn.execute(
                "SELECT expires_at FROM subscriptions WHERE id = ?", (subscription_id,)
            ) as cursor:
                row = await cursor.fetchone()
        if row is None:
            return False, "Subscription not found"
        existing_expires_at: int = row[0]
        if is_manually_set(existing_expires_at, now):
            new_expires_at = existing_expires_at
        else:
            # Line 687
            new_expires_at = existing_expires_at + tariff.duration_sec
        await self.subscription_repo.extend_subscription_async(subscription_id, new_expires_at, tariff.id)
        await self.subscription_repo.update_subscription_traffic_limit_async(
            subscription_id, tariff.traffic_limit_mb or 0
        )
        await self.reset_subscription_traffic(subscription_id)
        if not await self._send_notification_simple(payment.user_id, extension_message(new_expires_at)):
            return False, "Failed to send notification"
        await self.payment_repo.update_subscription_id_once(payment.payment_id, subscription_id)
        await self._mark_completed(payment)
        return True, None

    async def _create_subscription(self, payment: Payment, tariff: Tariff, now: int) -> Outcome:
        """Check, then insert, with no transaction around the two; the steps around them are v2.4.10's."""
        if (tariff.duration_sec or 0) <= 0:
            return False, "Invalid tariff duration_sec"
        expires_at, traffic_limit_mb = await self._terms_of_new_subscription(payment, tariff, now)
        subscription_token = await self._unique_subscription_token()
        if not subscription_token:
            return False, "Failed to generate unique subscription token"
        async with self.open_async_connection(self.db_path) as conn:
            async with conn.execute(
                FIND_SUBSCRIPTION_BEFORE_INSERT, (payment.user_id, now - DEFAULT_GRACE_PERIOD)
            ) as check_cursor:
                existing = await check_cursor.fetchone()
            if existing:
                subscription_id = existing[0]
            else:
                cursor = await conn.execute(
                    INSERT_SUBSCRIPTION,
                    (payment.user_id, subscription_token, now, expires_at, tariff.id, traffic_limit_mb),
                )
                subscription_id = cursor.lastrowid
                await conn.commit()
        await self.payment_repo.update_subscription_id_once(payment.payment_id, subscription_id)
        await self._create_keys_on_servers(payment, subscription_id)
        if not await self._send_notification_simple(payment.user_id, PURCHASE_MESSAGE):
            return False, "Failed to send notification"
        await self._mark_completed(payment)
        return True, None
