"""The composition root: a `Service` is an engine, the ports and a clock, with every flow as a method.

It is a value. Nothing is cached in it, so any number of tasks and processes may have one, and a process that starts again
begins with exactly what it had. A harness can run a method as a program: ``(Service.ensure, service, "p-1")``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from reference import policies
from reference.flows import entry_points, grants, maintenance, outbox, payments, purchase, sales
from reference.model import EnsureOutcome, Payment, Provider, Subscription, Topic
from reference.ports import Clock, KeyServers, Notifier, PaymentProvider, wall_clock
from reference.storage.engine import TrioEngine
from reference.storage.transactions import outside_transactions


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The reference service.

    Args:
        engine: from `open_engine`.
        providers: who can be asked about a payment.
        notifier: Telegram.
        key_servers: the V2Ray servers.
        clock: unix seconds; `time.time`, looked up at each call.

    Every port is wrapped so that calling it inside a transaction raises `ForeignCallError`.
    """

    engine: TrioEngine
    providers: Mapping[Provider, PaymentProvider]
    notifier: Notifier
    key_servers: KeyServers
    clock: Clock = wall_clock

    def __post_init__(self) -> None:
        fenced = {name: outside_transactions(port) for name, port in self.providers.items()}
        object.__setattr__(self, "providers", fenced)
        object.__setattr__(self, "notifier", outside_transactions(self.notifier))
        object.__setattr__(self, "key_servers", outside_transactions(self.key_servers))

    def now(self) -> int:
        """Unix seconds, whole: the resolution in which time is sold."""
        return int(self.clock())

    def provider(self, name: Provider) -> PaymentProvider:
        """The client of a provider.

        Raises:
            LookupError: this service was put together without it.
        """
        if name not in self.providers:
            raise LookupError(
                f"this service has no client for {name}; it has: {', '.join(self.providers) or 'none'}"
            )
        return self.providers[name]

    # What a buyer does ------------------------------------------------------------------------------------------------

    async def create_payment(self, offer: sales.Offer) -> Payment:
        """Sell: see `reference.flows.sales.create`."""
        return await sales.create(self, offer)

    async def ensure(self, payment_id: str) -> EnsureOutcome:
        """Give what a paid payment bought, once: see `reference.flows.purchase.ensure`."""
        return await purchase.ensure(self, payment_id)

    # The five ways in which a payment comes to us ---------------------------------------------------------------------

    async def yookassa_webhook(self, body: Mapping[str, Any]) -> EnsureOutcome | None:
        """YooKassa's notification, as parsed JSON."""
        return await entry_points.yookassa_webhook(self, body)

    async def platega_webhook(self, body: Mapping[str, Any]) -> EnsureOutcome | None:
        """Platega's callback, as parsed JSON."""
        return await entry_points.platega_webhook(self, body)

    async def wait_for_payment(
        self, payment_id: str, *, every_s: float = policies.POLL_EVERY_S, for_s: float = policies.POLL_FOR_S
    ) -> EnsureOutcome:
        """The bot's polling while the buyer pays."""
        return await entry_points.wait_for_payment(self, payment_id, every_s=every_s, for_s=for_s)

    async def process_pending_paid_payments(self) -> list[EnsureOutcome]:
        """The sweep over what is paid and undelivered, or pending for a while."""
        return await entry_points.process_pending_paid_payments(self)

    async def retry_failed_subscription_notifications(self) -> int:
        """The sweep over notices that were not sent; it cannot extend anything."""
        return await entry_points.retry_failed_subscription_notifications(self)

    # What a worker does -----------------------------------------------------------------------------------------------

    async def poll_once(self, payment_id: str) -> EnsureOutcome:
        """One question of the poller."""
        return await entry_points.settle(self, await payments.get(self, payment_id))

    async def work_inbox(self) -> int:
        """Finish the notifications that nobody has finished."""
        return await entry_points.work_inbox(self)

    async def relay(self, *, topics: Iterable[Topic] = tuple(Topic), jobs_max: int = outbox.RELAY_MAX) -> int:
        """Do the outbox jobs that are due."""
        return await outbox.relay(self, topics=topics, jobs_max=jobs_max)

    async def fix_payments_without_subscription_id(self) -> maintenance.Repaired:
        """Link payments to what the ledger says they bought."""
        return await maintenance.fix_payments_without_subscription_id(self)

    async def retire_expired_keys(self) -> int:
        """Ask for keys to be taken away whose grace is over."""
        return await maintenance.retire_expired_keys(self)

    # What is given without a payment ----------------------------------------------------------------------------------

    async def trial(self, user_id: int, tariff_id: int) -> Subscription | None:
        """A free tariff's time, once per user."""
        return await grants.trial(self, user_id, tariff_id)

    async def referral(self, *, referrer_id: int, referred_id: int, duration_sec: int) -> Subscription | None:
        """A referrer's reward, once per referred user."""
        return await grants.referral(
            self, referrer_id=referrer_id, referred_id=referred_id, duration_sec=duration_sec
        )

    async def gift(self, *, ticket: str, user_id: int, duration_sec: int) -> Subscription | None:
        """Days given by hand, once per ticket."""
        return await grants.gift(self, ticket=ticket, user_id=user_id, duration_sec=duration_sec)

    async def set_vip(self, user_id: int, *, vip: bool, operator: str) -> None:
        """Make a user a VIP, or not any more."""
        await grants.set_vip(self, user_id, vip=vip, operator=operator)

    async def pin_expiry(self, user_id: int, expires_at: int | None, *, operator: str) -> None:
        """Set an end by hand, or give the decision back to the ledger."""
        await grants.pin_expiry(self, user_id, expires_at, operator=operator)
